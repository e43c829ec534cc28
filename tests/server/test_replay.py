"""Replayed responses: the same as composed ones, whatever has changed in between."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.clock import SuspendAwareClock
from app.edge.auth import CredentialGeneration
from app.edge.caller_limits import CallerLimits
from app.edge.context import Caller, CurrentHeaders, Replayable, RequestContext
from app.main import App
from app.server.replay import MAX_HEAD_BYTES, ConnectionReplay, Replay
from tests.server.replay_world import (
    KEYS,
    ORIGIN,
    PURGE,
    Difference,
    Pair,
    pair_of_worlds,
    send_random_requests,
)
from tests.support.clock import ManualClock


@pytest.mark.parametrize("seed", range(2))
async def test_a_replayed_response_is_the_one_that_the_application_would_compose(
    tmp_path: Path, seed: int
) -> None:
    async with pair_of_worlds(tmp_path, lambda app, _: app.replay) as pair:
        await send_random_requests(pair, seed=seed, steps=600)
    assert pair.replayed > 80


def get(*lines: str, key: str = "reader", target: str = "/v1/orders?page=1&limit=50") -> bytes:
    """Return a request head with these lines."""
    first = (f"GET {target} HTTP/1.1", "Host: localhost", f"X-API-Key: {KEYS[key]}")
    return "".join(f"{line}\r\n" for line in (*first, *lines, "")).encode()


async def send_each_twice(pair: Pair) -> None:
    """Change each thing that a response depends on, and send the same head before and after."""
    for _ in range(2):
        sent = await pair.send(get())
        for line in (f"Origin: {ORIGIN}", "Accept-Encoding: gzip", 'If-None-Match: "other"'):
            await pair.send(get(line))
        found = re.search(r"\r\netag: ([^\r]+)", sent.decode())
        assert found
        condition = f"If-None-Match: {found[1]}"
        await pair.send(get(condition))
        await pair.send(get(key="revoked"))
        await pair.send(get(key="payments"))
        await pair.send(get(), peer="10.0.0.7")
        await pair.send(get(key="soon"))
    for _ in range(9):
        await pair.send(get(condition, key="limited"))
    for _ in range(9):
        await pair.send(get(key="limited"))
    await pair.set_keys(("reader", "soon", "operator"))
    await pair.send(get(key="revoked"))
    for seconds in (0.5, 1.0, 2.0, 60.0):
        await pair.advance(seconds)
        for name in ("reader", "soon"):
            await pair.send(get(key=name))
    assert (await pair.send(PURGE)).startswith(b"HTTP/1.1 200")
    for _ in range(3):
        await pair.send(get())


async def test_a_change_of_any_dependency_is_followed(tmp_path: Path) -> None:
    async with pair_of_worlds(tmp_path, lambda app, _: app.replay) as pair:
        await send_each_twice(pair)
    assert pair.replayed >= 15


async def test_the_time_in_which_the_machine_was_suspended_counts(tmp_path: Path) -> None:
    async with pair_of_worlds(tmp_path, lambda app, _: app.replay) as pair:
        for seconds in (0, 3, 30):
            for each in pair.worlds:
                each.proxy.clock.wall_offset += timedelta(seconds=seconds)
            for _ in range(3):
                await pair.send(get())
    assert pair.replayed >= 3


TRACED = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_only_a_complete_head_without_a_body_is_replayed(tmp_path: Path) -> None:
    async with pair_of_worlds(tmp_path, lambda app, _: app.replay) as pair:
        for _ in range(3):
            await pair.send(get())
            await pair.send(get(TRACED))
            await pair.send(b"\r\n" + get(TRACED))
        before = pair.replayed
        assert before == 5
        after_the_head = get()[:-2] + b"\r\n" + TRACED.encode() + b"\r\n"
        for data in (
            after_the_head,
            get() + get(),
            get() + b"\r\n",
            get(TRACED) + b"\r\n\r\n",
            get("Content-Length: 5") + b"hello",
            get("Transfer-Encoding: chunked") + b"0\r\n\r\n",
            get(f"{TRACED}\r\n continued"),
            b"\r\n%b\r\n" % TRACED.encode() + get(),
            get("Expect: 100-continue"),
            get("X-Long: " + "x" * MAX_HEAD_BYTES),
        ):
            await pair.send(data)
            await pair.send(data)
        assert pair.replayed == before
        await pair.send(get())
        assert pair.replayed == before + 1


async def test_only_a_well_formed_value_of_a_tracing_line_may_differ(tmp_path: Path) -> None:
    async with pair_of_worlds(tmp_path, lambda app, _: app.replay) as pair:
        for number in range(5):
            await pair.send(get(f"X-Request-Id: number-{number}", "Accept: */*"))
        assert pair.replayed == 3
        for value in ("", " padded", "padded ", "tab\there", "caf\u00e9", "x" * 513):
            await pair.send(get(f"X-Request-Id: {value}", "Accept: */*"))
        assert pair.replayed == 3
        sent = await pair.send(get("X-Request-Id: short", "Accept: */*"))
        assert b"\r\nx-request-id: ID\r\n" in sent
        assert pair.replayed == 4


async def test_a_response_that_is_not_remembered_any_more_is_composed(tmp_path: Path) -> None:
    def create(app: App, clock: ManualClock) -> Replay:
        del clock
        return Replay(*parts_of(app), max_entries=1)

    async with pair_of_worlds(tmp_path, create) as pair:
        for _ in range(3):
            await pair.send(get())
        assert pair.replayed == 1
        for _ in range(2):
            await pair.send(get(), peer="10.0.0.7")
            await pair.send(get())
        assert pair.replayed == 1


async def test_a_purge_that_deletes_what_is_cached_deletes_what_could_be_replayed(
    tmp_path: Path,
) -> None:
    async with pair_of_worlds(tmp_path, lambda app, _: app.replay) as pair:
        await pair.send(get())
        await pair.send(get())
        replay = pair.worlds[0].proxy.app.replay
        assert replay is not None
        assert len(replay) == 1
        await pair.send(PURGE)
        assert len(replay) == 1
        await pair.advance(10)
        await pair.send(PURGE.replace(b"/purge", b"/purge?mode=drop"))
        assert len(replay) == 0


async def test_a_head_over_the_limit_of_the_server_is_not_replayed_whatever_is_cut_out(
    tmp_path: Path,
) -> None:
    def create(app: App, clock: ManualClock) -> Replay:
        del clock
        assert app.replay is not None
        app.replay.max_head_bytes = 256
        return app.replay

    async with pair_of_worlds(tmp_path, create) as pair:
        for number in range(3):
            await pair.send(get(f"traceparent: {number}"))
        assert pair.replayed == 1
        await pair.send(get("traceparent: " + "1" * 256))
        assert pair.replayed == 1


class ForgetsLines(Replay):
    """A replay that leaves the lines which match `pattern` out of the key."""

    pattern = b""

    def for_peer(self, address: str) -> ConnectionReplay:
        """Return a replay that sees no head with these lines."""
        pattern, inner = self.pattern, super().for_peer(address)

        def without(head: bytes) -> bytes:
            return re.sub(rb"(?i)\r\n%b:[^\r]*" % pattern, b"", head)

        class Wrapper:
            def response(self, head: bytes, now: float, default_headers: Any) -> bytes | None:
                return inner.response(without(head), now, default_headers)

            def record(self, head: bytes, cycle: RequestResponseCycle) -> None:
                inner.record(without(head), cycle)

        return cast("ConnectionReplay", Wrapper())


class ForgetsOrigin(ForgetsLines):
    pattern = b"origin"


class ForgetsCoding(ForgetsLines):
    pattern = b"accept-encoding"


class ForgetsCondition(ForgetsLines):
    pattern = b"if-none-match"


class ForgetsCredential(ForgetsLines):
    pattern = b"(?:x-api-key|authorization)"


class ForgetsPeer(Replay):
    """A replay that answers one peer with what was composed for another."""

    def for_peer(self, address: str) -> ConnectionReplay:
        del address
        return super().for_peer("")


class ForgetsData(Replay):
    """A replay that does not ask whether the response is still valid."""

    def store(self, key: bytes, scope: Any, tracing: Any, written: list[bytes]) -> None:
        context: RequestContext = scope["context"]
        replayable, memory = context.replayable, SimpleNamespace(current=None)

        def first(context: RequestContext, now: float) -> CurrentHeaders | None:
            assert replayable
            memory.current = memory.current or replayable.refresh(context, now)
            return memory.current and CurrentHeaders(memory.current.fields, now + 1)

        if replayable:
            context.replayable = Replayable(SimpleNamespace(revision=0), first)
        super().store(key, scope, tracing, written)


class StandingWallClock(SuspendAwareClock):
    """A clock whose wall time does not pass."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._started_at = clock.timestamp()

    def timestamp(self) -> float:
        return self._started_at


def parts_of(app: App) -> tuple[Any, ...]:
    """Return the collaborators of the application's own replay."""
    replay = app.replay
    assert replay is not None
    return replay._clock, replay.generation, replay._recorder, replay._limits


def forgets_generation(app: App, _: ManualClock) -> Replay:
    clock, _, recorder, limits = parts_of(app)
    return Replay(clock, CredentialGeneration(), recorder, limits)


def forgets_expiry(app: App, clock: ManualClock) -> Replay:
    _, generation, recorder, limits = parts_of(app)
    return Replay(StandingWallClock(clock), generation, recorder, limits)


def forgets_rate(app: App, _: ManualClock) -> Replay:
    clock, generation, recorder, _ = parts_of(app)
    return Replay(clock, generation, recorder, CallerLimits())


class CountsNotModifiedInFull(CallerLimits):
    def counter(self, caller: Caller, status: int) -> Callable[[float], float]:
        """Count a 304 as any other response."""
        del status
        return super().counter(caller, 200)


def counts_not_modified_in_full(app: App, _: ManualClock) -> Replay:
    clock, generation, recorder, limits = parts_of(app)
    own = CountsNotModifiedInFull()
    own._requests = limits._requests
    return Replay(clock, generation, recorder, own)


@pytest.mark.parametrize(
    "create",
    [
        ForgetsOrigin,
        ForgetsCoding,
        ForgetsCondition,
        ForgetsCredential,
        ForgetsPeer,
        ForgetsData,
        forgets_generation,
        forgets_expiry,
        forgets_rate,
        counts_not_modified_in_full,
    ],
    ids=lambda create: create.__name__,
)
async def test_a_replay_that_forgets_a_dependency_is_found(tmp_path: Path, create: Any) -> None:
    def replay(app: App, clock: ManualClock) -> Replay:
        is_class = isinstance(create, type)
        created: Replay = create(*parts_of(app)) if is_class else create(app, clock)
        return created

    async with pair_of_worlds(tmp_path, replay) as pair:
        with pytest.raises(Difference):
            await send_each_twice(pair)
