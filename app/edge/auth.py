"""Who is the caller: keys with scopes, looked up by digest. Knows no route and no resource."""

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.clock import Clock
from app.edge.access_log import is_api_path
from app.edge.context import Caller, context_of
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import Problem, send_problem

FILE_POLL_SECONDS = 1.0
"""Seconds between two looks at the file of keys."""

_KEY = re.compile(rb"[\x21-\x7e]{16,256}")
_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="orders-bff"'),)

_logger = logging.getLogger("orders_bff.callers")


class Forbidden(Exception):
    """The caller is known, and lacks the scope that the route wants."""


@dataclass(frozen=True)
class ApiKey:
    """A caller's key, known by its digest alone. `sha256` is 32 bytes."""

    name: str
    sha256: bytes
    scopes: frozenset[str]
    expires_at: datetime | None = None

    @cached_property
    def caller(self) -> Caller:
        """Who has it."""
        return Caller(self.name, "key", self.scopes)


def generate_key() -> str:
    """A key that nobody has: 256 random bits."""
    return f"obff_{secrets.token_urlsafe(32)}"


def digest_of(key: bytes) -> bytes:
    """What a key is looked up by."""
    return hashlib.sha256(key).digest()


class ApiKeyStore:
    """The keys that open the door; those in a file are read again when the file changes.

    Args:
        keys: those that do not change.
        clock: the only source of time.
        file: where more of them stand.
        read: reads that file, or raises ValueError in words that hold nothing of the file.
    """

    def __init__(
        self,
        keys: Sequence[ApiKey],
        clock: Clock,
        *,
        file: Path | None = None,
        read: Callable[[Path], Sequence[ApiKey]] = lambda _: (),
    ) -> None:
        self._fixed = tuple(keys)
        self._clock = clock
        self._file = file
        self._read = read
        self._seen: tuple[int, int, int] | None = (0, 0, 0)  # no file looks like this
        self._look_at = clock.monotonic()
        self._keys = _by_digest(self._fixed)

    def has_valid_key(self) -> bool:
        """Whether one of the keys is good now."""
        self._look()
        return any(self._is_good(key) for key in self._keys.values())

    def authenticate(self, offered: bytes) -> ApiKey | None:
        """The key that `offered` is, unless it has expired."""
        self._look()
        if not _KEY.fullmatch(offered):
            return None
        digest = digest_of(offered)
        key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(key.sha256, digest):
            return None
        return key if self._is_good(key) else None

    def _is_good(self, key: ApiKey) -> bool:
        return key.expires_at is None or key.expires_at > self._clock.now()

    def _look(self) -> None:
        """Read the file again if it changed; one that cannot be read changes nothing."""
        if self._file is None or self._clock.monotonic() < self._look_at:
            return
        self._look_at = self._clock.monotonic() + FILE_POLL_SECONDS
        seen = _state_of(self._file)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = _by_digest((*self._fixed, *self._read(self._file)))
        except ValueError as error:
            facts = {"fault": str(error), "kept": len(self._keys)}
            # Not `exception`: where our code passed says nothing about a faulty file.
            _logger.error("keys_file_unreadable", extra={"fields": facts})  # noqa: TRY400
        else:
            _logger.info("keys_read", extra={"fields": {"keys": len(self._keys)}})


class ApiKeyAuthentication:
    """Nobody gets past it to the API who is not known.

    Args:
        app: what stands behind.
        ring: the keys.
        anonymous_scopes: what a caller without a key may do; none, if that is nobody.
    """

    def __init__(
        self, app: ASGIApp, ring: ApiKeyStore, *, anonymous_scopes: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._ring = ring
        self._anonymous = (
            Caller("anonymous", "anonymous", frozenset(anonymous_scopes))
            if anonymous_scopes
            else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_api_path(scope["path"]):
            context = context_of(scope)
            context.caller = self.authenticate(context.headers)
            if context.caller is None:
                detail = PROBLEM_TYPES["unauthenticated"].detail
                problem = Problem("unauthenticated", detail, headers=_CHALLENGE)
                await send_problem(scope, send, problem)
                return
        await self._app(scope, receive, send)

    def authenticate(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Who asks with these headers; None for nobody that is known."""
        offered = headers.get(b"x-api-key")
        authorization = headers.get(b"authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(b" ")
            bearer = token.strip() if scheme.lower() == b"bearer" else b""
            if offered is not None and offered != bearer:
                return None
            offered = bearer
        if offered is None:
            return self._anonymous
        # A wrong key is refused even where none is needed: its caller believes to be somebody.
        key = self._ring.authenticate(offered)
        return key.caller if key else None


def has_any_access(ring: ApiKeyStore, anonymous_scopes: Sequence[str]) -> bool:
    """Whether there is any way in; without one there is no sense in a start."""
    return bool(anonymous_scopes) or ring.has_valid_key()


def require_scope(scope: str) -> Callable[[Request], Awaitable[None]]:
    """A route's dependency: the caller has `scope`, or Forbidden is raised."""

    async def check(request: Request) -> None:
        caller = context_of(request.scope).caller
        if caller is None or scope not in caller.scopes:
            raise Forbidden(scope)

    return check


def _state_of(file: Path) -> tuple[int, int, int] | None:
    try:
        state = file.stat()
    except OSError:
        return None
    return (state.st_mtime_ns, state.st_size, state.st_ino)


def _by_digest(keys: Sequence[ApiKey]) -> dict[bytes, ApiKey]:
    return {key.sha256: key for key in keys}
