"""`python -m bench.whole_list`: 100,000 held orders, and for how long others wait.

The proxy in this process, called without a socket; the embedded upstream in another, behind one. A
stall is the CPU time that passes between two turns of the event loop: on a shared machine the wall
clock tells of others.
"""

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from starlette.types import Message
from uvicorn.loops.auto import auto_loop_factory

from app.clock import SystemClock
from app.main import App, create_app
from app.sandbox.options import Options
from app.settings import load
from bench.load import resident_mib
from bench.servers import server

ORDERS = 100_000
PORT = 8707
TTL = 3600
FILTERED = "?status=paid"
QUESTIONS = (
    "?sort=-created_at&limit=50",
    "?sort=actual_amount&limit=50",
    "?sort=order_no&limit=50",
    "?status=paid&status=completed&q=enterprise&sort=-actual_amount",
    "?created_from=2026-01-01&time_zone=Asia/Shanghai",
    "/summary",
    "/summary?status=paid&time_zone=Asia/Shanghai",
    "/changes",
    "/export?format=csv",
    "/export?format=ndjson&include=rev",
)


class Ahead(SystemClock):
    """The machine's clock, put forward."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Later than it is."""
        return super().monotonic() + self.seconds


class Heartbeat:
    """The longest turn of the event loop, in seconds of CPU time."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.thread_time()
        self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - self._last)
            self._last = now

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """Gives a list that has the longest turn and the CPU seconds once it is left."""
        told: list[float] = []
        self.longest, started = 0.0, time.thread_time()
        self._last = started
        yield told
        told += [self.longest, time.thread_time() - started]


async def bench(orders: int) -> None:
    """Read the list, ask all questions, each twice, and read it again."""
    options = Options()
    upstream = f"http://127.0.0.1:{PORT}"
    sandbox = ["app", "sandbox", "--port", str(PORT), "--orders", str(orders)]
    with server([*sandbox, "--max-calls-per-second", "0"], PORT):
        clock = Ahead()
        settings = load(
            {"ORDERS_CALLERS__ANONYMOUS": "true"},
            upstream={
                "base_url": upstream,
                "access_key_id": options.access_key_id,
                "access_key_secret": options.access_key_secret,
                "max_rate": 100_000,
                "deadline": 600,
            },
            cache={"ttl": TTL, "max_orders": orders + 1},
        )
        app = create_app(settings, clock=clock)
        await freshness(app, "?limit=1")
        gc.collect()
        gc.freeze()  # as the server does at its start
        before = resident_mib(os.getpid())
        heart = Heartbeat()
        await asyncio.sleep(0)
        with heart.watched() as reading:
            await freshness(app, FILTERED)
        per_order = (resident_mib(os.getpid()) - before) * 1024 * 1024 / orders
        print(f"{orders:,} orders are held, {per_order:.0f} bytes each (resident memory)")
        print(f"{'longest stall and all CPU time, in ms':66} {'asked':>14}   {'asked again':>14}")
        _tell("the list is read for the first time", reading)
        for question in QUESTIONS:
            told = []
            for _ in range(2):
                with heart.watched() as took:
                    await freshness(app, question)
                told.append(took)
            _tell(question, *told)
        with heart.watched() as took:
            await refreshed(app, clock)
        _tell("every block is read again, and says the same", took)
        async with httpx.AsyncClient() as client:
            body = {"faults": ["arrivals=1,times=1"]}
            (await client.put(f"{upstream}/sandbox/faults", json=body)).raise_for_status()
        with heart.watched() as took:
            await refreshed(app, clock)
        _tell("every block is read again, and each has moved", took)
        started = time.thread_time()
        gc.collect()
        took = [time.thread_time() - started] * 2
        _tell("one full collection of garbage", took)


def _tell(what: str, *took: list[float]) -> None:
    times = "   ".join(f"{longest * 1000:6.1f} {cpu * 1000:7.1f}" for longest, cpu in took)
    print(f"  {what:64} {times}", flush=True)


async def refreshed(app: App, clock: Ahead) -> None:
    """Let all be stale, ask, and see it read again behind."""
    clock.seconds += TTL
    for _ in range(500):
        if await freshness(app, FILTERED) == b"fresh":
            # What changed is looked for then, and the list that was is let go.
            await freshness(app, "/changes")
            return
        await asyncio.sleep(0.2)
    raise SystemExit("the list was not read again")


async def freshness(app: App, question: str) -> bytes:
    """Ask, read the answer as it comes, and give what its X-Freshness says."""
    path, _, query = f"/v1/orders{question}".partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    statuses: list[int] = []
    headers: dict[bytes, bytes] = {}

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            headers.update(message["headers"])

    await app(scope, receive, send)
    if statuses != [200]:
        raise SystemExit(f"{question} was answered {statuses}")
    return headers[b"x-freshness"]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(bench(ORDERS))
