"""A proxy behind the server's connections, in memory, and random requests to two of them.

One of the two replays, the other composes every response. Both get the same requests and events at
the same time, and have to send the same bytes and log the same lines.
"""

import asyncio
import gzip
import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from app.main import App
from app.server.replay import Replay
from app.server.server import Server, open_server
from tests.edge.asgi_harness import LogOutput, logging_to
from tests.server.memory_transport import MemoryTransport
from tests.support.clock import ManualClock
from tests.support.proxy import Proxy

ORIGIN = "https://dashboard.example"
NAMES = ("reader", "expiring", "revoked", "payments", "soon", "limited", "operator")
KEYS = {name: f"obff_{name}-0123456789abcdef" for name in NAMES}
EXPIRES_AT = {"expiring": "2026-11-23T12:00:40Z", "soon": "2026-11-23T12:00:03Z"}
"""40 and 3 seconds after the start of the clock; an answer is fresh for 4."""

TURNS = 50
"""Turns of the event loop in which a request is answered, unless it waits for time."""

_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GENERATED = re.compile(rb"(?<=\r\nx-request-id: )[0-9a-f]{32}(?=\r)")
_PROBLEM_ID = re.compile(rb'(?:(?<="request_id":")|(?<=#))[0-9a-f]{32}(?=")')


CreateReplay = Callable[[App, ManualClock], Replay | None]


def key_entries(names: Sequence[str]) -> str:
    """Return the JSON of the entries of these keys."""
    scopes = {"payments": ["payments:read"], "operator": ["cache:purge"]}
    return json.dumps(
        [
            {
                "name": name,
                "sha256": hashlib.sha256(KEYS[name].encode()).hexdigest(),
                "scopes": scopes.get(name, ["orders:read"]),
                **({"expires_at": EXPIRES_AT[name]} if name in EXPIRES_AT else {}),
                **({"rate": "5/minute"} if name == "limited" else {}),
            }
            for name in names
        ]
    )


@dataclass
class World:
    """One proxy, its server, and a connection to it for each peer.

    Attributes:
        composed: the number of requests that the application has seen.
    """

    proxy: Proxy
    server: Server
    keys_file: Path
    composed: int = 0
    connections: dict[str, MemoryTransport] = field(default_factory=dict)

    async def send(self, peer: str, *reads: bytes) -> bytes:
        """Return what the server sends for these reads, without dates and random ids."""
        connection = self.connections.get(peer)
        if connection is None or connection.ended or connection.is_closing():
            connection = self.connections[peer] = MemoryTransport(self.server, peer)
        for data in reads:
            connection.receive(data)
        turns = 0
        while self.server.server_state.tasks:
            await asyncio.sleep(0)
            turns += 1
            if turns % TURNS == 0:
                await self.proxy.clock.advance(0.05)
        sent = bytes(connection.sent)
        connection.sent.clear()
        return _without_ids(sent)

    async def second_passes(self) -> None:
        """Let the server set a new Date."""
        await self.server.on_tick(0)


@asynccontextmanager
async def world(directory: Path, create: CreateReplay) -> AsyncIterator[World]:
    """Run a proxy whose keys are in a file; `create` returns what the server replays from."""
    file = directory / "keys.json"
    file.write_text(key_entries(NAMES), "utf-8")
    proxy = Proxy(
        environ={
            "ORDERS_CALLERS__API_KEYS_FILE": str(file),
            "ORDERS_CORS__ORIGINS": json.dumps([ORIGIN]),
            "ORDERS_CALLERS__RATE": "400/minute",
        },
        cache={"ttl": 4, "stale_while_revalidate": 8, "stale_if_error": 60},
    )
    running: World

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        running.composed += scope["type"] == "http"
        await proxy.app(scope, receive, send)

    server = open_server(
        counted,
        host="127.0.0.1",
        port=0,
        shutdown=proxy.app.shutdown,
        limits=proxy.app.limits,
        replay=create(proxy.app, proxy.clock),
    )
    server.config.load()
    running = World(proxy, server, file)
    await running.second_passes()
    async with proxy.app.api.router.lifespan_context(proxy.app.api):
        yield running


def _without_ids(sent: bytes) -> bytes:
    """Return the responses in `sent` without dates and random ids."""
    responses = []
    while sent:
        head, _, sent = sent.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: ([0-9]+)", head)
        size = int(length[1]) if length and sent[:5] != b"HTTP/" else 0
        body, sent = sent[:size], sent[size:]
        if b"\r\ncontent-encoding: gzip" in head and length:
            # The ids of the upstream's answers are random, so that the compressed length is, too.
            head = head.replace(length[0], b"")
            body = gzip.decompress(body) if body else b""
        head = re.sub(rb"(?<=\r\ndate: )[^\r]*", b"", _GENERATED.sub(b"ID", head + b"\r\n"))
        responses.append(_ID.sub(b"ID", head) + _without_random_ids(body))
    return b"\n".join(responses)


def _without_random_ids(body: bytes) -> bytes:
    data, found, meta = body.rpartition(b'"meta":')
    return data + _ID.sub(b"ID", meta) if found else _PROBLEM_ID.sub(b"ID", body)


def _requests(log: LogOutput) -> list[dict[str, Any]]:
    """Return the access lines that were written since the last call, without times."""
    lines = [json.loads(line) for line in log.take().splitlines()]
    return [_without_times(line) for line in lines if line["event"] == "request"]


def _without_times(line: dict[str, Any]) -> dict[str, Any]:
    line = {**line, "duration_ms": 0, "time": ""}
    if re.fullmatch("[0-9a-f]{32}", line["request_id"]):
        line["request_id"] = "generated"
    if "upstream_request_ids" in line:
        line["upstream_request_ids"] = len(line["upstream_request_ids"])
    return line


TARGETS = (
    "/v1/orders?page=1&limit=50",
    "/v1/orders?limit=1",
    "/v1/orders?page=2&limit=30",
    "/v1/orders?page=9",
    "/v1/orders?status=paid&limit=20",
    "/v1/orders/summary",
    "/v1/orders?limit=51",
    "/v1/orders?limit=1&include=raw",
    "/v1/me",
    "/livez",
    "http://localhost/v1/orders?limit=1",
)
HOSTS = ("localhost", "127.0.0.1:8000", "evil.example")
KEY_LINES = (
    f"X-API-Key: {KEYS['reader']}",
    f"x-api-key:   {KEYS['reader']}  ",
    f"Authorization: Bearer {KEYS['reader']}",
    f"X-API-Key: {KEYS['expiring']}",
    f"X-API-Key: {KEYS['revoked']}",
    f"X-API-Key: {KEYS['payments']}",
    "X-API-Key: obff_wrong-0123456789abcdef",
    f"X-API-Key: {KEYS['reader']}\r\nAuthorization: Bearer {KEYS['revoked']}",
    "",
)
CODING_LINES = ("", "Accept-Encoding: gzip", "Accept-Encoding: identity, gzip;q=0")
ORIGIN_LINES = ("", f"Origin: {ORIGIN}", "Origin: https://other.example")
CONDITION_LINES = ("", "If-None-Match: *", 'If-None-Match: "other"', "If-None-Match: {etag}")
DIRECTIVE_LINES = ("", "Cache-Control: no-cache", "Cache-Control: only-if-cached")
OTHER_LINES = ("", "Connection: close", "Content-Length: 0", "Accept: a\r\nAccept: b")
TRACEPARENT = "00-{trace:032x}-00f067aa0ba902b7-01"
TRACING_LINES = (
    "",
    f"traceparent: {TRACEPARENT}",
    f"Traceparent: {TRACEPARENT}\r\ntracestate: vendor=1, other={{trace}}",
    "X-Request-Id: of-the-caller.{trace}",
    f"traceparent: {TRACEPARENT}\r\nX-Request-ID: of-the-caller.{{trace}}",
    "x-request-id: short",
    "X-REQUEST-ID: of-the-caller",
    "x-request-id: of-the-caller\r\nX-Request-Id: another-id",
    "X-REQUEST-ID: of-the-caller\r\nX-Request-Id: {trace:09d}",
    "x-request-id:  of-the-caller",
)


GROUPS = (
    KEY_LINES,
    CODING_LINES,
    ORIGIN_LINES,
    CONDITION_LINES,
    DIRECTIVE_LINES,
    OTHER_LINES,
    TRACING_LINES,
)


@dataclass(frozen=True)
class Head:
    """A request head, but for what differs each time: trace ids and the current ETag."""

    first_lines: str
    lines: tuple[str, ...]

    def render(self, rng: random.Random, etag: str) -> bytes:
        """Return the bytes of one request."""
        lines = "".join(f"{line}\r\n" for line in self.lines if line)
        text = lines.format(etag=etag, trace=rng.getrandbits(20))
        return f"{self.first_lines}{text}\r\n".encode()


def draw_family(rng: random.Random) -> list[Head]:
    """Return a random head and heads that differ from it in one line.

    Most of them are answered from the cache.
    """

    def draw(choices: Sequence[str], probability: float = 0.15) -> str:
        return rng.choice(choices) if rng.random() < probability else choices[0]

    method = draw(("GET", "HEAD", "HEAD", "OPTIONS"))
    version = draw(("1.1", "1.1", "1.0"))
    first = f"{method} {draw(TARGETS)} HTTP/{version}\r\nHost: {draw(HOSTS)}\r\n"
    groups = rng.sample(GROUPS, len(GROUPS))
    lines = [draw(group, 1 if group is TRACING_LINES else 0.15) for group in groups]
    family = [lines]
    for at, group in enumerate(groups):
        family.append([*lines[:at], rng.choice(group), *lines[at + 1 :]])
    return [Head(first, tuple(each)) for each in family]


PURGE = (
    b"POST /v1/cache/purge HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 0\r\nX-API-Key: %b\r\n\r\n" % KEYS["operator"].encode()
)
KINDS = ("again", "variant", "another", "split", "joined", "pipelined", "change")
PEERS = ("127.0.0.1", "127.0.0.1", "10.0.0.7")


@dataclass
class Difference(Exception):
    """The two proxies differ in what they send or log for `reads`."""

    reads: tuple[bytes, ...]
    composed: object
    replayed: object


class Pair:
    """A world that replays and one that composes every response, and the requests to both."""

    def __init__(self, one: World, other: World, log: LogOutput) -> None:
        self.worlds = one, other
        self._log = log

    @property
    def replayed(self) -> int:
        """How many requests were replayed."""
        one, other = self.worlds
        return other.composed - one.composed

    async def send(self, *reads: bytes, peer: str = PEERS[0]) -> bytes:
        """Send the same reads to both; return what both have sent.

        Raises:
            Difference: the responses or the log lines are not the same.
        """
        one, other = self.worlds
        composed = await other.send(peer, *reads), _requests(self._log)
        replayed = await one.send(peer, *reads), _requests(self._log)
        if composed != replayed:
            raise Difference(reads, composed, replayed)
        return composed[0]

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        for each in self.worlds:
            await each.proxy.clock.advance(seconds)
            await each.second_passes()

    async def set_keys(self, names: Sequence[str]) -> None:
        """Let these keys be the valid ones."""
        for each in self.worlds:
            each.keys_file.write_text(key_entries(names), "utf-8")
        await self.advance(2)  # the file is read every second, and when it was the same twice

    def set_connected(self, connected: bool) -> None:
        """Connect or disconnect the upstream."""
        for each in self.worlds:
            each.proxy.transport.connected = connected


@asynccontextmanager
async def pair_of_worlds(directory: Path, create: CreateReplay) -> AsyncIterator[Pair]:
    """Run two proxies, of which the first one replays from what `create` returns."""
    for name in ("one", "other"):
        (directory / name).mkdir()
    async with (
        world(directory / "one", create) as one,
        world(directory / "other", lambda *_: None) as other,
    ):
        with logging_to(clock=one.proxy.clock) as log:
            yield Pair(one, other, log)


async def send_random_requests(pair: Pair, *, seed: int, steps: int) -> None:
    """Send random requests, with random changes of what they depend on in between."""
    rng = random.Random(seed)  # noqa: S311  the same requests in each run
    families = [draw_family(rng) for _ in range(12)]
    family, head, peer, etag = families[0], families[0][0], PEERS[0], '"none"'
    for _ in range(steps):
        kind = rng.choices(KINDS, (50, 25, 12, 2, 2, 2, 7))[0]
        if kind == "change":
            await _change(rng, pair)
            continue
        if kind != "again":
            family = family if kind == "variant" else rng.choice(families)
            head, peer = rng.choice(family), rng.choice(PEERS)
        reads = [head.render(rng, etag)]
        if kind in ("joined", "pipelined"):
            reads.append(rng.choice(family).render(rng, etag))
        if kind == "joined":
            reads = [b"".join(reads)]
        if kind == "split":
            at = rng.randrange(1, len(reads[0]))
            reads = [reads[0][:at], reads[0][at:]]
        sent = await pair.send(*reads, peer=peer)
        if found := re.search(rb"\r\netag: ([^\r]+)", sent):
            etag = found[1].decode()


async def _change(rng: random.Random, pair: Pair) -> None:
    """Let time pass, or change what answers depend on."""
    kinds = ("second", "part", "ttl", "outage", "long", "keys", "purge")
    what = rng.choices(kinds, (30, 30, 10, 15, 5, 10, 10))[0]
    pair.set_connected(what != "outage")
    if what == "purge":
        await pair.send(PURGE)
    elif what == "keys":
        await pair.set_keys(rng.choice((NAMES, NAMES[:2] + NAMES[3:])))
    else:
        seconds = {"part": 0.3, "ttl": 4.0, "outage": 4.0, "long": 20.0}.get(what, 1.0)
        await pair.advance(seconds)
