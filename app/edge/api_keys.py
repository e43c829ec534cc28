"""The callers' API keys.

Keys are random and stored as SHA-256 digests. A key is looked up by its digest, so how long the
lookup takes says nothing about the keys that exist.
"""

import hashlib
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from app.clock import Clock
from app.edge.context import Caller

_KEY = re.compile(rb"[\x21-\x7e]{16,256}")

_logger = logging.getLogger("orders_bff.auth")


@dataclass(frozen=True)
class ApiKey:
    """An API key, of which only the digest is known.

    Attributes:
        name: the caller's name.
        sha256: the digest, 32 bytes.
        scopes: what the caller may do.
        expires_at: when the key stops being valid; None for never.
        rate: the limit of this key's requests, as `6000/minute`; None for that of all callers.
    """

    name: str
    sha256: bytes
    scopes: frozenset[str]
    expires_at: datetime | None = None
    rate: str | None = None

    @cached_property
    def caller(self) -> Caller:
        """The caller that the key belongs to."""
        return Caller(
            self.name,
            "key",
            self.scopes,
            limit_key=("key", self.name),
            rate=self.rate,
            expires_at=self.expires_at.timestamp() if self.expires_at else None,
        )


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
        on_change: called when other keys are in use.
    """

    def __init__(
        self,
        keys: Sequence[ApiKey],
        clock: Clock,
        *,
        file_keys: Sequence[ApiKey] = (),
        read_file: Callable[[], Awaitable[Sequence[ApiKey]]] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._configured_keys = tuple(keys)
        self._clock = clock
        self._read_file = read_file
        self._on_change = on_change
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
            self._on_change()
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


def _by_digest(keys: Sequence[ApiKey]) -> dict[bytes, ApiKey]:
    return {key.sha256: key for key in keys}
