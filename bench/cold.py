"""A cold page that everybody wants at once: from the upstream's answer to theirs."""

import asyncio
import statistics
import time

from app.clock import SystemClock
from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from app.single_flight import SingleFlight
from bench.load import connected, question
from bench.servers import HEADERS, PAGE, access_lines, proxy, server

CALLERS = 1000
HELD_SECONDS = 3.0
"""How long the upstream holds its answer: until all callers wait, and less than a read may take."""

ROUNDS = 20


class HeldBack(SystemClock):
    """The upstream's clock: its answers wait until the gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.answered = 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait for the gate, whatever was asked for."""
        del seconds
        await self.gate.wait()
        self.answered = time.monotonic()


async def cold_page() -> None:
    """1,000 callers, connected before, who all ask for a page that nobody has asked for yet."""
    clock = HeldBack()
    options = Options(max_calls_per_second=0, faults=("latency=1,times=1,path=get-orders",))
    async with SandboxServer(options, clock=clock) as upstream:
        with server(*proxy(upstream.base_url, options, 8704)) as ours:
            callers = await connected(8704, CALLERS)
            for caller in callers:
                caller.transport.write(question(PAGE, HEADERS))
            await asyncio.sleep(HELD_SECONDS)
            waiting = sum(not caller.done.done() for caller in callers)
            clock.gate.set()
            good = sum(await asyncio.gather(*(caller.done for caller in callers)))
            for caller in callers:
                caller.transport.close()
        outcomes = [line["outcome"] for line in access_lines(ours) if line.get("outcome")]
        calls = upstream.sandbox.calls
    told = ", ".join(f"{n} {path.rpartition('/')[2]}" for path, n in calls.items() if n)
    print(f"{CALLERS:,} callers on a cold page: {waiting:,} waited, {good:,} answered; {told};")
    print(f"  {outcomes.count('miss')} miss, {outcomes.count('collapsed')} collapsed;", end="")
    after = sorted((caller.answered - clock.answered) * 1000 for caller in callers)
    print(
        f" from the upstream's answer to the first {after[0]:.0f} ms, the last {after[-1]:.0f} ms"
    )


async def follower_wakeups() -> None:
    """From the landing of a flight until each of 1,000 followers runs again, within one process."""
    worst, middle = [], []
    for _ in range(ROUNDS):
        waits = await _wakeups()
        worst.append(waits[len(waits) * 99 // 100])
        middle.append(waits[len(waits) // 2])
    p50, p99 = statistics.median(middle), statistics.median(worst)
    print(
        f"wake-up of {CALLERS:,} followers of a flight, median of {ROUNDS}: "
        f"p50 {p50:.2f} ms, p99 {p99:.2f} ms ({min(worst):.2f} to {max(worst):.2f})"
    )


async def _wakeups() -> list[float]:
    flights: SingleFlight[int, float] = SingleFlight(SystemClock())
    gate = asyncio.Event()

    async def work() -> float:
        await gate.wait()
        return time.perf_counter()

    flight = flights.launch(0, work)
    waits = []

    async def follow() -> None:
        await flight.landed_within(8)
        waits.append((time.perf_counter() - flight.result()) * 1000)

    following = [asyncio.ensure_future(follow()) for _ in range(CALLERS)]
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(*following)
    return sorted(waits)
