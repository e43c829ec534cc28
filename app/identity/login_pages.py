"""The pages of sign-in: where they are, where they lead, and how they look."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from html import escape
from math import ceil
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.edge.context import context_of
from app.edge.pages import Html, fill, render_page
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import Problem, problem_headers, problem_response
from app.identity.login_flow import LoginError

NO_STORE = {"Cache-Control": "no-store"}

_logger = logging.getLogger("orders_bff.identity")


@dataclass(frozen=True, slots=True)
class LoginPages:
    """The pages of sign-in.

    Attributes:
        public_url: origin and prefix as browsers see them; empty on loopback, where the origin is
            that of the request.
        origins: those of other pages to which a browser may return.
        home: the page to which it returns by default, as a path below the prefix.
        is_sandbox: whether pages have the banner of the sandbox.
    """

    public_url: str
    origins: Collection[str]
    home: str
    is_sandbox: Callable[[], bool]

    @property
    def default_return_to(self) -> str:
        """The path to which a browser returns by default."""
        return f"{self._prefix}{self.home}"

    def redirect_uri(self, headers: Mapping[bytes, bytes]) -> str:
        """Return where the issuer sends the browser of a request with these headers."""
        return f"{self._base_url(headers)}/auth/callback"

    def may_use_sessions(self, origin: bytes, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether `origin` is listed, or that of this server."""
        own = urlsplit(self._base_url(headers))
        text = origin.decode("latin-1")
        return text in self.origins or text == f"{own.scheme}://{own.netloc}"

    def login_path(self, return_to: str = "") -> str:
        """Return the path at which a person signs in."""
        query = f"?{urlencode({'return_to': return_to})}" if return_to else ""
        return f"{self._prefix}/auth/login{query}"

    def signed_in(self, name: str, return_to: str) -> Response:
        """Return the page that goes on to `return_to`.

        A redirect would not do: the browser has come from another site, so it would not send the
        session cookie, which is `SameSite=Strict`, on any redirect that follows.
        """
        # Escaped here, because `fill` takes backticks for markup.
        html = fill("signed_in", name=Html(escape(name)), url=Html(escape(return_to)))
        return HTMLResponse(html, headers=NO_STORE)

    def no_end_session(self) -> Response:
        """Return the page for an issuer at which nobody can sign out."""
        page = render_page(
            "Sign out", fill("no_end_session"), root="../", sandbox=self.is_sandbox()
        )
        page.headers.update(NO_STORE)
        return page

    def failed(self, request: Request, error: LoginError, return_to: str = "") -> Response:
        """Log an error and return its page, or a problem for a client that does not accept HTML.

        The one way on is to sign in again, for which the person must click.
        """
        context = context_of(request.scope)
        fields = {"reason": error.reason, "client": context_of(request.scope).client}
        if error.error:
            fields["error"] = error.error
        is_of_the_caller = PROBLEM_TYPES[error.code].owner == "caller"
        level = logging.INFO if is_of_the_caller else logging.WARNING
        _logger.log(level, "login_failed", extra={"fields": fields})
        login = self.login_path(return_to)
        retry_after = None if error.retry_after is None else ceil(error.retry_after)
        problem = Problem(error.code, detail=error.detail, login=login, retry_after=retry_after)
        if b"text/html" not in context.headers.get(b"accept", b""):
            return problem_response(request.scope, problem)
        context.problem = error.code
        main = fill(
            "login_failed",
            title=PROBLEM_TYPES[error.code].title,
            detail=error.detail,
            code=error.code,
            login=login,
            request_id=context.request_id,
        )
        page = render_page("Sign in", main, root="../", sandbox=self.is_sandbox())
        page.status_code = PROBLEM_TYPES[error.code].status
        page.headers.update(problem_headers(problem))
        return page

    @property
    def _prefix(self) -> str:
        return urlsplit(self.public_url).path

    def _base_url(self, headers: Mapping[bytes, bytes]) -> str:
        # Without a public URL only names of loopback are accepted as `Host`.
        return self.public_url or f"http://{headers.get(b'host', b'').decode('latin-1')}"
