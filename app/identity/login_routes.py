"""The routes of sign-in and sign-out, all below `/auth`."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.edge.audit import SIGNED_IN, SIGNED_OUT
from app.edge.caller_limits import CallerLimits, RateLimited
from app.edge.context import context_of
from app.edge.problems import Problem, problem_response
from app.identity.cookie_encryption import CookieTooLarge
from app.identity.login_flow import LoginError, LoginFlow
from app.identity.login_pages import NO_STORE, LoginPages
from app.identity.login_state import LoginState, LoginStates
from app.identity.return_to import MAX_CHARS, is_valid_return_to
from app.identity.session import Sessions, display_name


class LoginRoutes:
    """The routes of sign-in.

    Args:
        flow: the calls to the issuer.
        states: the cookies of sign-ins that have begun.
        sessions: the session cookie.
        pages: what browsers are shown.
        limits: count the sign-ins of an address that fail, since each one costs a call to the
            issuer.
    """

    def __init__(
        self,
        flow: LoginFlow,
        states: LoginStates,
        sessions: Sessions,
        pages: LoginPages,
        limits: CallerLimits,
    ) -> None:
        self._flow = flow
        self._states = states
        self._sessions = sessions
        self._pages = pages
        self._limits = limits

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(include_in_schema=False, prefix="/auth")
        router.get("/login")(self._login)
        router.get("/callback")(self._callback)
        router.post("/logout")(self._logout)
        router.get("/end-session")(self._end_session)
        return router

    async def _login(
        self, request: Request, return_to: Annotated[str | None, Query()] = None
    ) -> Response:
        """Send the browser to the issuer."""
        if not _is_navigation(request):
            # Otherwise images on any page could begin sign-ins, and evict those of the person.
            detail = "Open `/auth/login` by a link: not by a script, in an image or in a frame."
            return problem_response(request.scope, Problem("cross_site_request", detail=detail))
        target = return_to or self._pages.default_return_to
        if not is_valid_return_to(target, self._pages.origins):
            raise _invalid_return_to(target)
        redirect_uri = self._pages.redirect_uri(context_of(request.scope).headers)
        state = self._states.create(redirect_uri, target)
        try:
            url = await self._flow.authorization_url(state)
        except LoginError as error:
            return self._pages.failed(request, error, target)
        response = RedirectResponse(url, status_code=303, headers=NO_STORE)
        self._states.store(response, _cookies(request), state)
        return response

    async def _callback(self, request: Request) -> Response:
        """Begin the session of a person who comes back from the issuer."""
        state = self._states.find(_cookies(request), request.query_params.get("state", ""))
        if state is None:
            return self._pages.failed(request, _unknown_state())
        context = context_of(request.scope)
        rejection = self._limits.admit_sign_in(context.client, context.started_at)
        if rejection:
            return self._pages.failed(request, _rate_limited(rejection), state.return_to)
        try:
            response = await self._signed_in(request, state)
        except LoginError as error:
            response = self._pages.failed(request, error, state.return_to)
        else:
            self._limits.on_signed_in(context.client)
        # Also after a failure: neither the state nor the code is tried twice.
        self._states.end(response, state.state)
        return response

    async def _signed_in(self, request: Request, state: LoginState) -> Response:
        parameters = dict(request.query_params)
        if len(parameters) < len(request.query_params.multi_items()):
            detail = "The address has a parameter twice."
            raise LoginError("repeated_parameter", "login_failed", detail)
        claims = await self._flow.complete(state, parameters)
        response = self._pages.signed_in(display_name(claims), state.return_to)
        context = context_of(request.scope)
        try:
            context.caller = self._sessions.start(response, claims)
        except CookieTooLarge:
            detail = "Your account has more roles than fit into a cookie."
            raise LoginError("cookie_too_large", "login_misconfigured", detail) from None
        context.audit_event = SIGNED_IN
        return response

    async def _logout(self, request: Request) -> Response:
        """End the session in this browser, and all sign-ins that it has begun."""
        response = Response(status_code=204, headers=NO_STORE)
        context = context_of(request.scope)
        context.caller = self._sessions.find(_cookies(request))
        if context.caller:
            context.audit_event = SIGNED_OUT
        self._sessions.end(response)
        self._states.end_all(response, _cookies(request))
        return response

    async def _end_session(self, request: Request) -> Response:
        """Send the browser to where a person signs out at the issuer, for shared computers."""
        try:
            url = await self._flow.end_session_url()
        except LoginError as error:
            return self._pages.failed(request, error)
        if url is None:
            return self._pages.no_end_session()
        return RedirectResponse(url, status_code=303, headers=NO_STORE)


def _cookies(request: Request) -> bytes:
    return context_of(request.scope).headers.get(b"cookie", b"")


def _is_navigation(request: Request) -> bool:
    """Return whether a browser opens the address as a page, or the client is no browser."""
    headers = context_of(request.scope).headers
    return (
        headers.get(b"sec-fetch-mode", b"navigate") == b"navigate"
        and headers.get(b"sec-fetch-dest", b"document") == b"document"
        and b"sec-purpose" not in headers  # a prefetch
    )


def _invalid_return_to(value: str) -> RequestValidationError:
    message = (
        f"must be a path of this server with one leading slash, or a page of a listed origin; at"
        f" most {MAX_CHARS} characters"
    )
    error = {"type": "value_error", "loc": ("query", "return_to"), "msg": message, "input": value}
    return RequestValidationError([error])


def _rate_limited(rejection: RateLimited) -> LoginError:
    code = "rate_limited"
    return LoginError(code, code, rejection.detail, retry_after=rejection.retry_after)


def _unknown_state() -> LoginError:
    detail = (
        "This sign-in was completed before, was begun in another browser, or took longer than ten"
        " minutes."
    )
    return LoginError("unknown_state", "login_failed", detail)
