"""`python -m bench.worst_requests`: how long the worst requests block the event loop.

The first list has as many orders with the longest names as the cache admits, each order on a day of
its own. The second one has few orders with the largest upstream objects. The third one has 100,000
ordinary orders, and is edited until the history of changes is full. The proxy runs in this process
on a scripted network. A stall is the CPU time of one callback of the event loop.
"""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from itertools import repeat
from urllib.parse import quote

from app.http import MockTransport, Request, Response
from app.main import App, create_app
from app.settings import load
from bench.event_loop_stalls import OffsetClock, StallMonitor, load_list, request
from bench.load import NO_LIMITS

TTL = 3600
ORDERS = 30_000
LONG_NAME = "a" * 1000
WORST_QUERY = "a" * 80 + "b" + "a" * 19
"""A text that is found nowhere in a long name, and is compared for long at each position of it."""

LONG = "?" + "&".join(
    [f"q={WORST_QUERY}"]
    + [f"{name}={value}" for name, value in (("created_from", "0001-01-01"), ("status", "paid"))]
)
FIFTY_NUMBERS = "&".join(f"order_no={at:064d}" for at in range(0, ORDERS, ORDERS // 50))
REQUESTS = (
    "?limit=50&include=rev&include=origin&include=raw",
    *(f"?limit=50&sort={sort}" for sort in ("created_at", "-actual_amount", "order_no", "status")),
    f"?q={WORST_QUERY}",
    LONG,
    "?q=" + quote("\ufdfa" * 100),
    "?amount_from=0&amount_to=" + "9" * 20 + "&sort=-actual_amount",
    f"?{FIFTY_NUMBERS}&include=rev&include=origin&include=raw",
    "/summary",
    f"/summary?interval=day&time_zone=Asia/Shanghai&q={WORST_QUERY}",
    "/summary?interval=day&time_zone=Asia/Shanghai",
    "/changes",
    "/export?format=csv",
    "/export?format=ndjson&include=rev&include=origin&include=raw",
    "/export?format=ndjson&sort=-order_no",
)


class Upstream:
    """Responds with blocks of a list.

    Attributes:
        size: the number of orders.
        edited: how many of them, from the first, have been edited.
        edits: how often.
    """

    def __init__(self, size: int, make_row: Callable[[int, int], dict[str, object]]) -> None:
        self.size = size
        self.edited = 0
        self.edits = 0
        self._make_row = make_row

    async def respond(self, sent: Request) -> Response:
        """Return the response to a list call."""
        start = (int(sent.url.params["page"]) - 1) * 50
        rows = [
            self._make_row(at, self.edits if at < self.edited else 0)
            for at in range(start, min(start + 50, self.size))
        ]
        data = {"totalCount": self.size, "list": rows}
        envelope = {"statusCode": 200, "requestId": f"{start:0128d}", "data": data}
        body = json.dumps(envelope).encode()
        await asyncio.sleep(0)  # the work of the upstream is no part of the proxy's callback
        return Response(200, content=_stream(body))


def long_name(at: int, edits: int) -> dict[str, object]:
    """Return an order with long names, on a day of its own."""
    day = date(1800, 1, 1) + timedelta(days=at % 80_000)
    return {
        "orderNo": f"{at:064d}",
        "goodsName": LONG_NAME,
        "goodsNameEn": LONG_NAME,
        "goodsUnitPrice": f"{at}.{edits:030d}1",
        "quantity": "9" * 18,
        "actualAmount": f"{at:031d}.{edits:030d}1",
        "status": str(at % 5 + 1),
        "orderType": "New",
        "createTime": f"{day} 12:00:00.123456789",
        "source": "SelfHelp",
    }


def large_object(at: int, edits: int) -> dict[str, object]:
    """Return an order with the longest names and an object of almost 40 KB."""
    return long_name(at, edits) | {"goodsName": "\u0001" * 1000, "more": "x" * 31_000}


def ordinary(at: int, edits: int) -> dict[str, object]:
    """Return an order with short names; few differ in anything but the number and the price."""
    names = {"goodsName": "企业版", "goodsNameEn": "Enterprise"}
    return long_name(at % 1000, edits) | names | {"orderNo": f"{at:020d}", "goodsUnitPrice": "9.90"}


async def bench() -> None:
    """Send every request twice to each list, then read changes since the oldest state."""
    monitor = StallMonitor()
    for title, upstream, all_edits in (
        (f"{ORDERS:,} orders with long names", Upstream(ORDERS, long_name), (5_000, ORDERS)),
        ("4,000 orders with large objects", Upstream(4_000, large_object), (4_000, 4_000)),
        ("100,000 ordinary orders", Upstream(100_000, ordinary), repeat(5_000, 4)),
    ):
        print(f"{title}: longest stall, total CPU time (ms)   first request          repeated")
        clock = OffsetClock()
        app = _proxy(upstream, clock)
        await request(app, "?limit=1")
        gc.collect()
        gc.freeze()  # as the server does at startup
        print(f"  loaded: {await _load(app, monitor)}", flush=True)
        for target in REQUESTS:
            await _measure(app, monitor, target)
        cursor = await _cursor(app)
        for edited in all_edits:
            upstream.edited, upstream.edits = edited, upstream.edits + 1
            clock.offset += TTL + 1
            await request(app, "/summary")
            await _load(app, monitor)
            await _measure(app, monitor, f"/changes?since={cursor}")
        gc.unfreeze()


def _proxy(upstream: Upstream, clock: OffsetClock) -> App:
    settings = load(
        {"ORDERS_CALLERS__ANONYMOUS": "true", **NO_LIMITS},
        sandbox=True,
        upstream={
            "base_url": "http://127.0.0.1:9",
            "access_key_id": "id",
            "access_key_secret": "secret",
            "auth": "signature",
            "max_rate": 2000,
            "deadline": 600,
        },
        cache={"ttl": TTL},
    )
    return create_app(settings, transport=MockTransport(upstream.respond), clock=clock)


async def _load(app: App, monitor: StallMonitor) -> str:
    async with monitor.measure() as result:
        await load_list(app)
    return _text(result)


async def _cursor(app: App) -> str:
    body = b""

    def read(part: bytes) -> None:
        nonlocal body
        body += part

    await request(app, "/changes", on_body=read)
    cursor: str = json.loads(body)["meta"]["cursor"]
    return cursor


async def _measure(app: App, monitor: StallMonitor, target: str) -> None:
    results, status = [], 0
    for _ in range(2):
        async with monitor.measure() as result:
            status, _ = await request(app, target, (b"accept-encoding", b"gzip"))
        results.append(_text(result))
    name = target if len(target) <= 60 else f"{target[:57]}..."
    print(f"  {status} {name:60} {'   '.join(results)}", flush=True)


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _text(result: list[float]) -> str:
    return f"{result[0] * 1000:6.1f} {result[1] * 1000:8.1f}"


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(bench())
