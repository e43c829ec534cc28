"""Another credential for a proxy that runs already: tried before it is used, refused in a line.

Knows neither files nor signals: it is given what tells that something may have changed, and what
reads the credential as it stands now. The clock makes it look; nobody waits in a thread.
"""

import logging
from collections.abc import Callable, Hashable
from functools import partial

from app.clock import Clock
from app.single_flight import SingleFlight
from app.upstream.client import UpstreamClient
from app.upstream.credentials import AccessKey
from app.upstream.errors import (
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamPlanRequired,
    UpstreamRejected,
)

LOOK_EVERY = 1.0
"""Seconds between two looks. What changed is read when two looks in a row see the same: id and
secret are files of their own, and one of them is written first."""

UNVERIFIED_RETRY_SECONDS = 10.0
"""Seconds until one is tried again of which the upstream did not say whether it is good."""

REJECTED_RETRY_SECONDS = 60.0
"""Seconds until one is tried again that was refused: the upstream may not know it yet."""

_logger = logging.getLogger("orders_bff.upstream")


class CredentialRotation:
    """Looks for another credential, and has the client adopt it once it has proved good.

    Args:
        client: asks with the credential in use.
        clock: the only source of time.
        in_use: what the client was opened with.
        state: what the sources of the credential look like; another value tells of a change.
        read: the access key as it stands there, or ValueError in words that hold nothing of it.
        deadline: seconds that one trial may take.
    """

    def __init__(
        self,
        client: UpstreamClient,
        clock: Clock,
        *,
        in_use: AccessKey,
        state: Callable[[], Hashable],
        read: Callable[[], AccessKey],
        deadline: float,
    ) -> None:
        self._client = client
        self._clock = clock
        self._in_use = in_use
        self._state = state
        self._read = read
        self._deadline = deadline
        self._looked_like = state()
        # Nothing is read yet: what changed while we started is found as well.
        self._read_at: Hashable = None
        self._asked_for = False
        self._again_at: float | None = None
        self._told = ""
        self._trials: SingleFlight[None, None] = SingleFlight(clock)

    def reload(self) -> None:
        """Read the credential at the next look, whether or not something seems to have changed."""
        self._asked_for = True

    async def run(self) -> None:
        """Look until cancelled; a trial under way is nobody's to cancel, and goes on."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            if not self._trials.get(None) and self._is_due():
                self._trials.launch(None, partial(self._try, asked_for=self._asked_for))
                self._asked_for = False

    async def close(self, seconds: float) -> None:
        """Let a trial run out, at most `seconds`."""
        await self._trials.close(seconds)

    def _is_due(self) -> bool:
        state, before = self._state(), self._looked_like
        self._looked_like = state
        changed = state == before != self._read_at
        again = self._again_at is not None and self._clock.monotonic() >= self._again_at
        if not (changed or again or self._asked_for):
            return False
        if changed or self._asked_for:
            self._told = ""
        self._again_at = None
        self._read_at = state
        return True

    async def _try(self, *, asked_for: bool) -> None:
        try:
            await self._look(asked_for=asked_for)
        except Exception:
            # Nobody waits for this, so nobody else would tell; and the next look is another chance.
            _logger.exception("unhandled_exception")

    async def _look(self, *, asked_for: bool) -> None:
        try:
            offered = self._read()
        except ValueError as error:
            self._again_at = self._clock.monotonic() + REJECTED_RETRY_SECONDS
            self._tell(logging.ERROR, "credential_unreadable", fault=str(error))
            return
        if offered == self._in_use:
            if asked_for:
                self._tell(logging.INFO, "credential_unchanged")
            return
        until = self._clock.monotonic() + self._deadline
        retired = candidate = self._client.make_credential(offered)
        try:
            retired = await self._client.switch_credential(candidate, deadline=until)
        except (UpstreamCredentialRejected, UpstreamPlanRequired, UpstreamRejected) as error:
            self._not_now("credential_refused", error, REJECTED_RETRY_SECONDS)
        except UpstreamError as error:
            self._not_now("credential_untried", error, UNVERIFIED_RETRY_SECONDS)
        else:
            self._in_use = offered
            self._tell(logging.INFO, "credential_exchanged")
        # What it has under way ends by its own timeouts: who waits for it is answered.
        await retired.close(2 * self._deadline)

    def _not_now(self, event: str, error: UpstreamError, pause: float) -> None:
        self._again_at = self._clock.monotonic() + pause
        facts = {
            "reason": str(error),
            "status_code": error.status_code,
            "api_code": error.api_code,
            "upstream_request_id": error.request_id,
        }
        known = {name: fact for name, fact in facts.items() if fact is not None}
        self._tell(logging.ERROR, event, **known)

    def _tell(self, level: int, event: str, **facts: object) -> None:
        """Once for each change: it is tried again, and again says the same."""
        if event != self._told:
            self._told = event
            _logger.log(level, event, extra={"fields": facts})
