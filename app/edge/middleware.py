"""How an application is put behind middleware."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.types import ASGIApp


def behind(middleware: Sequence[Middleware], app: ASGIApp) -> ASGIApp:
    """Return `app` behind `middleware`, whose first member sees a request first.

    FastAPI and Starlette would do the same, with five layers of their own in front, which a
    response that comes from the middleware does not need. All middleware is for HTTP only: events
    of the lifespan go to `app` itself.
    """
    for layer, args, kwargs in reversed(middleware):
        app = layer(app, *args, **kwargs)
    return app
