"""When a response is not replayed, and what is kept of one that is."""

import asyncio
import gc
from dataclasses import dataclass, field
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

from starlette.types import Receive, Scope, Send

from app.edge.access_log import AccessLog, RequestRecorder
from app.edge.auth import CredentialGeneration
from app.edge.caller_limits import CallerLimits
from app.edge.context import Caller, CurrentHeaders, Replayable, RequestContext, context_of
from app.server.replay import MAX_IDLE_SECONDS, Replay
from app.server.server import open_server
from app.server.shutdown import Shutdown
from app.telemetry.counters import HttpMetrics
from tests.server.memory_transport import MemoryTransport, parse_responses
from tests.support.clock import ManualClock, settle
from tests.support.limits import default_limits

CALLER = Caller("caller", "key", frozenset({"orders:read"}), ("key", "caller"))
KEY = b"obff_canary-replay-0123456789"


def get(path: str = "/page", *lines: bytes) -> bytes:
    """Return a request head with these lines."""
    first = (b"GET %b HTTP/1.1" % path.encode(), b"Host: localhost", b"X-API-Key: " + KEY)
    return b"\r\n".join((*first, *lines, b"", b""))


@dataclass
class Data:
    """What the responses are made of.

    Attributes:
        revision: see `Versioned`.
        is_valid: whether the responses may be sent.
        reads: how often a response was checked.
    """

    revision: int = 0
    is_valid: bool = True
    reads: int = 0

    def refresh(self, context: RequestContext, now: float) -> CurrentHeaders | None:
        """Return an Age of 0 for ever."""
        self.reads += 1
        context.age = 0
        return CurrentHeaders([(b"age", b"0")], now + 3600) if self.is_valid else None


@dataclass
class Harness:
    """An application whose responses can be replayed, behind the server's connections."""

    clock: ManualClock = field(default_factory=ManualClock)
    data: Data = field(default_factory=Data)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    caller: Caller | None = CALLER
    span: Any = None
    composed: int = 0

    def __post_init__(self) -> None:
        self.replay = self.create_replay()
        self.shutdown = Shutdown(self.clock, drain_delay=0, drain_timeout=1)
        self.limits = default_limits(max_connections=2)
        self._start()

    def create_replay(self, rate: str = "0", **bounds: int) -> Replay:
        """Return a replay with this rate of each caller, and these bounds."""
        recorder = RequestRecorder(self.clock, HttpMetrics())
        limits = CallerLimits(rate=rate)
        return Replay(self.clock, CredentialGeneration(), recorder, limits, **bounds)

    def use(self, replay: Replay) -> None:
        """Answer from `replay` on new connections."""
        self.replay = replay
        self._start()

    def _start(self) -> None:
        self.server = open_server(
            AccessLog(self.application, self.clock),
            host="127.0.0.1",
            port=0,
            shutdown=self.shutdown,
            limits=self.limits,
            replay=self.replay,
        )
        self.server.config.load()
        self.connection = MemoryTransport(self.server)

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with the path, in a way that can be replayed."""
        del receive
        self.composed += 1
        context = context_of(scope)
        context.caller, context.span = self.caller, self.span
        if scope["path"] != "/never":
            context.replayable = Replayable(self.data, self.data.refresh)
        body = scope["path"].encode()
        headers = [(b"age", b"0"), (b"content-length", b"%d" % len(body)), *self.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def send(self, data: bytes, connection: MemoryTransport | None = None) -> bytes:
        """Return the body of the response to `data`."""
        connection = connection or self.connection
        connection.receive(data)
        await asyncio.gather(*self.server.server_state.tasks)
        (response,) = parse_responses(bytes(connection.sent))
        connection.sent.clear()
        return response.body

    async def is_replayed(self, data: bytes, connection: MemoryTransport | None = None) -> bool:
        """Send `data`, and return whether the application has not seen it."""
        before = self.composed
        await self.send(data, connection)
        return self.composed == before


async def test_a_head_is_replayed_from_its_second_time_on_also_on_other_connections() -> None:
    harness = Harness()
    assert not await harness.is_replayed(get())
    assert await harness.is_replayed(get())
    assert await harness.is_replayed(get(), MemoryTransport(harness.server))
    assert not await harness.is_replayed(get(), MemoryTransport(harness.server, "10.0.0.7"))


async def test_the_data_is_checked_when_its_revision_has_changed_and_once_a_second() -> None:
    harness = Harness()
    for _ in range(3):
        await harness.send(get())
    assert harness.data.reads == 1
    harness.data.revision += 1
    await harness.send(get())
    assert harness.data.reads == 2
    await harness.clock.advance(1)
    await harness.send(get())
    assert harness.data.reads == 3
    harness.data.is_valid, harness.data.revision = False, 2
    assert not await harness.is_replayed(get())
    assert len(harness.replay) == 1  # that of the application's new response


async def test_the_number_of_responses_and_their_bytes_are_bounded() -> None:
    harness = Harness()
    harness.use(harness.create_replay(max_entries=2))
    for path in ("/a", "/b", "/a", "/c"):
        await harness.send(get(path))
    assert len(harness.replay) == 2
    assert await harness.is_replayed(get("/a"))  # used after /b
    assert not await harness.is_replayed(get("/b"))
    harness.use(harness.create_replay(max_bytes=14_000))
    for number in range(10):
        await harness.send(get(f"/{number}"))
    assert len(harness.replay) == 3


async def test_a_response_that_is_larger_than_all_may_be_is_sent_and_not_remembered() -> None:
    harness = Harness()
    harness.use(harness.create_replay(max_bytes=100))
    for _ in range(2):
        assert await harness.send(get("/page")) == b"/page"
    assert harness.composed == 2
    assert len(harness.replay) == 0
    assert not harness.connection.is_closing()


async def test_a_response_that_was_not_used_for_a_while_is_forgotten() -> None:
    harness = Harness()
    await harness.send(get("/polled"))
    await harness.send(get("/outdated"))
    for _ in range(3):
        await harness.clock.advance(MAX_IDLE_SECONDS / 2)
        assert await harness.is_replayed(get("/polled"))
    await harness.send(get("/another"))
    assert len(harness.replay) == 2
    assert await harness.is_replayed(get("/polled"))


async def test_a_response_for_one_request_only_is_not_replayed() -> None:
    harness = Harness()
    for header in ((b"set-cookie", b"a=b"), (b"ratelimit", b'"caller";r=1')):
        harness.headers = [header]
        await harness.send(get())
        assert not await harness.is_replayed(get())
    harness.headers = []
    await harness.send(get("/never"))
    assert not await harness.is_replayed(get("/never"))
    harness.caller = None
    await harness.send(get())
    assert not await harness.is_replayed(get())


async def test_a_caller_that_is_not_admitted_gets_a_response_of_the_application() -> None:
    harness = Harness()
    harness.use(harness.create_replay(rate="2/minute"))
    assert [await harness.is_replayed(get()) for _ in range(4)] == [False, True, True, False]


async def test_while_the_client_does_not_read_its_responses_nothing_is_replayed() -> None:
    harness = Harness()
    await harness.send(get())
    protocol = harness.connection.protocol
    protocol.pause_writing()
    harness.connection.receive(get())
    await settle()
    assert harness.composed == 2
    assert not harness.connection.sent
    protocol.resume_writing()
    await settle()
    assert len(parse_responses(bytes(harness.connection.sent))) == 1


async def test_during_shutdown_and_over_the_limit_of_connections_nothing_is_replayed() -> None:
    harness = Harness()
    await harness.send(get())
    connections = [MemoryTransport(harness.server) for _ in range(2)]
    assert await harness.is_replayed(get(), connections[0])
    assert not await harness.is_replayed(get(), connections[1])
    harness.shutdown.start()
    assert not await harness.is_replayed(get(), connections[0])
    assert connections[0].ended


async def test_a_replayed_first_request_starts_the_keep_alive_timeout() -> None:
    harness = Harness()
    await harness.send(get())
    connection = MemoryTransport(harness.server)
    await harness.clock.advance(harness.limits.request_timeout - 1)
    assert await harness.is_replayed(get(), connection)
    await harness.clock.advance(harness.limits.keep_alive_timeout - 1)
    connection.protocol.check_timeouts(harness.clock.monotonic())
    assert not connection.is_closing()
    await harness.clock.advance(1)
    connection.protocol.check_timeouts(harness.clock.monotonic())
    assert connection.is_closing()


def reachable(*objects: Any) -> set[Any]:
    """Return the texts that are reachable from these objects through others."""
    texts, todo, seen = set(), list(objects), set()
    while todo:
        each = todo.pop()
        if isinstance(each, bytes | str):
            texts.add(each if isinstance(each, bytes) else each.encode())
        elif id(each) not in seen and not isinstance(each, type | FunctionType | ModuleType):
            seen.add(id(each))
            todo += gc.get_referents(each)
    return texts


async def test_a_replayed_request_has_no_part_in_the_span_of_the_first_one() -> None:
    harness = Harness()
    harness.span = SimpleNamespace()
    for _ in range(3):
        await harness.send(get())
    (entry,) = harness.replay._entries.values()
    assert harness.composed == 1
    assert entry.context.span is None


async def test_no_request_head_and_no_credential_is_kept() -> None:
    harness = Harness()
    traced = get("/page", b"traceparent: 00-0", b"X-Request-Id: of-the-caller")
    for data in (traced, traced, get()):
        await harness.send(data)
    harness.connection.close()
    await settle()
    kept = reachable(harness.replay._entries)
    assert b"of-the-caller" in kept
    assert not any(KEY in text for text in kept)
