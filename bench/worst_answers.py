"""`python -m bench.worst_answers`: how long the worst upstream answers block the event loop.

The proxy runs in this process on a scripted network. A stall is the CPU time of one callback of the
event loop.
"""

import asyncio
import gc
import gzip
import json
import statistics
from collections.abc import AsyncIterator, Callable
from typing import Any

from app.http import MockTransport, Request, Response
from app.main import create_app
from app.sandbox.order_store import DOCUMENTED_ORDER
from app.settings import load
from app.upstream.transport import MAX_BODY_BYTES
from bench.event_loop_stalls import OffsetClock, StallMonitor, request
from bench.load import NO_LIMITS

ROUNDS = 5
PAUSE = 20.0
"""Seconds between two requests: longer than any backoff, and within the TTL."""

ORDER = {field: value for field, value in DOCUMENTED_ORDER.items() if field != "orderNo"}


def rows(make: Callable[[int], Any]) -> bytes:
    """Return a list response with 50 rows."""
    return envelope([make(at) for at in range(50)])


def order(at: int, **more: Any) -> dict[str, Any]:
    """Return a row that has a number."""
    return {"orderNo": f"2022{at:08d}", **ORDER, **more}


def envelope(rows_: object) -> bytes:
    """Return a list response."""
    body = {"statusCode": 200, "data": {"totalCount": "50", "list": rows_}}
    return json.dumps(body, ensure_ascii=False).encode()


def fill(template: bytes, part: bytes, separator: bytes = b",") -> bytes:
    """Return `template` with as many parts in place of `@` as the limit of a body admits."""
    count = (MAX_BODY_BYTES - len(template)) // (len(part) + len(separator))
    return template.replace(b"@", separator.join([part] * count))


ROW = envelope([order(1, more="@@")]).replace(b'"@@"', b"@")
ANSWERS: dict[str, bytes] = {
    "50 ordinary orders": rows(order),
    "2 MiB of [[[[": fill(b"@", b"[", b""),
    "2 MiB of numbers in one field": fill(ROW.replace(b"@", b"[@]"), b"1"),
    "2 MiB of empty objects in one field": fill(ROW.replace(b"@", b"[@]"), b"{}"),
    "2 MiB of unknown fields in one row": fill(ROW.replace(b"@", b"{@}"), b'"a":1'),
    "9,000 values in one field": rows(lambda at: order(at, more=["x" * 200] * 170)),
    "50 rows, 190 fields each of 200 characters": rows(
        lambda at: order(at, **{f"field{n}": "x" * 200 for n in range(170)})
    ),
    "a number of 2 MiB": fill(ROW, b"1", b""),
    "one text of 2 MiB": fill(ROW.replace(b"@", b'"@"'), b"x", b""),
    "emoji names of 1,000 characters": rows(
        lambda at: order(at, goodsName="\U0001f600" * 1000, goodsNameEn="\U0001f600" * 1000)
    ),
    "names of 1,000 combining characters": rows(
        lambda at: order(
            at, goodsName="a" + "\u0315\u0300" * 499, goodsNameEn="b" + "\u0315\u0300" * 499
        )
    ),
    "names that normalization makes 18 times as long": rows(
        lambda at: order(at, goodsName="\ufdfa" * 1000, goodsNameEn="\ufdfa" * 999 + "x")
    ),
    "names of 19,000 characters": rows(lambda at: order(at, goodsName="企" * 13_000)),
    "known fields that are objects of 2 MiB": rows(
        lambda at: {"orderNo": f"{at}1"} | {key: ["x" * 4000] for key in ORDER}
    ),
    "no rows but texts": envelope(["x" * 40_000] * 50),
}


class Upstream:
    """Responds to every call with `body`, compressed."""

    body = rows(order)

    async def respond(self, _: Request) -> Response:
        """Return the response to a call."""
        content = _stream(gzip.compress(self.body, 1))
        return Response(200, content=content, headers={"content-encoding": "gzip"})


async def bench() -> None:
    """Fetch a block with each of the answers, in place of a cached one."""
    upstream, clock = Upstream(), OffsetClock()
    settings = load(
        {"ORDERS_CALLERS__ANONYMOUS": "true", **NO_LIMITS},
        upstream={
            "base_url": "http://127.0.0.1:9",
            "access_key_id": "id",
            "access_key_secret": "secret",
            "auth": "signature",
        },
    )
    app = create_app(settings, transport=MockTransport(upstream.respond), clock=clock)
    monitor = StallMonitor()
    await request(app, "?limit=50")
    gc.collect()
    gc.freeze()  # as the server does at startup
    print("longest stall, median and maximum, CPU time (ms), freshness")
    for name, body in ANSWERS.items():
        upstream.body = body
        stalls, cpu, freshness = [], 0.0, b""
        for _ in range(ROUNDS):
            clock.offset += PAUSE
            gc.collect()
            async with monitor.measure() as result:
                _, headers = await request(app, "?limit=50", (b"cache-control", b"no-cache"))
            stalls.append(result[0] * 1000)
            cpu, freshness = result[1] * 1000, headers[b"x-freshness"]
        median, longest = statistics.median(stalls), max(stalls)
        text = f"{median:6.1f} {longest:6.1f} {cpu:7.1f}  {freshness.decode()}"
        print(f"  {name:56} {text}", flush=True)


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(bench())
