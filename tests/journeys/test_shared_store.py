"""Several proxies with one store: as many upstream calls as one, and the same answers."""

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from app.sandbox.options import Options
from tests.support.proxy import TOKEN, Proxy, cache_status

TTL = 60
OPERATOR = {"X_CSRF": "1"}
ORDERS = 500
BLOCKS = ORDERS // 50


class Fleet:
    """Proxies in front of one sandbox, with one store in a file."""

    def __init__(self, path: Path, size: int = 3, **options: Any) -> None:
        self.path = path
        self.options = Options(orders=ORDERS, **options)
        self.proxies = [self.new_proxy()]
        self.proxies += [self.new_proxy() for _ in range(size - 1)]

    def new_proxy(self, **groups: Any) -> Proxy:
        """Return a process that has just started."""
        cache = {"url": f"sqlite://{self.path}", **groups.pop("cache", {})}
        beside = self.proxies[0] if hasattr(self, "proxies") else None
        upstream = {"refresh_rate": 50} | groups.pop("upstream", {})
        return Proxy(
            None if beside else self.options,
            beside=beside,
            cache=cache,
            upstream=upstream,
            sandbox=True,
            **groups,
        )

    @property
    def clock(self) -> Any:
        return self.proxies[0].clock

    def calls(self) -> int:
        return self.proxies[0].calls()

    async def get(self, number: int, path: str, **headers: str) -> httpx.Response:
        response: httpx.Response = await self.finish(self.proxies[number].get(path, **headers))
        return response

    async def finish(self, *requests: Any) -> Any:
        """Return the responses, while time passes."""
        responses = asyncio.gather(*requests)
        while not responses.done():
            await self.clock.advance(0.01)
        found = await responses
        return found if len(found) > 1 else found[0]


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[None]:
    """Run what the processes do in the background."""
    async with AsyncExitStack() as stack:
        for proxy in fleet.proxies:
            context = proxy.app.api.router.lifespan_context(proxy.app.api)
            await stack.enter_async_context(context)
        yield


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path / "store.sqlite")


async def test_a_block_is_fetched_by_one_process_and_adopted_by_the_others(fleet: Fleet):
    first = await fleet.get(0, "/v1/orders?limit=50")
    calls = fleet.calls()
    second = await fleet.get(1, "/v1/orders?limit=50")
    assert fleet.calls() == calls
    assert cache_status(second) == "hit; ttl=59"
    for name in ("etag", "x-upstream-request-id", "x-total-count", "x-freshness"):
        assert second.headers[name] == first.headers[name]
    assert second.content == first.content


async def test_a_cold_start_of_all_processes_at_once_costs_each_block_once(fleet: Fleet):
    requests = [
        proxy.get(f"/v1/orders?limit=50&page={page}")
        for page in range(1, BLOCKS + 1)
        for proxy in fleet.proxies
    ]
    responses = await fleet.finish(*requests)
    assert {response.status_code for response in responses} == {200}
    assert fleet.calls() <= BLOCKS + 1
    assert fleet.proxies[0].calls(TOKEN) == len(fleet.proxies)


async def test_all_processes_together_make_as_many_calls_per_ttl_as_one(fleet: Fleet):
    random = Random(12)  # noqa: S311  not a secret
    starts: list[float] = []
    for _ in range(3 * TTL):
        before = fleet.calls()
        limit = random.randint(1, 50)
        page = random.randint(1, math.ceil(ORDERS / limit))
        paths = [f"/v1/orders?limit={limit}&page={page}", "/v1/orders/summary"]
        await fleet.finish(
            *(random.choice(fleet.proxies).get(path) for path in paths),
        )
        starts += [fleet.clock.monotonic()] * (fleet.calls() - before)
        await fleet.clock.advance(1)
    for start in starts:
        assert len([at for at in starts if start <= at < start + TTL]) <= BLOCKS + 1
    assert len(starts) > 2 * BLOCKS


async def test_the_complete_list_is_adopted_with_the_same_etag_and_cursor(fleet: Fleet):
    first = await fleet.get(0, "/v1/orders/changes")
    calls = fleet.calls()
    assert calls == BLOCKS + 1
    second = await fleet.get(1, "/v1/orders/changes")
    assert second.json()["meta"]["cursor"] == first.json()["meta"]["cursor"]
    summaries = [await fleet.get(number, "/v1/orders/summary") for number in range(3)]
    assert len({summary.headers["etag"] for summary in summaries}) == 1
    assert fleet.calls() == calls


async def test_blocks_that_were_fetched_in_another_order_are_one_state_for_who_adopts_them(
    fleet: Fleet,
):
    await fleet.get(0, "/v1/orders/summary")
    calls = fleet.calls()
    summary = await fleet.get(1, "/v1/orders/summary")
    assert "inconsistent" not in summary.json()["meta"]
    assert fleet.calls() == calls


async def test_no_cache_is_satisfied_by_what_another_process_has_just_fetched(fleet: Fleet):
    await fleet.get(0, "/v1/orders?limit=50")
    await fleet.get(1, "/v1/orders?limit=50")
    await fleet.clock.advance(10)
    no_cache = {"Cache_Control": "no-cache"}
    answer = await fleet.get(0, "/v1/orders?limit=50", **no_cache)
    assert cache_status(answer) == "fwd=request; stored"
    calls = fleet.calls()
    await fleet.clock.advance(4)
    answer = await fleet.get(1, "/v1/orders?limit=50", **no_cache)
    assert cache_status(answer) == "hit; ttl=55"
    assert fleet.calls() == calls
    await fleet.clock.advance(10)
    answer = await fleet.get(1, "/v1/orders?limit=50", **no_cache)
    assert fleet.calls() == calls + 1


async def test_a_process_that_starts_in_an_outage_serves_the_store_with_its_true_age(fleet: Fleet):
    before = await fleet.get(0, "/v1/orders/summary")
    await fleet.clock.advance(TTL + 300 + 40)
    restarted = fleet.new_proxy()
    restarted.transport.connected = False
    page = await fleet.finish(restarted.get("/v1/orders?limit=50&page=3"))
    assert (page.status_code, page.headers["x-freshness"]) == (200, "stale-if-error")
    assert int(page.headers["age"]) >= TTL + 300 + 40
    summary = await fleet.finish(restarted.get("/v1/orders/summary"))
    assert summary.json()["data"] == before.json()["data"]
    assert summary.headers["x-freshness"] == "stale-if-error"
    one = page.json()["data"][0]["order_no"]
    assert (await fleet.finish(restarted.get(f"/v1/orders/{one}"))).status_code == 200


async def test_without_a_pool_in_the_store_a_start_in_an_outage_gives_the_upstreams_problem(
    fleet: Fleet,
):
    fleet.proxies[0].transport.connected = False
    answer = await fleet.get(0, "/v1/orders")
    assert answer.json()["code"] == "upstream_unreachable"


async def test_a_store_that_cannot_be_used_changes_no_answer(tmp_path: Path):
    fleet = Fleet(tmp_path / "missing" / "store.sqlite")
    for number in (0, 1):
        answer = await fleet.get(number, "/v1/orders?limit=50")
        assert (answer.status_code, cache_status(answer)) == (200, "fwd=uri-miss; stored")
    assert fleet.calls() == 2


async def test_a_change_that_one_process_notices_costs_each_block_at_most_twice_in_all(
    fleet: Fleet,
):
    await fleet.finish(*(proxy.get("/v1/orders/summary") for proxy in fleet.proxies))
    calls = fleet.calls()
    fleet.proxies[0].sandbox.orders.add_order()
    await fleet.clock.advance(6)
    await fleet.get(2, "/v1/orders?limit=50", Cache_Control="no-cache")
    for _ in range(3):
        await fleet.finish(*(proxy.get("/v1/orders/summary") for proxy in fleet.proxies))
        await fleet.clock.advance(5)
    assert fleet.calls() - calls <= BLOCKS + 2


async def test_a_purge_reaches_all_processes_and_what_is_stored(fleet: Fleet):
    async with running(fleet):
        await fleet.finish(*(proxy.get("/v1/orders?limit=50") for proxy in fleet.proxies))
        calls = fleet.calls()
        await fleet.clock.advance(6)
        purge = await fleet.finish(fleet.proxies[0].get("/v1/cache/purge", "POST", **OPERATOR))
        assert purge.status_code == 200
        await fleet.clock.advance(0.9)
        again = await fleet.finish(fleet.proxies[1].get("/v1/cache/purge", "POST", **OPERATOR))
        assert (again.status_code, again.json()["code"]) == (429, "rate_limited")
        answers = [await fleet.get(number, "/v1/orders?limit=50") for number in (2, 1, 0)]
        assert [cache_status(answer).split(";")[0] for answer in answers] == [
            "fwd=stale",
            "hit",
            "hit",
        ]
        assert fleet.calls() == calls + 1


async def test_after_a_purge_that_deletes_nothing_old_is_served_by_any_process(fleet: Fleet):
    async with running(fleet):
        await fleet.finish(*(proxy.get("/v1/orders?limit=50") for proxy in fleet.proxies))
        await fleet.clock.advance(6)
        path = "/v1/cache/purge?mode=drop"
        purge = await fleet.finish(fleet.proxies[0].get(path, "POST", **OPERATOR))
        assert purge.status_code == 200
        await fleet.clock.advance(0.9)
        for proxy in (*fleet.proxies, fleet.new_proxy()):
            proxy.transport.connected = False
            answer = await fleet.finish(proxy.get("/v1/orders?limit=50"))
            assert answer.json()["code"] == "upstream_unreachable"


async def test_an_entry_that_was_purged_while_no_process_ran_is_served_only_after_a_failure(
    fleet: Fleet,
):
    async with running(fleet):
        await fleet.get(0, "/v1/orders?limit=50")
        await fleet.finish(fleet.proxies[0].get("/v1/cache/purge", "POST", **OPERATOR))
        await fleet.clock.advance(1)
    restarted = fleet.new_proxy()
    restarted.transport.connected = False
    answer = await fleet.finish(restarted.get("/v1/orders?limit=50"))
    assert (answer.status_code, answer.headers["x-freshness"]) == (200, "stale-if-error")


async def test_what_another_program_has_overwritten_is_missing_and_counted(fleet: Fleet):
    async with running(fleet):
        expected = await fleet.get(0, "/v1/orders?limit=50")
        database = sqlite3.connect(fleet.path)
        database.execute("UPDATE members SET report = x'00'")
        database.execute("UPDATE stored SET data = x'00'")
        database.commit()
        database.close()
        found = await fleet.get(1, "/v1/orders?limit=50")
        assert found.json()["data"] == expected.json()["data"]
        assert fleet.calls() == 2
        await fleet.clock.advance(1)
        texts = [(await fleet.get(number, "/metrics")).text for number in range(3)]
    name = "orders_store_unreadable_values_total"
    assert f'{name}{{kind="value"}} 2.0' in texts[1]
    assert any(f'{name}{{kind="reports"}}' in text for text in texts)
    assert all('orders_store_up{store="sqlite"} 1.0' in text for text in texts)


async def test_status_names_the_store_and_how_many_processes_share_it(fleet: Fleet):
    async with running(fleet):
        await fleet.get(0, "/v1/orders")
        await fleet.get(1, "/v1/orders")
        await fleet.clock.advance(1)
        status = (await fleet.get(0, "/v1/status", **OPERATOR)).json()["data"]
        assert status["store"] == {"kind": "sqlite", "up": True, "processes": 2}
        assert status["upstream"]["limiter"]["max_rate"] == 25


CHANGES = "/v1/orders/changes"


async def changes(fleet: Fleet, proxy: Proxy, cursor: str) -> dict[str, Any]:
    response: httpx.Response = await fleet.finish(proxy.get(f"{CHANGES}?since={cursor}"))
    document: dict[str, Any] = response.json()
    return document


async def cursor_of(fleet: Fleet, proxy: Proxy) -> str:
    response = await fleet.finish(proxy.get(CHANGES))
    cursor: str = response.json()["meta"]["cursor"]
    return cursor


async def two_states(fleet: Fleet) -> tuple[str, str]:
    """Let the first process see two states of the list; return their cursors."""
    first = fleet.proxies[0]
    before = await cursor_of(fleet, first)
    first.sandbox.orders.add_order()
    await fleet.clock.advance(TTL)
    await cursor_of(fleet, first)  # served stale, and loaded in the background
    await fleet.clock.advance(1)
    return before, await cursor_of(fleet, first)


async def test_every_process_answers_a_cursor_that_another_one_has_given(fleet: Fleet):
    before, after = await two_states(fleet)
    assert before != after
    for proxy in (*fleet.proxies, fleet.new_proxy()):
        document = await changes(fleet, proxy, before)
        assert [change["change"] for change in document["data"]] == ["created"]
        assert document["meta"]["cursor"] == after
        again = await changes(fleet, proxy, before)
        assert again["data"] == document["data"]


async def test_a_process_that_is_behind_gives_the_cursor_back_with_no_changes(fleet: Fleet):
    second = fleet.proxies[1]
    await cursor_of(fleet, second)
    _, after = await two_states(fleet)
    document = await changes(fleet, second, after)
    assert (document["data"], document["meta"]["cursor"]) == ([], after)
    await fleet.clock.advance(1)
    assert await cursor_of(fleet, second) == after


async def test_a_cursor_of_several_changes_ago_has_all_of_them(fleet: Fleet):
    first, second = fleet.proxies[:2]
    cursors = [await cursor_of(fleet, first)]
    assert await cursor_of(fleet, second) == cursors[0]
    for _ in range(2):
        first.sandbox.orders.add_order()
        await fleet.clock.advance(TTL)
        await cursor_of(fleet, first)
        await fleet.clock.advance(1)
        cursors.append(await cursor_of(fleet, first))
    await cursor_of(fleet, second)
    await fleet.clock.advance(1)
    # The second process has seen the first and the third state only.
    for cursor, count in zip(cursors, (2, 1, 0), strict=True):
        document = await changes(fleet, second, cursor)
        assert len(document["data"]) == count
        assert document["meta"]["cursor"] == cursors[-1]


async def test_a_cursor_that_no_process_knows_has_expired(fleet: Fleet):
    await two_states(fleet)
    for _ in range(2):
        document = await changes(fleet, fleet.proxies[1], "0" * 32)
        assert document["code"] == "cursor_expired"


async def test_without_the_store_a_process_answers_its_own_cursors(tmp_path: Path):
    fleet = Fleet(tmp_path / "missing" / "store.sqlite")
    before, _ = await two_states(fleet)
    assert len((await changes(fleet, fleet.proxies[0], before))["data"]) == 1
    document = await changes(fleet, fleet.proxies[1], before)
    assert document["code"] == "cursor_expired"


async def test_a_list_stays_fresh_for_as_long_as_the_process_with_the_most_blocks_needs(
    tmp_path: Path,
):
    fleet = Fleet(tmp_path / "store.sqlite", size=2)
    slow = {"refresh_rate": 0.1}
    fleet.proxies = [fleet.new_proxy(upstream=slow), fleet.new_proxy(upstream=slow)]
    async with running(fleet):
        await fleet.get(0, "/v1/orders/summary")
        assert cache_status(await fleet.get(1, "/v1/orders?limit=50")) == "hit; ttl=59"
        await fleet.clock.advance(1)
        await fleet.get(1, "/v1/orders?limit=50&page=2")
        status = cache_status(await fleet.get(1, "/v1/orders?limit=50"))
        assert 90 < int(status.removeprefix("hit; ttl=")) < 100


async def test_a_process_shares_the_rate_from_its_first_fetch_on(fleet: Fleet):
    for number in range(3):
        await fleet.get(number, f"/v1/orders?limit=50&page={number + 1}")
    status = (await fleet.get(2, "/v1/status")).json()["data"]
    assert status["store"]["processes"] == 3
    assert status["upstream"]["limiter"]["max_rate"] == 16


async def test_the_limit_of_a_caller_holds_for_all_processes_together(tmp_path: Path):
    fleet = Fleet(tmp_path / "store.sqlite", size=2)
    limited = {"callers": {"rate": "10/minute"}}
    fleet.proxies = [fleet.new_proxy(**limited), fleet.new_proxy(**limited)]
    async with running(fleet):
        for number in (1, 0, 0, 0, 0, 0):
            assert (await fleet.get(number, "/v1/orders")).status_code == 200
        await fleet.clock.advance(1)
        statuses = [(await fleet.get(1, "/v1/orders")).status_code for _ in range(6)]
        assert statuses == [200, 200, 200, 200, 429, 429]
        await fleet.clock.advance(1)
        assert (await fleet.get(0, "/v1/orders")).status_code == 429
