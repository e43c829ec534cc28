"""The credential is offered as seldom as it can be, and never in a loop."""

import asyncio
import json

import httpx
import pytest
from pydantic import SecretStr

from app.upstream.client import ORDER_PATH, ORDERS_PATH, UpstreamClient
from app.upstream.credentials import TOKEN_PATH, AccessKey, SignatureCredential
from app.upstream.errors import (
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformed,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from app.upstream.wire import OrderListResponse
from tests.support.clock import ManualClock, settle
from tests.support.upstream import (
    KEY_ID,
    KEY_SECRET,
    POOL_ID,
    ScriptedUpstream,
    client_of,
    failure,
    success,
)


class Bench:
    """A client, its upstream and its clock."""

    def __init__(self, **config: object) -> None:
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client: UpstreamClient = client_of(self.upstream, self.clock, **config)

    def ask(self, *, within: float = 8) -> "asyncio.Task[OrderListResponse]":
        deadline = self.clock.monotonic() + within
        return asyncio.create_task(self.client.list_orders(1, deadline=deadline))

    async def refused(self) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await self.ask()
        return raised.value

    @property
    def cost(self) -> tuple[int, int]:
        """Token calls, list calls."""
        asked = self.upstream.asked_for
        return len(asked(TOKEN_PATH)), len(asked(ORDERS_PATH))


async def test_no_token_is_asked_for_until_a_question_needs_one():
    bench = Bench()
    await bench.clock.advance(100)
    assert bench.cost == (0, 0)


async def test_one_token_serves_every_question():
    bench = Bench()
    for _ in range(3):
        await bench.ask()
    assert bench.cost == (1, 3)
    body = json.loads(bench.upstream.asked_for(TOKEN_PATH)[0].body)
    assert body == {"accessKeyId": KEY_ID, "accessKeySecret": KEY_SECRET}
    assert "authorization" not in bench.upstream.asked_for(TOKEN_PATH)[0].headers
    headers = bench.upstream.asked_for(ORDERS_PATH)[0].headers
    assert headers["authorization"].startswith("Bearer ")
    assert headers["x-authing-userpool-id"] == headers["x-genauth-userpool-id"] == POOL_ID


async def test_a_hundred_questions_at_once_ask_for_one_token():
    bench = Bench(max_rate=1000)
    await asyncio.gather(*(bench.ask() for _ in range(100)))
    assert bench.cost == (1, 100)


async def test_a_token_is_renewed_before_it_ends():
    bench = Bench()
    bench.upstream.expires_in = 100
    await bench.ask()
    await bench.clock.advance(89)
    await bench.ask()
    assert bench.cost == (1, 2)
    await bench.clock.advance(1)
    await bench.ask()
    assert bench.cost == (2, 3)


async def test_a_tokens_life_counts_from_when_it_was_asked_for():
    bench = Bench()
    bench.upstream.expires_in = 100
    gate = bench.upstream.hold(TOKEN_PATH)
    asking = bench.ask()
    await bench.clock.advance(6)
    gate.release()
    await asking
    await bench.clock.advance(84)
    await bench.ask()
    assert bench.cost == (2, 2)


@pytest.mark.parametrize("refusal", ["apiCode 2020", "statusCode 401", "HTTP 401"])
async def test_a_refused_token_is_renewed_once_and_the_question_asked_once_more(refusal: str):
    bench = Bench()
    await bench.ask()
    refusals = {
        "apiCode 2020": failure(403, 2020),
        "statusCode 401": failure(401),
        "HTTP 401": httpx.Response(401, text="<html>"),
    }
    answers = iter([refusals[refusal]])
    bench.upstream.answer_with(
        lambda request: next(answers, None) if request.url.path == ORDERS_PATH else None
    )
    assert (await bench.ask()).total == 137
    assert bench.cost == (2, 3)


async def test_a_new_token_that_is_refused_too_is_not_renewed_again():
    bench = Bench()
    bench.upstream.fail_next(401, 2020, times=100)
    assert type(await bench.refused()) is UpstreamCredentialRejected
    assert bench.cost == (2, 2)


@pytest.mark.parametrize(("status_code", "api_code"), [(403, None), (403, 2224), (400, 1300)])
async def test_another_refusal_renews_nothing(status_code: int, api_code: int | None):
    bench = Bench()
    bench.upstream.fail_next(status_code, api_code)
    assert type(await bench.refused()) is UpstreamCredentialRejected
    assert bench.cost == (1, 1)


async def test_many_refused_at_once_renew_once():
    bench = Bench(max_rate=1000)
    await bench.ask()
    bench.upstream.revoke_tokens()
    answers = await asyncio.gather(*(bench.ask() for _ in range(30)))
    assert {answer.total for answer in answers} == {137}
    assert bench.cost[0] == 2


async def test_who_is_refused_late_takes_the_newer_token_that_is_held():
    bench = Bench()
    await bench.ask()
    bench.upstream.revoke_tokens()
    gate = bench.upstream.hold(ORDER_PATH)
    deadline = bench.clock.monotonic() + 8
    late = asyncio.create_task(bench.client.get_order("202209250000001", deadline=deadline))
    await settle()
    await bench.ask()
    assert bench.cost[0] == 2
    gate.release()
    assert (await late).data["orderNo"] == "202209250000001"
    assert bench.cost[0] == 2


async def test_a_leaver_does_not_end_the_renewal_for_others():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    leaver, stayer = bench.ask(), bench.ask()
    await settle()
    leaver.cancel()
    await settle()
    gate.release()
    assert (await stayer).total == 137
    assert leaver.cancelled()
    assert bench.cost == (1, 1)


async def test_a_renewal_that_all_have_left_still_brings_its_token():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    leaver = bench.ask()
    await settle()
    leaver.cancel()
    await settle()
    gate.release()
    await settle()
    await bench.ask()
    assert bench.cost == (1, 1)


async def test_who_waits_for_a_token_past_its_deadline_is_told_so_and_the_renewal_runs_on():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    asking = bench.ask(within=3)
    await bench.clock.advance(3)
    with pytest.raises(UpstreamTimeout):
        await asking
    gate.release()
    await settle()
    await bench.ask()
    assert bench.cost == (1, 1)


async def test_a_rejected_credential_is_not_offered_again_for_ten_seconds():
    bench = Bench(access_key_secret=SecretStr("wrong"))
    first = await bench.refused()
    await bench.clock.advance(9.9)
    again = await bench.refused()
    assert bench.cost == (1, 0)
    assert type(first) is type(again) is UpstreamCredentialRejected
    assert (again.status_code, again.api_code) == (403, 2333)
    assert again.request_id == first.request_id
    await bench.clock.advance(0.1)
    await bench.refused()
    assert bench.cost == (2, 0)


async def test_another_failed_renewal_is_tried_again_after_1_2_4_and_then_5_seconds():
    bench = Bench()
    bench.upstream.fail_next(503, path=TOKEN_PATH, times=6)
    for calls, pause in enumerate([1, 2, 4, 5, 5], start=1):
        assert type(await bench.refused()) is UpstreamFailed
        await bench.clock.advance(pause - 0.1)
        assert type(await bench.refused()) is UpstreamFailed
        assert bench.cost[0] == calls
        await bench.clock.advance(0.1)
    await bench.refused()
    await bench.clock.advance(5)
    await bench.ask()
    bench.upstream.revoke_tokens()
    bench.upstream.fail_next(503, path=TOKEN_PATH)
    await bench.refused()
    await bench.clock.advance(1)
    await bench.ask()


async def test_each_waiter_gets_an_error_of_its_own():
    bench = Bench()
    bench.upstream.fail_next(503, path=TOKEN_PATH, headers={"retry-after": "7"})
    failures = await asyncio.gather(*(bench.ask() for _ in range(20)), return_exceptions=True)
    assert bench.cost == (1, 0)
    assert len({id(one) for one in failures}) == 20
    assert {type(one) for one in failures} == {UpstreamFailed}
    assert {getattr(one, "retry_after", None) for one in failures} == {7.0}
    assert {one.__cause__ for one in failures if isinstance(one, Exception)} == {None}
    held_back = [await bench.refused() for _ in range(2)]
    assert len({id(one) for one in [*failures, *held_back]}) == 22


async def test_a_renewal_may_take_as_long_as_the_setting_says_whoever_asked_for_it():
    bench = Bench(deadline=3)
    seen: list[float] = []
    bench.upstream.answer_with(lambda request: seen.append(request.extensions["timeout"]["pool"]))
    await bench.ask(within=8)
    assert seen == [3, 8]


async def test_a_fault_of_ours_in_a_renewal_is_not_hidden():
    bench = Bench()
    bench.upstream.fail_next(error=RuntimeError("ours"), path=TOKEN_PATH)
    with pytest.raises(RuntimeError, match="ours"):
        await bench.ask()


async def test_a_token_call_that_cannot_connect_is_unreachable():
    bench = Bench()
    bench.upstream.fail_next(error=httpx.ConnectError("refused"), path=TOKEN_PATH)
    assert type(await bench.refused()) is UpstreamUnreachable


async def test_an_answer_without_a_token_is_malformed():
    bench = Bench()
    bench.upstream.answer_with(lambda _: success({}))
    assert type(await bench.refused()) is UpstreamMalformed


async def test_a_token_of_another_pool_than_the_pinned_one_is_not_used():
    bench = Bench(pool_id="another")
    assert type(await bench.refused()) is UpstreamCredentialRejected
    await bench.refused()
    assert bench.cost == (1, 0)


@pytest.mark.parametrize(("brand", "word"), [("genauth", "GenAuth"), ("authing", "authing")])
async def test_a_signed_call_needs_no_token(brand: str, word: str):
    bench = Bench(scheme="signature", brand=brand)
    assert (await bench.ask()).total == 137
    await bench.ask()
    assert bench.cost == (0, 2)
    first, second = (one.headers for one in bench.upstream.asked_for(ORDERS_PATH))
    assert first["authorization"].startswith(f"{word} {KEY_ID}:")
    assert first["date"] == "Mon, 23 Nov 2026 12:00:00 GMT"
    nonces = [headers[f"x-{brand}-signature-nonce"] for headers in (first, second)]
    assert all(len(nonce) == 32 and int(nonce, 16) for nonce in nonces)
    assert nonces[0] != nonces[1]


async def test_a_signature_is_not_told_by_what_carries_it():
    credential = SignatureCredential(
        ManualClock(),
        access_key=AccessKey(SecretStr(KEY_ID), SecretStr(KEY_SECRET)),
        brand="genauth",
    )
    signed = await credential.authorize(ORDERS_PATH, {}, deadline=0)
    assert signed.headers["Authorization"].startswith("GenAuth ")
    assert KEY_ID not in repr(signed)


@pytest.mark.parametrize("api_code", [None, 1300, 2020])
async def test_a_refused_signature_is_not_tried_again(api_code: int | None):
    bench = Bench(scheme="signature")
    bench.upstream.fail_next(401, api_code, times=100)
    assert type(await bench.refused()) is UpstreamCredentialRejected
    assert bench.cost == (0, 1)
    await bench.client.aclose(1)


async def test_closing_waits_for_a_renewal_under_way():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    asking = bench.ask()
    await settle()
    closing = asyncio.create_task(bench.client.aclose(10))
    await bench.clock.advance(5)
    assert not closing.done()
    gate.release()
    await closing
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_token_is_not_asked_for_while_the_upstream_is_left_in_peace_and_is_at_once_after():
    bench = Bench(tries=3)
    bench.upstream.fail_next(path=TOKEN_PATH, times=5)
    for pause in (0, 1):
        await bench.clock.advance(pause)
        assert isinstance(await bench.refused(), UpstreamFailed)
    await bench.clock.advance(2)
    for left in (3, 2):
        refusal = await bench.refused()
        assert isinstance(refusal, UpstreamUnavailable)
        assert refusal.retry_after == left
        await bench.clock.advance(1)
    await bench.clock.advance(1)
    assert (await bench.ask()).total == 137
    assert bench.cost == (6, 1)
