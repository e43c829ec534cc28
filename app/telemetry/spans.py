"""What the middleware and the upstream client need to record spans, without OpenTelemetry.

`app/telemetry/tracing.py` implements it, and is imported only if tracing is configured.
"""

from collections.abc import Mapping
from typing import Protocol


class RequestSpan(Protocol):
    """The span of one request of a caller."""

    def end(self, *, route: str, attributes: Mapping[str, str | int], failed: bool) -> None:
        """End it now.

        Args:
            route: the template of the route, which becomes a part of the name.
            attributes: nothing that a caller chose.
            failed: whether the proxy or the upstream is to blame.
        """


class CallSpan(Protocol):
    """The span of one call to the upstream."""

    headers: Mapping[str, str]
    """The trace context to send with the call (W3C Trace Context)."""

    def end(self, *, attributes: Mapping[str, str | int], failed: bool) -> None:
        """End it now."""


class Tracing(Protocol):
    """Starts spans."""

    def start_request(
        self, method: str, headers: Mapping[bytes, bytes], seconds_ago: float = 0.0
    ) -> RequestSpan:
        """Start the span of a request whose caller may have sent a trace context in `headers`.

        It is the parent of the calls that the current task, and tasks started by it, make. One that
        began `seconds_ago` is recorded afterwards, and is the parent of nothing.
        """

    def start_call(self, operation: str) -> CallSpan:
        """Start the span of a call to the endpoint with that name."""

    async def close(self, timeout: float) -> None:
        """Send what has been recorded, within `timeout` seconds."""
