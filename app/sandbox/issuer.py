"""An OpenID Connect issuer to try sign-in with: two people, no password.

It has a discovery document, an authorization endpoint with a page that offers the people, a token
endpoint (authorization code with PKCE, a confidential client), keys (RS256) and an
end_session_endpoint. Everybody may sign in as anybody, so it accepts redirect URIs on loopback
only, unless others are named.
"""

import base64
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.clock import Clock
from app.sandbox.issuer_pages import authorize_page, message_page
from app.sandbox.options import CLIENT_ID, CLIENT_SECRET, ROLE

CODE_SECONDS: Final = 60
MAX_CODES: Final = 100
_TOKEN_SECONDS: Final = 300
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in."""

    subject: str
    name: str
    roles: tuple[str, ...]
    hint: str


PEOPLE: Final = (
    Person("ada", "Ada Lovelace", (ROLE,), "may read everything"),
    Person("grace", "Grace Hopper", (), "has no access"),
)


@dataclass(frozen=True, slots=True)
class _Code:
    person: Person
    redirect_uri: str
    challenge: str
    nonce: str
    expires_at: float


class SandboxIssuer:
    """The issuer as an ASGI application. Its URL is that of the requests to it.

    Args:
        clock: the source of time.
        redirect_uris: those that are accepted; by default any on loopback.
    """

    def __init__(self, *, clock: Clock, redirect_uris: Collection[str] = ()) -> None:
        self._clock = clock
        self._redirect_uris = redirect_uris
        self._codes: dict[str, _Code] = {}
        self._app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/end-session", self._end_session),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    @cached_property
    def _key(self) -> RSAKey:
        return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)

    async def _discovery(self, request: Request) -> Response:
        url = _url(request)
        return JSONResponse(
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "jwks_uri": f"{url}/jwks",
                "end_session_endpoint": f"{url}/end-session",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                "scopes_supported": ["openid", "profile", "email"],
            }
        )

    async def _jwks(self, _request: Request) -> Response:
        key = await run_in_threadpool(lambda: self._key)
        return JSONResponse({"keys": [key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        query = request.query_params
        redirect_uri = query.get("redirect_uri", "")
        # Without a client and a redirect URI that are known, the error must not be sent anywhere.
        if query.get("client_id") != CLIENT_ID or not self._is_accepted(redirect_uri):
            return message_page("Unknown client or redirect URI", status=400)
        answer = {"state": query.get("state", ""), "iss": _url(request)}
        if error := _request_error(query):
            return _redirect(redirect_uri, answer | {"error": error})
        chosen = query.get("person")
        if chosen is None:
            people = {each.subject: (each.name, each.hint) for each in PEOPLE}
            return authorize_page(list(query.items()), people)
        person = next((each for each in PEOPLE if each.subject == chosen), None)
        if person is None:
            return _redirect(redirect_uri, answer | {"error": "access_denied"})
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(
            person,
            redirect_uri,
            query["code_challenge"],
            query.get("nonce", ""),
            self._clock.monotonic() + CODE_SECONDS,
        )
        while len(self._codes) > MAX_CODES:
            del self._codes[next(iter(self._codes))]
        return _redirect(redirect_uri, answer | {"code": code})

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("latin-1")))
        if not _is_client(request.headers.get("authorization", "")):
            headers = _NO_STORE | {"WWW-Authenticate": 'Basic realm="sandbox"'}
            return JSONResponse({"error": "invalid_client"}, status_code=401, headers=headers)
        code = self._codes.pop(form.get("code", ""), None)  # used once
        if code is None or not self._matches(code, form):
            return JSONResponse({"error": "invalid_grant"}, status_code=400, headers=_NO_STORE)
        key = await run_in_threadpool(lambda: self._key)
        return JSONResponse(
            {
                "access_token": secrets.token_urlsafe(24),
                "token_type": "Bearer",
                "expires_in": _TOKEN_SECONDS,
                "id_token": self._id_token(_url(request), code, key),
            },
            headers=_NO_STORE,
        )

    def _id_token(self, issuer: str, code: _Code, key: RSAKey) -> str:
        now = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": code.person.subject,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + _TOKEN_SECONDS,
            "nonce": code.nonce,
            "name": code.person.name,
            "roles": list(code.person.roles),
        }
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)

    async def _end_session(self, _request: Request) -> Response:
        return message_page("You are signed out of the sandbox issuer")

    def _matches(self, code: _Code, form: Mapping[str, str]) -> bool:
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        return (
            form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == code.redirect_uri
            and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == code.challenge
            and self._clock.monotonic() < code.expires_at
        )

    def _is_accepted(self, redirect_uri: str) -> bool:
        if self._redirect_uris:
            return redirect_uri in self._redirect_uris
        host = urlsplit(redirect_uri).hostname or ""
        return host in {"127.0.0.1", "localhost", "::1"}


def _url(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}{request.scope['root_path']}"


def _request_error(query: Mapping[str, str]) -> str:
    """Return the error code of an authorization request, or an empty text (RFC 6749, RFC 7636)."""
    if query.get("response_type") != "code":
        return "unsupported_response_type"
    if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
        return "invalid_request"
    return "" if "openid" in query.get("scope", "").split() else "invalid_scope"


def _redirect(redirect_uri: str, answer: Mapping[str, str]) -> Response:
    separator = "&" if "?" in redirect_uri else "?"
    return RedirectResponse(
        f"{redirect_uri}{separator}{urlencode(answer)}", status_code=303, headers=_NO_STORE
    )


def _is_client(authorization: str) -> bool:
    """Return whether a header has the client's id and secret (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return False
    credentials = unquote_plus(user), unquote_plus(password)
    return scheme.lower() == "basic" and credentials == (CLIENT_ID, CLIENT_SECRET)
