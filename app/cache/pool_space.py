"""Where in a shared store the orders of one pool are, also while no token says which pool it is."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from app.cache.store import KEY_PREFIX
from app.cache.store_access import StoreAccess, StoreUnavailable
from app.clock import Clock

POOL_SECONDS = 30 * 86400.0
"""Seconds for which the store knows the pool of an access key."""

STORE_SECONDS = 10.0
"""Seconds after which the pool is stored again: the store may have lost it."""


class PoolSpace:
    """The names in the store that belong to one pool.

    A token names the pool. Because an outage gives no token, the store has the pool of each access
    key, and that is used until the first token.

    Args:
        access: the store.
        clock: the only source of time.
        base_url: the upstream.
        access_key_id: the configured credential. Only a hash of it is stored.
        pool_id: the pool, if it is configured.
        part: what else the values depend on, such as the time zone of the upstream.
        current_pool: returns the pool of the current token, None if there was none yet.
        request_pool: requests a token. May raise an upstream error.
        on_change: called when a token is for another pool than the store knew.
    """

    def __init__(
        self,
        access: StoreAccess,
        clock: Clock,
        *,
        base_url: str,
        access_key_id: str,
        pool_id: str | None,
        part: str,
        current_pool: Callable[[], str | None],
        request_pool: Callable[[], Awaitable[None]],
        on_change: Callable[[], object],
    ) -> None:
        self._access = access
        self._clock = clock
        self._base_url = base_url
        self._name = f"{KEY_PREFIX}pool:{_digest(base_url, access_key_id)}"
        self._configured = pool_id
        self._part = part
        self._current_pool = current_pool
        self._request_pool = request_pool
        self._on_change = on_change
        self._pool: str | None = pool_id
        self._stored_at = float("-inf")

    @property
    def known(self) -> str | None:
        """The space, None while the pool is unknown."""
        pool = self._configured or self._current_pool() or self._pool
        return self._use(pool) if pool else None

    async def find(self, *, is_probe: bool = False) -> str:
        """Return the space without a call to the upstream; `is_probe` as in `StoreAccess.run`.

        Raises:
            StoreUnavailable: the pool is unknown.
        """
        if self.known is None:
            self._pool = await self._access.run(
                partial(self._access.store.get_text, self._name), is_probe=is_probe
            )
        if self.known is None:
            raise StoreUnavailable
        return self.known

    async def require(self) -> str:
        """Return the space, if need be with a call to the upstream for a token.

        Raises:
            StoreUnavailable: the store is down, or the token names no pool.
            UpstreamError: no token was received.
        """
        try:
            return await self.find()
        except StoreUnavailable:
            if self._access.is_down:
                raise
        await self._request_pool()
        if self.known is None:
            raise StoreUnavailable
        return self.known

    def _use(self, pool: str) -> str:
        if self._pool not in (None, pool):
            self._on_change()
            self._stored_at = float("-inf")
        self._pool = pool
        if self._current_pool():
            self._store(pool)
        return f"{KEY_PREFIX}{_digest(self._base_url, pool)[:16]}:{self._part}:"

    def _store(self, pool: str) -> None:
        now = self._clock.monotonic()
        if now - self._stored_at >= STORE_SECONDS and not self._access.is_down:
            self._stored_at = now
            put = self._access.store.put_text
            self._access.start(partial(put, self._name, pool, lifetime=POOL_SECONDS))


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
