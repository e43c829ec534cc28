"""Faults that come and go, and outages: what a wire and a sandbox do to the proxy."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from app.sandbox.server import SandboxServer
from tests.faults import tcp_faults
from tests.faults.tcp_proxy import Damage, Wire, whole
from tests.soak.caller import Caller
from tests.soak.load import as_of

DAMAGES: tuple[Damage, ...] = (
    tcp_faults.late(0.7),
    tcp_faults.drip(0.005),
    tcp_faults.silence,
    tcp_faults.silence_within,
    tcp_faults.close_before,
    tcp_faults.dies_idle,
    tcp_faults.half_close,
    tcp_faults.reset_before,
    tcp_faults.reset_within,
    tcp_faults.reset_after,
    tcp_faults.longer_than_it_is,
    tcp_faults.longer_and_closed,
    tcp_faults.shorter_than_it_is,
    tcp_faults.answered_twice,
    tcp_faults.gzip_cut,
    tcp_faults.gzip_garbage,
    tcp_faults.endless_head,
    tcp_faults.no_http,
    tcp_faults.instead(b"[]"),
)
FAULTS = (
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
SHORT, LONG = (0.5, 6.0), (12.0, 20.0)
"""Seconds of a fault, and of an outage."""

OUTAGE_EVERY = 5
"""Of so many faults, one is an outage."""


class Weather:
    """What passes between the proxy at `port` and its upstream.

    Attributes:
        seen: how many faults there were.
        recoveries: after each outage, the seconds until an answer was fresh and asked for after it.
    """

    def __init__(self, port: int, wire: Wire, upstream: SandboxServer, *, seed: int) -> None:
        self.seen = 0
        self.recoveries: list[float] = []
        self._port = port
        self._wire = wire
        self._upstream = upstream
        self._dice = random.Random(seed)  # noqa: S311  the same weather in each run

    async def change(self, over: asyncio.Event, *, scale: float) -> None:
        """Faults come and go until it is over; `scale` shortens them for a short run."""
        while not over.is_set():
            self.seen += 1
            if self.seen % OUTAGE_EVERY == 0:
                await self.outage(
                    self._dice.choice(self.outages()), over, _span(self._dice, LONG, scale)
                )
            else:
                self._something()
                await _wait(over, _span(self._dice, SHORT, scale))
                self._calm()
                await _wait(over, _span(self._dice, SHORT, scale))

    async def outage(
        self, begin: Callable[[], Awaitable[None]], over: asyncio.Event, seconds: float
    ) -> None:
        """No answer for so long; then see how long it takes to be fresh again."""
        await begin()
        await _wait(over, seconds)
        self._calm()
        await self._wire.up()
        self.recoveries.append(await self.recovered())

    def outages(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """The ways to be away."""

        async def failing() -> None:
            self._upstream.sandbox.inject("html=503")

        async def silent() -> None:
            self._wire.damage = tcp_faults.silence

        async def deaf() -> None:
            await self._wire.up(deaf=True)

        return self._wire.down, failing, silent, deaf

    async def recovered(self) -> float:
        """Seconds until what is served was asked for after this moment; a minute at most."""
        caller = Caller(self._port)
        back, started = datetime.now(UTC), time.monotonic()
        while time.monotonic() - started < 60:
            answer = await caller.get("/v1/orders?page=1&limit=10")
            if answer.status == 200 and as_of(answer) > back:
                break
            await asyncio.sleep(0.1)
        await caller.aclose()
        return time.monotonic() - started

    def _something(self) -> None:
        if self._dice.random() < 0.5:
            self._wire.damage = self._dice.choice(DAMAGES)
        else:
            self._upstream.sandbox.inject(self._dice.choice(FAULTS))

    def _calm(self) -> None:
        self._wire.damage = whole
        self._upstream.sandbox.inject()


def _span(dice: random.Random, bounds: tuple[float, float], scale: float) -> float:
    return dice.uniform(*bounds) * scale


async def _wait(over: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass
