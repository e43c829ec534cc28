"""Replaces the credential of a running proxy: a candidate is verified before it is used.

It does not watch files or signals: its owner calls `reload` when the configured credential may have
changed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.clock import Clock, TimerHandle
from app.upstream.client import UpstreamClient
from app.upstream.credentials import AccessKey
from app.upstream.errors import (
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamPlanRequired,
    UpstreamRejected,
)

UNVERIFIED_RETRY_SECONDS = 10.0
"""Seconds before a candidate is tried again that the upstream neither accepted nor rejected."""

REJECTED_RETRY_SECONDS = 60.0
"""Seconds before a rejected candidate is tried again: the upstream may not have it yet."""

_logger = logging.getLogger("orders_bff.upstream")


class CredentialRotation:
    """Switches the client to another credential once that is verified.

    The client was created with the access key `current`. `read` returns the configured one, or
    raises ValueError with a message that contains no secret. Verifying a candidate may take
    `deadline` seconds.
    """

    def __init__(
        self,
        client: UpstreamClient,
        clock: Clock,
        *,
        current: AccessKey,
        read: Callable[[], Awaitable[AccessKey]],
        deadline: float,
    ) -> None:
        self._client = client
        self._clock = clock
        self._current = current
        self._read = read
        self._deadline = deadline
        self._last_error = ""
        self._is_due = False
        self._is_requested = False
        self._checks: asyncio.Task[None] | None = None
        self._retry: TimerHandle | None = None

    def reload(self, *, requested: bool = True) -> None:
        """Read the configured credential, and use it if it is another one that can be verified.

        If an operator has `requested` it, it is also logged that the credential is unchanged.
        """
        self._last_error = ""
        self._is_requested |= requested
        self._check_now()

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for a check in progress, then cancel it."""
        if self._checks:
            await self._clock.finishes_within(self._checks, timeout)
            self._checks.cancel()
            await asyncio.wait([self._checks])
        self._cancel_retry()

    def _check_now(self) -> None:
        """Start a check; one in progress is followed by another."""
        self._cancel_retry()
        self._is_due = True
        if self._checks is None or self._checks.done():
            self._checks = asyncio.create_task(self._run_checks())

    def _cancel_retry(self) -> None:
        if self._retry:
            self._retry.cancel()

    async def _run_checks(self) -> None:
        while self._is_due:
            self._is_due = False
            requested, self._is_requested = self._is_requested, False
            try:
                await self._check(requested=requested)
            except Exception:
                # Nobody awaits this task, so nobody else would report it.
                _logger.exception("unhandled_exception")

    async def _check(self, *, requested: bool) -> None:
        try:
            access_key = await self._read()
        except ValueError as error:
            fields: dict[str, object] = {"message": str(error)}
            self._retry_in(REJECTED_RETRY_SECONDS, "credential_unreadable", fields)
            return
        if access_key == self._current:
            if requested:
                _logger.info("credential_unchanged")
            return
        deadline = self._clock.monotonic() + self._deadline
        unused = candidate = self._client.make_credential(access_key)
        try:
            unused = await self._client.switch_credential(candidate, deadline=deadline)
        except (UpstreamCredentialRejected, UpstreamPlanRequired, UpstreamRejected) as error:
            self._retry_in(REJECTED_RETRY_SECONDS, "credential_rejected", error.log_fields())
        except UpstreamError as error:
            self._retry_in(UNVERIFIED_RETRY_SECONDS, "credential_not_verified", error.log_fields())
        else:
            self._current = access_key
            _logger.info("credential_rotated")
        # A renewal in progress ends by its own timeouts, and whoever waits for it gets its result.
        await unused.close(2 * self._deadline)

    def _retry_in(self, seconds: float, event: str, fields: dict[str, object]) -> None:
        """Check again in `seconds`; log the event unless the previous check ended the same way."""
        self._retry = self._clock.call_later(seconds, self._check_now)
        if event != self._last_error:
            self._last_error = event
            _logger.error(event, extra={"fields": fields})
