"""Authentication of callers: who sent a request, by the credentials that it offers.

Several authentication schemes may meet in one request: a proxy in front may add its own header,
and a browser always sends its cookies. So each authenticator says whether the request offers a
credential that is meant for it. The first one that is offered decides: it is valid, or the request
is rejected. A request that offers none is anonymous.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from math import ceil
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import current_caller
from app.edge.access_log import is_api_path
from app.edge.api_keys import ApiKeyStore
from app.edge.caller_limits import CallerLimits, RateLimited
from app.edge.client_address import limit_group
from app.edge.context import Caller, RequestContext, context_of, has_repeated_header
from app.edge.cross_site import CrossSiteRequest, check_post
from app.edge.problems import Problem, problem_response

_CREDENTIAL_HEADERS = (b"authorization", b"x-api-key")
_CHALLENGE = 'Bearer realm="orders-bff"'
METRICS_PATH = "/metrics"
"""The only path outside the API that needs a credential."""

_JWT = re.compile(rb"e[wy][\w-]*+(?:\.[\w-]*+){2,4}")
"""A signed or encrypted JSON Web Token (RFC 7519): its header is a JSON object, with or without
white space after the brace."""

_IGNORED = (
    "The token in `Authorization` was ignored, because its issuer is not trusted here (`iss` is"
    " compared character by character)."
)


class Rejected(Exception):
    """A request must be answered with `problem`, because of the credential that it offers.

    `offered` is False if it offers none: that is not counted as a failed authentication.
    """

    def __init__(self, problem: Problem, *, offered: bool = True) -> None:
        super().__init__(problem.detail or problem.code)
        self.problem = problem
        self.offered = offered


def unauthenticated(detail: str = "", *, error: str = "") -> Problem:
    """Return the problem of a request without a valid credential.

    Args:
        detail: what is wrong with the credential.
        error: the error code of the challenge (RFC 6750 section 3.1), for a token that is wrong.
    """
    challenge = f'{_CHALLENGE}, error="{error}"' if error else _CHALLENGE
    return Problem("unauthenticated", detail=detail, headers=(("WWW-Authenticate", challenge),))


class CredentialGeneration:
    """A number that grows whenever a credential that was valid may not be any more.

    The API keys, the grants, the keys of an issuer or the cookie secrets have changed. A decision
    about a credential may be used again as long as `value` is what `RequestContext.generation` was
    for the request that was decided, and the caller's `expires_at` has not passed. The decision
    about an anonymous caller is for its address only.
    """

    def __init__(self) -> None:
        self.value = 0

    def advance(self) -> None:
        """Make all earlier decisions invalid."""
        self.value += 1


class Authenticator(Protocol):
    """Authenticates requests by one kind of credential."""

    async def authenticate(self, scope: Scope) -> Caller | None:
        """Return the caller, or None if the request offers no such credential.

        Raises:
            Rejected: the credential is not valid, or must not be used for this request.
        """


class TokenAuthenticator(Protocol):
    """Authenticates callers by the JSON Web Tokens of an issuer."""

    async def authenticate(self, token: bytes) -> Caller | None:
        """Return the caller, or None if another party has issued the token.

        Raises:
            Rejected: the token is not valid, or that cannot be found out now.
        """


class HeaderCredentials(Authenticator):
    """Authenticates by `X-API-Key` or `Authorization`: API keys, and tokens of an issuer.

    With the scheme `Bearer`, whatever is no JSON Web Token is taken for an API key. Other schemes,
    and tokens of other issuers, are meant for a gateway in front and are ignored.
    """

    def __init__(self, keys: ApiKeyStore, tokens: TokenAuthenticator | None = None) -> None:
        self._keys = keys
        self._tokens = tokens

    async def authenticate(self, scope: Scope) -> Caller | None:
        context = context_of(scope)
        headers = context.headers
        key = headers.get(b"x-api-key")
        authorization = headers.get(b"authorization")
        bearer = None if authorization is None else _bearer_token(authorization)
        token_caller = None
        if bearer is not None and _JWT.fullmatch(bearer):
            token_caller = await self._tokens.authenticate(bearer) if self._tokens else None
            if token_caller is None:
                context.ignored_credential = _IGNORED
            bearer = None
        if key is None:
            key = bearer
        elif token_caller or bearer not in (None, key):
            detail = "`X-API-Key` and `Authorization` have different credentials; send one of them."
            raise Rejected(unauthenticated(detail))
        if key is None:
            return token_caller
        # An invalid key is rejected even if none is required, or its owner would not notice.
        caller = self._keys.authenticate(key)
        if caller is None:
            raise Rejected(unauthenticated())
        return caller


class Authentication:
    """Rejects API requests without a valid credential, and those of a caller over its limit.

    Other paths need no credential and have no limit.

    A request that offers a credential in a header is decided by it. Browsers add no such header by
    themselves, so any other request may have been made by a page of another site: a POST needs
    `X-CSRF` then, on every path, and a cookie has rules of its own.

    Args:
        app: the next layer.
        credentials: authenticates by headers.
        sessions: authenticates by a cookie; None if nobody can sign in.
        generation: see there; recorded before a credential is checked.
        anonymous_scopes: what callers without a credential may do. If empty, one is required.
        login_path: the path at which people sign in; empty if they cannot.
        limits: the limits per caller; none by default.
    """

    def __init__(
        self,
        app: ASGIApp,
        credentials: Authenticator,
        generation: CredentialGeneration,
        *,
        sessions: Authenticator | None = None,
        anonymous_scopes: Collection[str] = (),
        login_path: str = "",
        limits: CallerLimits | None = None,
    ) -> None:
        self._app = app
        self._credentials = credentials
        self._sessions = sessions
        self._generation = generation
        self._anonymous_scopes = frozenset(anonymous_scopes)
        self._login_path = login_path
        self._limits = limits or CallerLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context, caller, problem = context_of(scope), None, None
        try:
            if is_api_path(scope["path"]) or scope["path"] == METRICS_PATH:
                context.generation = self._generation.value
                context.caller = caller = await self._authenticate(scope)
            else:
                _reject_cross_site_post(scope)
        except Rejected as rejected:
            problem = self._problem_of(rejected, context)
        if caller is not None:
            current_caller.set_current(caller.limit_key)
            if rejection := self._limits.admit(caller, context.started_at):
                problem = _rate_limited(rejection)
            if self._limits.sends_headers:
                send = self._with_rate_headers(context, caller, send)
        app = self._app if problem is None else problem_response(scope, problem)
        await app(scope, receive, send)
        if caller is not None and context.status == 304:
            self._limits.on_not_modified(caller)

    async def _authenticate(self, scope: Scope) -> Caller:
        if has_repeated_header(scope, _CREDENTIAL_HEADERS):
            # Two layers could believe different ones.
            detail = "`X-API-Key` and `Authorization` must not be sent more than once."
            raise Rejected(Problem("bad_request", detail=detail))
        caller = await self._credentials.authenticate(scope)
        if caller is None:
            caller = await self._authenticate_without_header(scope)
            _reject_cross_site_post(scope)
        return caller

    async def _authenticate_without_header(self, scope: Scope) -> Caller:
        caller = await self._sessions.authenticate(scope) if self._sessions else None
        if caller is not None:
            return caller
        if not self._anonymous_scopes:
            problem = unauthenticated(context_of(scope).ignored_credential)
            raise Rejected(problem, offered=False)
        address = limit_group(context_of(scope).client)
        return Caller(
            "anonymous", "anonymous", self._anonymous_scopes, limit_key=("address", address)
        )

    def _problem_of(self, rejected: Rejected, context: RequestContext) -> Problem:
        """Return the problem of a request that is not accepted, and count a wrong credential."""
        problem = rejected.problem
        if problem.code != "unauthenticated":
            return problem
        if rejected.offered:
            rejection = self._limits.admit_failure(context.client, context.started_at)
            if rejection:
                return _rate_limited(rejection)
        return replace(problem, login=self._login_path)

    def _with_rate_headers(self, context: RequestContext, caller: Caller, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                rate_headers = self._limits.headers(caller, context.started_at)
                message = {**message, "headers": [*message.get("headers", ()), *rate_headers]}
            await send(message)

        return send_with_headers


def _rate_limited(rejection: RateLimited) -> Problem:
    """Return the problem of a request over a limit."""
    return Problem("rate_limited", detail=rejection.detail, retry_after=ceil(rejection.retry_after))


def _reject_cross_site_post(scope: Scope) -> None:
    try:
        check_post(scope["method"], context_of(scope).headers)
    except CrossSiteRequest as error:
        raise Rejected(Problem("cross_site_request", detail=str(error))) from None


def _bearer_token(authorization: bytes) -> bytes | None:
    """Return the token in an Authorization header (RFC 6750 section 2.1), None if it has none."""
    scheme, _, token = authorization.replace(b"\t", b" ").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None
