"""A random sequence of faults and outages between the proxy and its upstream."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from app.sandbox.server import SandboxServer
from tests.faults import tcp_faults
from tests.faults.tcp_proxy import Fault, TcpProxy, forward
from tests.soak.caller import Caller
from tests.soak.load import as_of

RESPONSE_FAULTS: tuple[Fault, ...] = (
    tcp_faults.delay(0.7),
    tcp_faults.trickle(0.005),
    tcp_faults.no_response,
    tcp_faults.stall_midway,
    tcp_faults.close_before_response,
    tcp_faults.close_on_reuse,
    tcp_faults.half_close_midway,
    tcp_faults.reset_before_response,
    tcp_faults.reset_midway,
    tcp_faults.reset_after_response,
    tcp_faults.content_length_too_long,
    tcp_faults.content_length_too_long_then_close,
    tcp_faults.content_length_too_short,
    tcp_faults.duplicate_response,
    tcp_faults.truncated_gzip,
    tcp_faults.invalid_gzip,
    tcp_faults.endless_headers,
    tcp_faults.not_http,
    tcp_faults.replace_with(b"[]"),
)
SANDBOX_FAULTS = (
    "arrivals=3",
    "arrivals=20",
    "latency=0.3",
    "html=502,times=3",
    "html=503",
    "status=500,times=5",
    "status=500",
    "status=429",
    "throttle",
    "throttle=2",
    "revoke_tokens,times=1",
    "half_body,times=2",
    "reset,times=2",
)
FAULT_SECONDS, OUTAGE_SECONDS = (0.5, 6.0), (12.0, 20.0)
"""The shortest and longest duration of a fault, and of an outage."""

OUTAGE_EVERY = 5
"""One of this many faults is an outage."""


class FaultSchedule:
    """Starts and ends faults between the proxy on `port` and its upstream.

    Attributes:
        fault_count: how many faults there were, outages included.
        recoveries: the seconds from the end of each outage until the proxy had recovered.
    """

    def __init__(
        self, port: int, tcp_proxy: TcpProxy, upstream: SandboxServer, *, seed: int
    ) -> None:
        self.fault_count = 0
        self.recoveries: list[float] = []
        self._port = port
        self._tcp_proxy = tcp_proxy
        self._upstream = upstream
        self._rng = random.Random(seed)  # noqa: S311  the same faults in each run

    async def run(self, stop: asyncio.Event, *, scale: float) -> None:
        """Run faults until `stop` is set. `scale` shortens them for a short run."""
        while not stop.is_set():
            self.fault_count += 1
            if self.fault_count % OUTAGE_EVERY == 0:
                await self.run_outage(
                    self._rng.choice(self._outages()), stop, self._duration(OUTAGE_SECONDS, scale)
                )
            else:
                self._start_random_fault()
                await _wait(stop, self._duration(FAULT_SECONDS, scale))
                self._end_fault()
                await _wait(stop, self._duration(FAULT_SECONDS, scale))

    async def run_outage(
        self, start: Callable[[], Awaitable[None]], stop: asyncio.Event, seconds: float
    ) -> None:
        """Make the upstream unavailable for `seconds`, then measure the recovery."""
        await start()
        await _wait(stop, seconds)
        self._end_fault()
        await self._tcp_proxy.start()
        self.recoveries.append(await self._measure_recovery())

    def _outages(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        async def fail() -> None:
            self._upstream.sandbox.inject("html=503")

        async def never_respond() -> None:
            self._tcp_proxy.fault = tcp_faults.no_response

        async def never_read() -> None:
            await self._tcp_proxy.start(reads=False)

        return self._tcp_proxy.stop, fail, never_respond, never_read

    async def _measure_recovery(self) -> float:
        """Return the seconds until a response was fetched after this call; at most 60."""
        caller = Caller(self._port)
        outage_end, started = datetime.now(UTC), time.monotonic()
        while time.monotonic() - started < 60:
            response = await caller.get("/v1/orders?page=1&limit=10")
            if response.status == 200 and as_of(response) > outage_end:
                break
            await asyncio.sleep(0.1)
        await caller.aclose()
        return time.monotonic() - started

    def _start_random_fault(self) -> None:
        if self._rng.random() < 0.5:
            self._tcp_proxy.fault = self._rng.choice(RESPONSE_FAULTS)
        else:
            self._upstream.sandbox.inject(self._rng.choice(SANDBOX_FAULTS))

    def _end_fault(self) -> None:
        self._tcp_proxy.fault = forward
        self._upstream.sandbox.inject()

    def _duration(self, bounds: tuple[float, float], scale: float) -> float:
        return self._rng.uniform(*bounds) * scale


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `seconds`, or until `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
