"""Scopes: what a route requires of its caller, and the security schemes in the OpenAPI document.

`Authentication` has authenticated the caller before.
"""

from typing import Annotated, cast

from fastapi import Depends
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer, SecurityScopes
from starlette.requests import Request

from app.edge.context import Caller, context_of

_API_KEY_SCHEME = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    description="Your key, `obff_…`.",
    auto_error=False,
)
_COOKIE_SCHEME = APIKeyCookie(
    name="__Host-Http-orders",
    scheme_name="Session",
    description=(
        "The session of a person, where sign-in is configured. Nothing has to be entered here: sign"
        " in at `/auth/login` in this browser. A POST needs `X-CSRF: 1`. The cookie is named"
        " `orders` without https on loopback."
    ),
    auto_error=False,
)
_BEARER_SCHEME = HTTPBearer(
    scheme_name="Bearer",
    description="The same key, or an access token (JWT) of the issuer that the operator trusts.",
    auto_error=False,
)
SECURITY_SCHEMES = (_API_KEY_SCHEME, _BEARER_SCHEME, _COOKIE_SCHEME)
"""They are documented, and read nothing: `Authentication` does."""


class Forbidden(Exception):
    """The caller lacks a scope, which is the exception's text."""


async def require_scopes(
    request: Request,
    required: SecurityScopes,
    _api_key: Annotated[object, Depends(_API_KEY_SCHEME)] = None,
    _bearer: Annotated[object, Depends(_BEARER_SCHEME)] = None,
    _session: Annotated[object, Depends(_COOKIE_SCHEME)] = None,
) -> Caller:
    """Return the caller, for `Security(require_scopes, scopes=[…])`.

    The schemes are parameters only to appear in the OpenAPI document, and `StrictRoute` omits them.

    Raises:
        Forbidden: the caller lacks one of the scopes.
    """
    return require_scope(request, *required.scopes)


def require_scope(request: Request, *scopes: str) -> Caller:
    """Return the authenticated caller of `request`, who must have all of `scopes`.

    Raises:
        Forbidden: the caller lacks one of them.
    """
    caller = cast("Caller", context_of(request.scope).caller)
    for scope in scopes:
        if scope not in caller.scopes:
            raise Forbidden(scope)
    return caller
