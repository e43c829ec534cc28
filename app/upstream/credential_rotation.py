"""Replaces the credential of a running proxy: a candidate is verified before it is used.

Has no access to files or signals. It is given a function that detects changes and one that reads
the configured credential, and polls them on the clock.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable

from app.clock import Clock
from app.upstream.client import UpstreamClient
from app.upstream.credentials import AccessKey
from app.upstream.errors import (
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamPlanRequired,
    UpstreamRejected,
)

POLL_SECONDS = 1.0
"""Seconds between two looks at the sources. A change is read once two in a row see the same state,
because id and secret are separate files and one of them is written first."""

UNVERIFIED_RETRY_SECONDS = 10.0
"""Seconds before a candidate is tried again that the upstream neither accepted nor rejected."""

REJECTED_RETRY_SECONDS = 60.0
"""Seconds before a rejected candidate is tried again: the upstream may not have it yet."""

_logger = logging.getLogger("orders_bff.upstream")


class CredentialRotation:
    """Polls for another credential and switches the client to it once it is verified.

    Args:
        client: the client whose credential is rotated.
        clock: the only source of time.
        current: the access key that the client was created with.
        fingerprint: returns the state of the credential's sources; another value means a change.
        read: returns the configured access key, or raises ValueError with a message that
            contains no secret.
        deadline: seconds that verifying a candidate may take.
    """

    def __init__(
        self,
        client: UpstreamClient,
        clock: Clock,
        *,
        current: AccessKey,
        fingerprint: Callable[[], Hashable],
        read: Callable[[], AccessKey],
        deadline: float,
    ) -> None:
        self._client = client
        self._clock = clock
        self._current = current
        self._fingerprint = fingerprint
        self._read = read
        self._deadline = deadline
        self._last_fingerprint = fingerprint()
        # Nothing has been read yet: a change during the start is found as well.
        self._read_fingerprint: Hashable = None
        self._reload_requested = False
        self._retry_at: float | None = None
        self._last_event = ""
        self._check_in_progress: asyncio.Task[None] | None = None

    def reload(self) -> None:
        """Read the credential at the next poll, even if no change is detected."""
        self._reload_requested = True

    async def run(self) -> None:
        """Poll until cancelled, which does not end a check in progress; `close` does."""
        while True:
            await self._clock.sleep(POLL_SECONDS)
            is_checking = self._check_in_progress and not self._check_in_progress.done()
            if not is_checking and self._is_due():
                check = self._check(requested=self._reload_requested)
                self._reload_requested = False
                self._check_in_progress = asyncio.create_task(check)

    async def close(self, seconds: float) -> None:
        """Wait at most `seconds` for a check in progress, then cancel it."""
        if self._check_in_progress:
            await self._clock.finishes_within(self._check_in_progress, seconds)
            self._check_in_progress.cancel()
            await asyncio.wait([self._check_in_progress])

    def _is_due(self) -> bool:
        """Return whether to read the sources now, and note that they are read."""
        fingerprint, previous = self._fingerprint(), self._last_fingerprint
        self._last_fingerprint = fingerprint
        changed = fingerprint == previous != self._read_fingerprint
        retry = self._retry_at is not None and self._clock.monotonic() >= self._retry_at
        if not (changed or retry or self._reload_requested):
            return False
        if changed or self._reload_requested:
            self._last_event = ""
        self._retry_at = None
        self._read_fingerprint = fingerprint
        return True

    async def _check(self, *, requested: bool) -> None:
        try:
            await self._read_and_switch(requested=requested)
        except Exception:
            # Nobody awaits this task, so nobody else would report it. The next poll goes on.
            _logger.exception("unhandled_exception")

    async def _read_and_switch(self, *, requested: bool) -> None:
        try:
            access_key = self._read()
        except ValueError as error:
            self._retry_at = self._clock.monotonic() + REJECTED_RETRY_SECONDS
            self._log_once(logging.ERROR, "credential_unreadable", message=str(error))
            return
        if access_key == self._current:
            if requested:
                self._log_once(logging.INFO, "credential_unchanged")
            return
        deadline = self._clock.monotonic() + self._deadline
        unused = candidate = self._client.make_credential(access_key)
        try:
            unused = await self._client.switch_credential(candidate, deadline=deadline)
        except (UpstreamCredentialRejected, UpstreamPlanRequired, UpstreamRejected) as error:
            self._retry_later("credential_rejected", error, REJECTED_RETRY_SECONDS)
        except UpstreamError as error:
            self._retry_later("credential_not_verified", error, UNVERIFIED_RETRY_SECONDS)
        else:
            self._current = access_key
            self._log_once(logging.INFO, "credential_rotated")
        # A renewal in progress ends by its own timeouts, and whoever waits for it gets its result.
        await unused.close(2 * self._deadline)

    def _retry_later(self, event: str, error: UpstreamError, seconds: float) -> None:
        self._retry_at = self._clock.monotonic() + seconds
        self._log_once(logging.ERROR, event, **error.log_fields())

    def _log_once(self, level: int, event: str, **fields: object) -> None:
        """Log once per change: a retry that ends the same way is not logged again."""
        if event != self._last_event:
            self._last_event = event
            _logger.log(level, event, extra={"fields": fields})
