"""Authentication of callers by API key, and the scopes of routes.

Keys are random and stored as SHA-256 digests. A key is looked up by its digest, so how long the
lookup takes says nothing about the keys that exist.
"""

import hashlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, cast

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPBearer, SecurityScopes
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.clock import Clock
from app.edge.access_log import is_api_path
from app.edge.context import Caller, context_of, has_repeated_header
from app.edge.problems import Problem, problem_response

_KEY = re.compile(rb"[\x21-\x7e]{16,256}")
_KEY_HEADERS = (b"authorization", b"x-api-key")
_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="orders-bff"'),)
_JWT = re.compile(rb"eyJ[\w-]*+(?:\.[\w-]*+){2,4}")
"""A signed or encrypted JSON Web Token (RFC 7519): its header is a JSON object."""

_logger = logging.getLogger("orders_bff.auth")


class Forbidden(Exception):
    """The caller lacks a scope, which is the exception's text."""


@dataclass(frozen=True)
class ApiKey:
    """An API key, of which only the digest is known.

    Attributes:
        name: the caller's name.
        sha256: the digest, 32 bytes.
        scopes: what the caller may do.
        expires_at: when the key stops being valid; None for never.
    """

    name: str
    sha256: bytes
    scopes: frozenset[str]
    expires_at: datetime | None = None

    @cached_property
    def caller(self) -> Caller:
        """The caller that the key belongs to."""
        return Caller(self.name, "key", self.scopes)


def generate_key() -> str:
    """Return a new key with 256 random bits."""
    return f"obff_{secrets.token_urlsafe(32)}"


def key_digest(key: bytes) -> bytes:
    """Return the digest that a key is stored as."""
    return hashlib.sha256(key).digest()


class ApiKeyStore:
    """The API keys: those that are configured directly, and those in a file.

    Args:
        keys: the keys that are configured directly.
        clock: the source of time.
        file_keys: the keys in the file.
        read_file: reads the keys in the file again. It raises ValueError with a message that
            repeats nothing from the file.
    """

    def __init__(
        self,
        keys: Sequence[ApiKey],
        clock: Clock,
        *,
        file_keys: Sequence[ApiKey] = (),
        read_file: Callable[[], Awaitable[Sequence[ApiKey]]] | None = None,
    ) -> None:
        self._configured_keys = tuple(keys)
        self._clock = clock
        self._read_file = read_file
        self._keys = _by_digest((*self._configured_keys, *file_keys))
        self._last_error = ""

    async def reload(self) -> bool:
        """Read the file again; return whether its keys are in use.

        If it cannot be read, the present keys stay in use. The same error is logged once.
        """
        if self._read_file is None:
            return True
        try:
            keys = _by_digest((*self._configured_keys, *await self._read_file()))
        except ValueError as error:
            if str(error) != self._last_error:
                self._last_error = str(error)
                fields = {"error": str(error), "active_keys": len(self._keys)}
                # Not `exception`: the traceback says nothing about what is wrong with the file.
                _logger.error("api_keys_reload_failed", extra={"fields": fields})  # noqa: TRY400
            return False
        if keys != self._keys or self._last_error:
            self._keys, self._last_error = keys, ""
            self.log_loaded()
        return True

    def log_loaded(self) -> None:
        """Log how many keys there are."""
        _logger.info("api_keys_loaded", extra={"fields": {"keys": len(self._keys)}})

    def has_valid_key(self) -> bool:
        """Return whether there is a key that has not expired."""
        return any(self._is_valid(key) for key in self._keys.values())

    def authenticate(self, key: bytes) -> Caller | None:
        """Return the caller that `key` belongs to, or None if it is unknown or has expired."""
        found = self._keys.get(key_digest(key)) if _KEY.fullmatch(key) else None
        return found.caller if found is not None and self._is_valid(found) else None

    def _is_valid(self, key: ApiKey) -> bool:
        return key.expires_at is None or key.expires_at > self._clock.now()


class ApiKeyAuthentication:
    """Rejects API requests without a valid key; other paths need none.

    Callers without a key have `anonymous_scopes`. If those are empty, a key is required.

    A key is offered in `X-API-Key`, or with the scheme `Bearer` in `Authorization`. Other schemes,
    and tokens of an identity provider, are meant for a gateway in front and are ignored.
    """

    def __init__(
        self, app: ASGIApp, keys: ApiKeyStore, *, anonymous_scopes: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._keys = keys
        self._anonymous = (
            Caller("anonymous", "anonymous", frozenset(anonymous_scopes))
            if anonymous_scopes
            else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_api_path(scope["path"]):
            if has_repeated_header(scope, _KEY_HEADERS):
                # Two layers could believe different ones.
                detail = "`X-API-Key` and `Authorization` must not be sent more than once."
                problem = Problem("bad_request", detail=detail)
                await problem_response(scope, problem)(scope, receive, send)
                return
            context = context_of(scope)
            context.caller = self.authenticate(context.headers)
            if context.caller is None:
                problem = Problem("unauthenticated", headers=_CHALLENGE)
                await problem_response(scope, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def authenticate(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Return the caller of a request with these headers, or None if it must be rejected."""
        key = headers.get(b"x-api-key")
        bearer = _bearer_key(headers.get(b"authorization", b""))
        if key is None:
            key = bearer
        elif bearer is not None and bearer != key:
            return None  # which of the two is meant is not clear
        if key is None:
            return self._anonymous
        # An invalid key is rejected even if none is required, or its owner would not notice.
        return self._keys.authenticate(key)


_API_KEY_SCHEME = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    description="Your key, `obff_…`.",
    auto_error=False,
)
_BEARER_SCHEME = HTTPBearer(
    scheme_name="Bearer",
    description="The same key as `Authorization: Bearer obff_…`.",
    auto_error=False,
)


async def require_scopes(
    request: Request,
    required: SecurityScopes,
    _api_key: Annotated[object, Depends(_API_KEY_SCHEME)],
    _bearer: Annotated[object, Depends(_BEARER_SCHEME)],
) -> Caller:
    """Return the caller, for `Security(require_scopes, scopes=[…])`.

    `ApiKeyAuthentication` has authenticated it. The two schemes are parameters only to appear in
    the OpenAPI document.

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


def _bearer_key(authorization: bytes) -> bytes | None:
    """Return the key in an Authorization header (RFC 6750 section 2.1), None if it has none."""
    scheme, _, token = authorization.replace(b"\t", b" ").partition(b" ")
    token = token.strip()
    return None if scheme.lower() != b"bearer" or _JWT.fullmatch(token) else token


def _by_digest(keys: Sequence[ApiKey]) -> dict[bytes, ApiKey]:
    return {key.sha256: key for key in keys}
