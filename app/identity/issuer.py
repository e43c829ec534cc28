"""The issuer whose tokens are accepted: its metadata and keys, cached and refreshed.

How to use it: `await issuer.verify(token)` returns the claims of a token of this issuer after
verifying its signature; `claims.py` checks what they say. `await issuer.metadata()` returns where
its endpoints are, and `discovery.check_endpoint` says whether one may be called. Both raise
`IssuerUnavailable` while the issuer has not been reached. One object serves a process for each
issuer, and is closed before its client.

Keys are fetched in the background every `REFRESH_SECONDS`; keys that are no longer published are no
longer trusted then. A token whose key is not known fetches them ahead of time, but not within
`MIN_FETCH_SECONDS` of the last time: whatever arrives, it costs at most one fetch a minute. While a
refresh fails the present keys stay in use, so that callers can authenticate during an outage of
the issuer.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import NamedTuple

from app.clock import Clock, TimerHandle
from app.identity.discovery import Metadata, discover, fetch_keys
from app.identity.issuer_client import IssuerClient, IssuerError
from app.identity.signing_keys import Claims, SigningKeys, UnknownKey, verify
from app.single_flight import SingleFlight, TooManyWaiters

REFRESH_SECONDS = 300.0
"""Seconds between two refreshes: how long a key that has been withdrawn is still trusted."""

MIN_FETCH_SECONDS = 60.0
"""Seconds between two fetches, once there are keys."""

MAX_WAIT_SECONDS = 3.0
"""Seconds that a caller waits for a fetch."""

MAX_WAITERS = 1000
"""Callers that may wait for a fetch at once."""

FIRST_RETRY_SECONDS = 2.0
"""Seconds until the next attempt while there are no keys; doubles up to `MIN_FETCH_SECONDS`."""

_logger = logging.getLogger("orders_bff.issuer")


class IssuerUnavailable(Exception):
    """The issuer has not been reached, so nothing can be said about a token.

    Attributes:
        retry_after: seconds until it may be worth trying again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Published:
    """What the issuer published when it was fetched last."""

    metadata: Metadata
    keys: SigningKeys


class IssuerState(NamedTuple):
    """The state of an issuer, for operators.

    Attributes:
        issuer: its URL.
        keys: how many of its keys are in use.
        loaded_at: when it was reached last; None if never.
        error: why the last fetch failed, empty if it did not.
    """

    issuer: str
    keys: int
    loaded_at: datetime | None
    error: str


class Issuer:
    """One issuer. Nothing is fetched until `start` is called, or a token arrives.

    Args:
        url: the issuer, compared literally.
        client: calls it; closed by whoever has created it.
        clock: the source of time.
        on_change: called when a key is not trusted any more.
    """

    def __init__(
        self,
        url: str,
        client: IssuerClient,
        clock: Clock,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.url = url
        self._client = client
        self._clock = clock
        self._on_change = on_change
        self._flights: SingleFlight[str, None] = SingleFlight(clock, max_waiters=MAX_WAITERS)
        self._published: Published | None = None
        self._last_error = ""
        self._failures = 0
        self._loaded_at: datetime | None = None
        self._fetched_at = -inf
        self._timer: TimerHandle | None = None
        self._is_closed = False

    @property
    def state(self) -> IssuerState:
        """The state of the issuer, for operators."""
        keys = len(self._published.keys.keys) if self._published else 0
        return IssuerState(self.url, keys, self._loaded_at, self._last_error)

    def start(self) -> None:
        """Fetch metadata and keys in the background, unless that was started before."""
        if self._fetched_at == -inf:
            self._launch()

    async def metadata(self) -> Metadata:
        """Return where the endpoints of the issuer are, and what they support.

        Raises:
            IssuerUnavailable: it has not been reached.
        """
        return (await self._load()).metadata

    async def verify(self, token: bytes) -> Claims:
        """Return the claims of a token that the issuer has signed, without checking them.

        Waits at most `MAX_WAIT_SECONDS` if the keys must be fetched.

        Raises:
            InvalidToken: it is malformed, or not signed with a key of the issuer.
            IssuerUnavailable: it is not known whether the issuer has signed it.
        """
        published = await self._load()
        try:
            return verify(token, published.keys)
        except UnknownKey:
            newer = await self._load_newer()
            if newer.keys == published.keys:
                raise
        return verify(token, newer.keys)

    async def close(self, timeout: float) -> None:
        """Stop refreshing; wait at most `timeout` seconds for a fetch in progress."""
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        await self._flights.close(timeout)

    async def _load(self) -> Published:
        if self._published is None:
            self.start()
            await self._wait()
        if self._published is None:
            raise self._unavailable()
        return self._published

    async def _load_newer(self) -> Published:
        """Return what is published now, fetched again if that is allowed."""
        if self._clock.monotonic() - self._fetched_at >= MIN_FETCH_SECONDS:
            self._launch()
        is_done = await self._wait()
        if not is_done or self._last_error or self._published is None:
            raise self._unavailable()
        return self._published

    async def _wait(self) -> bool:
        """Wait for the fetch in progress, if there is one; return whether none is any more."""
        flight = self._flights.get(self.url)
        if flight is None:
            return True
        try:
            return await flight.wait(MAX_WAIT_SECONDS)
        except TooManyWaiters:
            return False

    def _unavailable(self) -> IssuerUnavailable:
        if self._flights.get(self.url):
            return IssuerUnavailable(self._last_error or "its keys are being fetched", 1.0)
        next_fetch_at = self._fetched_at + self._seconds_to_next_fetch()
        seconds = max(next_fetch_at - self._clock.monotonic(), 1.0)
        return IssuerUnavailable(self._last_error, seconds)

    def _launch(self) -> None:
        if self._is_closed or self._flights.get(self.url):
            return
        if self._timer:
            self._timer.cancel()
        self._fetched_at = self._clock.monotonic()
        self._flights.launch(self.url, self._refresh)

    async def _refresh(self) -> None:
        try:
            metadata = await discover(self._client, self.url)
            keys = await fetch_keys(self._client, metadata)
        except IssuerError as error:
            self._on_failure(str(error))
        except Exception:
            # Nothing else would report it, and the refreshing must go on.
            _logger.exception("unhandled_exception")
            self._on_failure("internal error")
        else:
            self._on_success(Published(metadata, keys))
        self._timer = self._clock.call_later(self._seconds_to_next_fetch(), self._launch)

    def _seconds_to_next_fetch(self) -> float:
        if not self._failures:
            return REFRESH_SECONDS
        if self._published:
            return MIN_FETCH_SECONDS
        return min(FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 10), MIN_FETCH_SECONDS)

    def _on_failure(self, message: str) -> None:
        self._failures += 1
        if message != self._last_error:
            fields = {"issuer": self.url, "error": message, "active_keys": self.state.keys}
            _logger.warning("issuer_refresh_failed", extra={"fields": fields})
        self._last_error = message

    def _on_success(self, published: Published) -> None:
        previous = self._published
        self._published = published
        self._loaded_at = self._clock.now()
        if previous is None or previous.keys != published.keys or self._last_error:
            fields = {"issuer": self.url, "keys": len(published.keys.keys)}
            _logger.info("issuer_keys_loaded", extra={"fields": fields})
        self._failures, self._last_error = 0, ""
        if previous and not published.keys.includes(previous.keys):
            self._on_change()
