"""Another credential comes while the proxy runs: it is tried first, and nobody notices but us."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from app.upstream.client import ORDERS_PATH, UpstreamClient
from app.upstream.credential_rotation import (
    REJECTED_RETRY_SECONDS,
    UNVERIFIED_RETRY_SECONDS,
    CredentialRotation,
)
from app.upstream.credentials import TOKEN_PATH, AccessKey
from app.upstream.errors import UpstreamUnreachable
from app.upstream.wire import OrderListResponse
from tests.support.clock import ManualClock, settle
from tests.support.upstream import KEY_ID, KEY_SECRET, POOL_ID, ScriptedUpstream, client_of

OTHER_ID = "62bec1591aeb41ad3f1a6503"
OTHER_SECRET = "canary-of-the-other-key"
SCHEMES = ("token", "signature")


class Bench:
    """A client that asks, a source that may change, and the rotation between them."""

    def __init__(self, scheme: str = "token", **config: object) -> None:
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client: UpstreamClient = client_of(self.upstream, self.clock, scheme=scheme, **config)
        self.configured = (KEY_ID, KEY_SECRET)
        self.fault = ""
        self.broken = False
        self._changes = 0
        self.rotation = CredentialRotation(
            self.client,
            self.clock,
            in_use=AccessKey(SecretStr(KEY_ID), SecretStr(KEY_SECRET)),
            state=lambda: self._changes,
            read=self._read,
            deadline=8,
        )
        self._running = asyncio.ensure_future(self.rotation.run())

    def configure(self, key_id: str = OTHER_ID, secret: str = OTHER_SECRET) -> None:
        """What an operator writes into the sources."""
        self.configured = (key_id, secret)
        self._changes += 1

    def issue(self, *, pool_id: str = POOL_ID) -> None:
        """The upstream knows the other key as well."""
        self.upstream.keys[OTHER_ID] = OTHER_SECRET
        self.upstream.pools[OTHER_ID] = pool_id

    async def ask(self) -> OrderListResponse:
        return await self.client.list_orders(1, deadline=self.clock.monotonic() + 8)

    async def asks_as(self) -> str:
        """The id of the access key that a question goes out with now."""
        await self.ask()
        return self.upstream.key_of(self.upstream.asked_for(ORDERS_PATH)[-1])

    async def close(self) -> None:
        self._running.cancel()
        await self.rotation.close(1)
        await self.client.aclose(1)

    def _read(self) -> AccessKey:
        if self.fault:
            raise ValueError(self.fault)
        if self.broken:
            raise RuntimeError
        key_id, secret = self.configured
        return AccessKey(SecretStr(key_id), SecretStr(secret))


@pytest.fixture(params=SCHEMES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made = Bench(request.param)
    await made.ask()
    yield made
    await made.close()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> "Told":
    caplog.set_level(logging.INFO, logger="orders_bff")
    return Told(caplog)


class Told:
    """What the log says of credentials."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def events(self) -> list[str]:
        return [one.message for one in self._caplog.records if "credential" in one.message]

    @property
    def facts(self) -> dict[str, object]:
        """Of the last one."""
        facts: dict[str, object] = vars(self._caplog.records[-1])["fields"]
        return facts


async def test_another_credential_is_used_once_it_has_read_the_list(bench: Bench, told: Told):
    bench.issue()
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_exchanged"]
    trial = bench.upstream.asked_for(ORDERS_PATH)[-1]
    assert trial.params == {"page": "1", "limit": "1"}
    assert await bench.asks_as() == OTHER_ID
    del bench.upstream.keys[KEY_ID]
    assert (await bench.ask()).total == 137


async def test_one_that_is_not_accepted_is_refused_in_one_line_and_the_old_one_stays(
    bench: Bench, told: Told
):
    bench.configure()
    await bench.clock.advance(2 * REJECTED_RETRY_SECONDS)
    assert told.events == ["credential_refused"]
    assert told.facts["reason"] == "the upstream does not accept our credential"
    assert await bench.asks_as() == KEY_ID


async def test_one_that_the_upstream_learns_of_later_is_used_then(bench: Bench, told: Told):
    bench.configure()
    await bench.clock.advance(2)
    bench.issue()
    await bench.clock.advance(REJECTED_RETRY_SECONDS)
    assert told.events == ["credential_refused", "credential_exchanged"]
    assert await bench.asks_as() == OTHER_ID


async def test_one_of_another_pool_is_refused(told: Told):
    bench = Bench()
    await bench.ask()
    bench.issue(pool_id="another-pool")
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_refused"]
    assert told.facts == {"reason": "it is of another pool than the one in use"}
    assert await bench.asks_as() == KEY_ID
    await bench.close()


async def test_one_of_another_pool_than_the_pinned_is_refused_before_any_question(told: Told):
    bench = Bench(pool_id=POOL_ID)
    bench.issue(pool_id="another-pool")
    bench.configure()
    await bench.clock.advance(2)
    assert told.facts == {"reason": "the credential is of another pool than the one set"}
    assert await bench.asks_as() == KEY_ID
    await bench.close()


async def test_one_that_may_not_read_orders_is_refused(bench: Bench, told: Told):
    bench.issue()
    bench.upstream.fail_next(403, path=ORDERS_PATH)
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_refused"]
    assert told.facts["status_code"] == 403
    assert await bench.asks_as() == KEY_ID


async def test_one_that_cannot_be_tried_is_tried_again(bench: Bench, told: Told):
    bench.issue()
    bench.upstream.fail_next(error=httpx.ConnectError("no way"), path=ORDERS_PATH, times=3)
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_untried"]
    with pytest.raises(UpstreamUnreachable):
        await bench.ask()
    await bench.clock.advance(UNVERIFIED_RETRY_SECONDS)
    assert told.events == ["credential_untried"]
    await bench.clock.advance(UNVERIFIED_RETRY_SECONDS)
    assert told.events == ["credential_untried", "credential_exchanged"]
    assert await bench.asks_as() == OTHER_ID


async def test_a_half_written_pair_is_not_read(bench: Bench, told: Told):
    """The secret is written, and within a second the id."""
    bench.issue()
    bench.configure(KEY_ID, OTHER_SECRET)
    await bench.clock.advance(1)
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_exchanged"]


async def test_a_pair_that_stays_half_written_is_refused_until_it_is_whole(
    bench: Bench, told: Told
):
    bench.issue()
    bench.configure(KEY_ID, OTHER_SECRET)
    await bench.clock.advance(10)
    assert await bench.asks_as() == KEY_ID
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_refused", "credential_exchanged"]


async def test_of_rapid_changes_the_last_one_counts(bench: Bench, told: Told):
    bench.issue()
    for at in range(20):
        bench.configure(secret=f"not-yet-{at}")
        await bench.clock.advance(1)
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_exchanged"]


async def test_a_change_during_a_trial_is_tried_after_it(bench: Bench, told: Told):
    bench.issue()
    gate = bench.upstream.hold(ORDERS_PATH)
    bench.configure(secret="faulty")
    await bench.clock.advance(1)
    bench.configure()
    await bench.clock.advance(4)
    assert told.events == []
    bench.configure(KEY_ID, KEY_SECRET)
    gate.release()
    await bench.clock.advance(4)
    assert told.events == ["credential_exchanged", "credential_exchanged"]
    assert await bench.asks_as() == KEY_ID


async def test_sources_that_cannot_be_read_are_told_and_change_nothing(bench: Bench, told: Told):
    bench.fault = "ORDERS_UPSTREAM__ACCESS_KEY_ID: is required"
    bench.configure()
    await bench.clock.advance(100)
    assert told.events == ["credential_unreadable"]
    assert told.facts == {"fault": bench.fault}
    assert await bench.asks_as() == KEY_ID
    bench.issue()
    bench.fault = ""
    await bench.clock.advance(REJECTED_RETRY_SECONDS)
    assert told.events[1:] == ["credential_exchanged"], "what was in the way was elsewhere"


async def test_a_fault_of_ours_ends_one_look_and_not_the_looking(
    bench: Bench, told: Told, caplog: pytest.LogCaptureFixture
):
    bench.issue()
    bench.broken = True
    bench.rotation.reload()
    await bench.clock.advance(2)
    assert [one.message for one in caplog.records if one.exc_info] == ["unhandled_exception"]
    assert await bench.asks_as() == KEY_ID
    bench.broken = False
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_exchanged"]


async def test_one_whose_token_ends_while_it_is_tried_is_given_another(told: Told):
    bench = Bench("token")
    await bench.ask()
    bench.issue()
    bench.configure()
    bench.upstream.fail_next(401, 2020, path=ORDERS_PATH)
    await bench.clock.advance(2)
    assert told.events == ["credential_exchanged"]
    assert await bench.asks_as() == OTHER_ID
    await bench.close()


async def test_what_is_in_use_already_is_not_tried(bench: Bench, told: Told):
    before = len(bench.upstream.asked)
    bench.configure(KEY_ID, KEY_SECRET)
    await bench.clock.advance(10)
    assert len(bench.upstream.asked) == before
    assert told.events == []
    bench.rotation.reload()
    await bench.clock.advance(1)
    assert told.events == ["credential_unchanged"]


async def test_who_asks_for_it_has_the_sources_read_though_they_look_the_same(
    bench: Bench, told: Told
):
    bench.issue()
    await bench.clock.advance(5)
    bench.configured = (OTHER_ID, OTHER_SECRET)
    await bench.clock.advance(5)
    assert told.events == []
    bench.rotation.reload()
    await bench.clock.advance(1)
    assert told.events == ["credential_exchanged"]


async def test_nothing_in_flight_fails_when_the_old_one_is_withdrawn(bench: Bench, told: Told):
    bench.issue()
    del bench.upstream.keys[KEY_ID]
    gate = bench.upstream.hold(ORDERS_PATH, times=5)
    asking = [asyncio.ensure_future(bench.ask()) for _ in range(5)]
    await settle()
    assert gate.held == 5, "refused, and nobody knows it yet"
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_exchanged"]
    gate.release()
    assert {answer.total for answer in await asyncio.gather(*asking)} == {137}


async def test_who_waits_for_a_token_of_the_old_one_is_let_in_by_the_new_one(told: Told):
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH, times=1)
    bench.issue()
    del bench.upstream.keys[KEY_ID]
    asking = asyncio.ensure_future(bench.ask())
    await settle()
    bench.configure()
    await bench.clock.advance(2)
    assert told.events == ["credential_exchanged"]
    gate.release()
    assert (await asking).total == 137
    await bench.close()


async def test_closing_waits_for_a_trial_and_not_for_ever(told: Told):
    bench = Bench()
    bench.issue()
    gate = bench.upstream.hold(ORDERS_PATH)
    bench.configure()
    await bench.clock.advance(2)
    closing = asyncio.ensure_future(bench.rotation.close(10))
    await bench.clock.advance(1)
    assert not closing.done()
    gate.release()
    await closing
    assert told.events == ["credential_exchanged"]
    await bench.close()


async def test_nothing_of_a_credential_is_told(bench: Bench, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    bench.configure()
    await bench.clock.advance(2)
    bench.issue()
    await bench.clock.advance(REJECTED_RETRY_SECONDS)
    everything = caplog.text + str([vars(record) for record in caplog.records])
    for secret in (KEY_ID, KEY_SECRET, OTHER_ID, OTHER_SECRET, "eyJ", "duplicate key"):
        assert secret not in everything
