"""`python -m bench.whole_list`: questions over 100,000 held orders, and for how long others wait.

The proxy and the embedded upstream in one process, without sockets. A stall is the CPU time that
passes between two turns of the event loop: on a shared machine the wall clock tells of others.
"""

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from starlette.types import Message

from app.clock import SystemClock
from app.main import App, create_app
from app.sandbox.app import create_sandbox
from app.sandbox.options import Options
from app.settings import load
from bench.load import resident_mib

ORDERS = 100_000
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
    """All questions, each twice."""
    options = Options(orders=orders, max_calls_per_second=0)
    sandbox = create_sandbox(options, clock=SystemClock())
    settings = load(
        {"ORDERS_CALLERS__ANONYMOUS": "true"},
        upstream={
            "base_url": "http://127.0.0.1:9",
            "access_key_id": options.access_key_id,
            "access_key_secret": options.access_key_secret,
            "max_rate": 100_000,
            "deadline": 600,
        },
        cache={"ttl": 3600},
    )
    app = create_app(settings, transport=httpx.ASGITransport(sandbox))
    await app_answers(app, "?limit=1")
    gc.collect()
    gc.freeze()  # as the server does at its start
    before = resident_mib(os.getpid())
    heart = Heartbeat()
    await asyncio.sleep(0)
    with heart.watched() as took:
        await app_answers(app, "?status=paid")
    started = time.thread_time()
    gc.collect()
    collected = time.thread_time() - started
    per_order = (resident_mib(os.getpid()) - before) * 1024 * 1024 / orders
    print(f"{orders} orders are held, {per_order:.0f} bytes each (resident memory);")
    print(f"  while they were read, the upstream here as well: {took[0] * 1000:.1f} ms")
    print(f"  one full collection of garbage: {collected * 1000:.1f} ms")
    print("question: longest stall and all CPU time, in ms; then the same for asking it again")
    for question in QUESTIONS:
        told = []
        for _ in range(2):
            with heart.watched() as took:
                await app_answers(app, question)
            told.append(f"{took[0] * 1000:6.1f} {took[1] * 1000:7.1f}")
        print(f"  {question:64} {told[0]}   {told[1]}")


async def app_answers(app: App, question: str) -> None:
    """Ask, and read the answer as it comes."""
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
    statuses = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    if statuses != [200]:
        raise SystemExit(f"{question} was answered {statuses}")


if __name__ == "__main__":
    asyncio.run(bench(ORDERS))
