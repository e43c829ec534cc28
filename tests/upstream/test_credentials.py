"""The credential is sent as seldom as possible, and never in a loop."""

import asyncio
import json
import logging

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

    def request(self, *, within: float = 8) -> "asyncio.Task[OrderListResponse]":
        deadline = self.clock.monotonic() + within
        return asyncio.create_task(self.client.list_orders(1, deadline=deadline))

    async def failure(self) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await self.request()
        return raised.value

    @property
    def cost(self) -> tuple[int, int]:
        """Token calls, list calls."""
        requests_to = self.upstream.requests_to
        return len(requests_to(TOKEN_PATH)), len(requests_to(ORDERS_PATH))


async def test_no_token_is_requested_until_a_request_needs_one():
    bench = Bench()
    await bench.clock.advance(100)
    assert bench.cost == (0, 0)


async def test_one_token_is_used_for_all_requests():
    bench = Bench()
    for _ in range(3):
        await bench.request()
    assert bench.cost == (1, 3)
    body = json.loads(bench.upstream.requests_to(TOKEN_PATH)[0].body)
    assert body == {"accessKeyId": KEY_ID, "accessKeySecret": KEY_SECRET}
    assert "authorization" not in bench.upstream.requests_to(TOKEN_PATH)[0].headers
    headers = bench.upstream.requests_to(ORDERS_PATH)[0].headers
    assert headers["authorization"].startswith("Bearer ")
    assert headers["x-authing-userpool-id"] == headers["x-genauth-userpool-id"] == POOL_ID


async def test_a_hundred_simultaneous_requests_cause_one_token_call():
    bench = Bench(max_rate=1000)
    await asyncio.gather(*(bench.request() for _ in range(100)))
    assert bench.cost == (1, 100)


async def test_a_token_is_renewed_before_it_expires():
    bench = Bench()
    bench.upstream.expires_in = 100
    await bench.request()
    await bench.clock.advance(89)
    await bench.request()
    assert bench.cost == (1, 2)
    await bench.clock.advance(1)
    await bench.request()
    assert bench.cost == (2, 3)


async def test_a_token_s_lifetime_counts_from_when_it_was_requested():
    bench = Bench()
    bench.upstream.expires_in = 100
    gate = bench.upstream.hold(TOKEN_PATH)
    pending = bench.request()
    await bench.clock.advance(6)
    gate.release()
    await pending
    await bench.clock.advance(84)
    await bench.request()
    assert bench.cost == (2, 2)


@pytest.mark.parametrize("expires_in", [None, 0, 7200.5, "7.2e3", 10**10, "soon"])
async def test_a_token_whose_lifetime_is_odd_is_used_and_the_lifetime_reported(expires_in: object):
    bench = Bench()
    bench.upstream.expires_in = expires_in
    assert (await bench.request()).total == 137
    await bench.clock.advance(200)
    assert (await bench.request()).total == 137
    assert bench.cost == (1, 2)
    reported = [str(kind) for kind, _ in bench.client.drift.counts]
    assert reported == ([] if expires_in == 7200.5 else ["unparsed value (token): expires_in"])


async def test_a_renewed_token_of_another_pool_is_refused(caplog: pytest.LogCaptureFixture):
    bench = Bench()
    bench.upstream.expires_in = 100
    await bench.request()
    bench.upstream.pool_id = "another-pool"
    await bench.clock.advance(100)
    with caplog.at_level(logging.WARNING, "orders_bff.upstream"):
        error = await bench.failure()
    assert type(error) is UpstreamCredentialRejected
    assert str(error) == "the token is for another pool than expected"
    assert [line.message for line in caplog.records] == ["upstream_call_failed"]
    assert bench.cost == (2, 1)
    bench.upstream.pool_id = POOL_ID
    await bench.clock.advance(10)
    assert (await bench.request()).total == 137


@pytest.mark.parametrize("rejection", ["apiCode 2020", "statusCode 401", "HTTP 401"])
async def test_a_rejected_token_is_renewed_once_and_the_request_repeated(rejection: str):
    bench = Bench()
    await bench.request()
    rejections = {
        "apiCode 2020": failure(403, 2020),
        "statusCode 401": failure(401),
        "HTTP 401": httpx.Response(401, text="<html>"),
    }
    responses = iter([rejections[rejection]])
    bench.upstream.respond_with(
        lambda request: next(responses, None) if request.url.path == ORDERS_PATH else None
    )
    assert (await bench.request()).total == 137
    assert bench.cost == (2, 3)


async def test_a_new_token_that_is_rejected_too_is_not_renewed_again():
    bench = Bench()
    bench.upstream.fail_next(401, 2020, times=100)
    assert type(await bench.failure()) is UpstreamCredentialRejected
    assert bench.cost == (2, 2)


@pytest.mark.parametrize(("status_code", "api_code"), [(403, None), (403, 2224), (400, 1300)])
async def test_other_rejections_do_not_renew_the_token(status_code: int, api_code: int | None):
    bench = Bench()
    bench.upstream.fail_next(status_code, api_code)
    assert type(await bench.failure()) is UpstreamCredentialRejected
    assert bench.cost == (1, 1)


async def test_many_simultaneous_rejections_renew_the_token_once():
    bench = Bench(max_rate=1000)
    await bench.request()
    bench.upstream.revoke_tokens()
    responses = await asyncio.gather(*(bench.request() for _ in range(30)))
    assert {response.total for response in responses} == {137}
    assert bench.cost[0] == 2


async def test_a_late_rejection_uses_the_newer_token_that_is_there_already():
    bench = Bench()
    await bench.request()
    bench.upstream.revoke_tokens()
    gate = bench.upstream.hold(ORDER_PATH)
    deadline = bench.clock.monotonic() + 8
    late = asyncio.create_task(bench.client.get_order("202209250000001", deadline=deadline))
    await settle()
    await bench.request()
    assert bench.cost[0] == 2
    gate.release()
    assert (await late).data["orderNo"] == "202209250000001"
    assert bench.cost[0] == 2


async def test_a_cancelled_request_does_not_end_the_renewal_for_others():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    cancelled, other = bench.request(), bench.request()
    await settle()
    cancelled.cancel()
    await settle()
    gate.release()
    assert (await other).total == 137
    assert cancelled.cancelled()
    assert bench.cost == (1, 1)


async def test_a_renewal_whose_requests_are_all_cancelled_still_stores_its_token():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    cancelled = bench.request()
    await settle()
    cancelled.cancel()
    await settle()
    gate.release()
    await settle()
    await bench.request()
    assert bench.cost == (1, 1)


async def test_a_request_waits_for_a_token_until_its_deadline_and_the_renewal_continues():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    pending = bench.request(within=3)
    await bench.clock.advance(3)
    with pytest.raises(UpstreamTimeout):
        await pending
    gate.release()
    await settle()
    await bench.request()
    assert bench.cost == (1, 1)


async def test_a_rejected_credential_is_not_sent_again_for_ten_seconds():
    bench = Bench(access_key_secret=SecretStr("wrong"))
    first = await bench.failure()
    await bench.clock.advance(9.9)
    again = await bench.failure()
    assert bench.cost == (1, 0)
    assert type(first) is type(again) is UpstreamCredentialRejected
    assert (again.status_code, again.api_code) == (403, 2333)
    assert again.request_id == first.request_id
    await bench.clock.advance(0.1)
    await bench.failure()
    assert bench.cost == (2, 0)


async def test_other_failed_renewals_are_repeated_after_1_2_4_and_then_5_seconds():
    bench = Bench()
    bench.upstream.fail_next(503, path=TOKEN_PATH, times=6)
    for calls, seconds in enumerate([1, 2, 4, 5, 5], start=1):
        assert type(await bench.failure()) is UpstreamFailed
        await bench.clock.advance(seconds - 0.1)
        assert type(await bench.failure()) is UpstreamFailed
        assert bench.cost[0] == calls
        await bench.clock.advance(0.1)
    await bench.failure()
    await bench.clock.advance(5)
    await bench.request()
    bench.upstream.revoke_tokens()
    bench.upstream.fail_next(503, path=TOKEN_PATH)
    await bench.failure()
    await bench.clock.advance(1)
    await bench.request()


async def test_each_waiter_receives_its_own_copy_of_the_error():
    bench = Bench()
    bench.upstream.fail_next(503, path=TOKEN_PATH, headers={"retry-after": "7"})
    failures = await asyncio.gather(*(bench.request() for _ in range(20)), return_exceptions=True)
    assert bench.cost == (1, 0)
    assert len({id(failure) for failure in failures}) == 20
    assert {type(failure) for failure in failures} == {UpstreamFailed}
    assert {getattr(failure, "retry_after", None) for failure in failures} == {7.0}
    assert {error.__cause__ for error in failures if isinstance(error, Exception)} == {None}
    later = [await bench.failure() for _ in range(2)]
    assert len({id(failure) for failure in [*failures, *later]}) == 22


async def test_a_renewal_may_take_as_long_as_configured_whatever_the_request_s_deadline_is():
    bench = Bench(deadline=3)
    seen: list[float] = []
    bench.upstream.respond_with(lambda request: seen.append(request.extensions["timeout"]["pool"]))
    await bench.request(within=8)
    assert seen == [3, 8]


async def test_a_bug_in_a_renewal_is_not_hidden():
    bench = Bench()
    bench.upstream.fail_next(error=RuntimeError("ours"), path=TOKEN_PATH)
    with pytest.raises(RuntimeError, match="ours"):
        await bench.request()


async def test_a_token_call_that_cannot_connect_is_unreachable():
    bench = Bench()
    bench.upstream.fail_next(error=httpx.ConnectError("refused"), path=TOKEN_PATH)
    assert type(await bench.failure()) is UpstreamUnreachable


async def test_a_response_without_a_token_is_malformed():
    bench = Bench()
    bench.upstream.respond_with(lambda _: success({}))
    assert type(await bench.failure()) is UpstreamMalformed


async def test_a_token_of_another_pool_than_the_configured_one_is_not_used():
    bench = Bench(pool_id="another")
    assert type(await bench.failure()) is UpstreamCredentialRejected
    await bench.failure()
    assert bench.cost == (1, 0)


@pytest.mark.parametrize(("brand", "word"), [("genauth", "GenAuth"), ("authing", "authing")])
async def test_a_signed_call_needs_no_token(brand: str, word: str):
    bench = Bench(scheme="signature", brand=brand)
    assert (await bench.request()).total == 137
    await bench.request()
    assert bench.cost == (0, 2)
    first, second = (request.headers for request in bench.upstream.requests_to(ORDERS_PATH))
    assert first["authorization"].startswith(f"{word} {KEY_ID}:")
    assert first["date"] == "Mon, 23 Nov 2026 12:00:00 GMT"
    nonces = [headers[f"x-{brand}-signature-nonce"] for headers in (first, second)]
    assert all(len(nonce) == 32 and int(nonce, 16) for nonce in nonces)
    assert nonces[0] != nonces[1]


async def test_a_signature_credential_does_not_show_its_key():
    credential = SignatureCredential(
        ManualClock(),
        access_key=AccessKey(SecretStr(KEY_ID), SecretStr(KEY_SECRET)),
        brand="genauth",
    )
    auth = await credential.authorize(deadline=0)
    assert auth.headers_for(ORDERS_PATH, {})["Authorization"].startswith("GenAuth ")
    assert KEY_ID not in repr(auth)


@pytest.mark.parametrize("api_code", [None, 1300, 2020])
async def test_a_rejected_signature_is_not_sent_again(api_code: int | None):
    bench = Bench(scheme="signature")
    bench.upstream.fail_next(401, api_code, times=100)
    assert type(await bench.failure()) is UpstreamCredentialRejected
    assert bench.cost == (0, 1)
    await bench.client.close(1)


async def test_closing_waits_for_a_renewal_in_progress():
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH)
    pending = bench.request()
    await settle()
    closing = asyncio.create_task(bench.client.close(10))
    await bench.clock.advance(5)
    assert not closing.done()
    gate.release()
    await closing
    await asyncio.gather(pending, return_exceptions=True)


async def test_no_token_is_requested_while_the_circuit_is_open_and_one_is_as_soon_as_it_is_not():
    bench = Bench(max_attempts=3)
    bench.upstream.fail_next(path=TOKEN_PATH, times=5)
    for seconds in (0, 1):
        await bench.clock.advance(seconds)
        assert isinstance(await bench.failure(), UpstreamFailed)
    await bench.clock.advance(2)
    for retry_in in (3, 2):
        rejection = await bench.failure()
        assert isinstance(rejection, UpstreamUnavailable)
        assert rejection.retry_after == retry_in
        await bench.clock.advance(1)
    await bench.clock.advance(1)
    assert (await bench.request()).total == 137
    assert bench.cost == (6, 1)
