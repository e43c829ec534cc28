"""The credential of a running proxy is replaced: verified first, and unnoticed by callers."""

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
    """A client, a configuration that may change, and the rotation between them."""

    def __init__(self, scheme: str = "token", **config: object) -> None:
        self.clock = ManualClock()
        self.upstream = ScriptedUpstream()
        self.client: UpstreamClient = client_of(self.upstream, self.clock, scheme=scheme, **config)
        self.configured = (KEY_ID, KEY_SECRET)
        self.read_error = ""
        self.has_bug = False
        self.rotation = CredentialRotation(
            self.client,
            self.clock,
            current=AccessKey(SecretStr(KEY_ID), SecretStr(KEY_SECRET)),
            read=self._read,
            deadline=8,
        )

    def configure(self, key_id: str = OTHER_ID, secret: str = OTHER_SECRET) -> None:
        """Write another credential into the configuration, which is watched."""
        self.configured = (key_id, secret)
        self.rotation.reload(requested=False)

    def issue(self, *, pool_id: str = POOL_ID) -> None:
        """Let the upstream accept the other key as well."""
        self.upstream.keys[OTHER_ID] = OTHER_SECRET
        self.upstream.pools[OTHER_ID] = pool_id

    async def request(self) -> OrderListResponse:
        return await self.client.list_orders(1, deadline=self.clock.monotonic() + 8)

    async def used_key(self) -> str:
        """Return the id of the access key that requests are sent with."""
        await self.request()
        return self.upstream.key_of(self.upstream.requests_to(ORDERS_PATH)[-1])

    async def close(self) -> None:
        await self.rotation.close(1)
        await self.client.close(1)

    async def _read(self) -> AccessKey:
        if self.read_error:
            raise ValueError(self.read_error)
        if self.has_bug:
            raise RuntimeError
        key_id, secret = self.configured
        return AccessKey(SecretStr(key_id), SecretStr(secret))


@pytest.fixture(params=SCHEMES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench(request.param)
    await bench.request()
    yield bench
    await bench.close()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> "Log":
    caplog.set_level(logging.INFO, logger="orders_bff")
    return Log(caplog)


class Log:
    """What was logged about credentials."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def events(self) -> list[str]:
        messages = [record.message for record in self._caplog.records]
        return [message for message in messages if "credential" in message]

    @property
    def fields(self) -> dict[str, object]:
        """The fields of the last line."""
        fields: dict[str, object] = vars(self._caplog.records[-1])["fields"]
        return fields


async def test_a_new_credential_is_used_once_it_has_read_the_list(bench: Bench, log: Log):
    bench.issue()
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_rotated"]
    verification = bench.upstream.requests_to(ORDERS_PATH)[-1]
    assert verification.params == {"page": "1", "limit": "1"}
    assert await bench.used_key() == OTHER_ID
    del bench.upstream.keys[KEY_ID]
    assert (await bench.request()).total == 137


async def test_a_rejected_credential_is_logged_once_and_the_old_one_stays(bench: Bench, log: Log):
    bench.configure()
    await bench.clock.advance(2 * REJECTED_RETRY_SECONDS)
    assert log.events == ["credential_rejected"]
    assert log.fields["message"] == "the upstream rejects our credential"
    assert await bench.used_key() == KEY_ID


async def test_a_credential_that_the_upstream_accepts_later_is_used_then(bench: Bench, log: Log):
    bench.configure()
    await bench.clock.advance(2)
    bench.issue()
    await bench.clock.advance(REJECTED_RETRY_SECONDS)
    assert log.events == ["credential_rejected", "credential_rotated"]
    assert await bench.used_key() == OTHER_ID


async def test_a_credential_of_another_pool_is_rejected(log: Log):
    bench = Bench()
    await bench.request()
    bench.issue(pool_id="another-pool")
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_rejected"]
    assert log.fields == {
        "error": "UpstreamCredentialRejected",
        "message": "it belongs to another pool than the current one",
    }
    assert await bench.used_key() == KEY_ID
    await bench.close()


async def test_a_credential_of_another_pool_than_configured_is_rejected_at_once(
    log: Log,
):
    bench = Bench(pool_id=POOL_ID)
    bench.issue(pool_id="another-pool")
    bench.configure()
    await bench.clock.advance(2)
    assert log.fields["message"] == "the token is for another pool than expected"
    assert await bench.used_key() == KEY_ID
    await bench.close()


async def test_a_credential_that_may_not_read_orders_is_rejected(bench: Bench, log: Log):
    bench.issue()
    bench.upstream.fail_next(403, path=ORDERS_PATH)
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_rejected"]
    assert log.fields["status_code"] == 403
    assert await bench.used_key() == KEY_ID


async def test_a_credential_that_cannot_be_verified_is_tried_again(bench: Bench, log: Log):
    bench.issue()
    bench.upstream.fail_next(error=httpx.ConnectError("no way"), path=ORDERS_PATH, times=3)
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_not_verified"]
    with pytest.raises(UpstreamUnreachable):
        await bench.request()
    await bench.clock.advance(UNVERIFIED_RETRY_SECONDS)
    assert log.events == ["credential_not_verified"]
    await bench.clock.advance(UNVERIFIED_RETRY_SECONDS)
    assert log.events == ["credential_not_verified", "credential_rotated"]
    assert await bench.used_key() == OTHER_ID


async def test_a_credential_that_stays_partly_written_is_rejected_until_it_is_complete(
    bench: Bench, log: Log
):
    bench.issue()
    bench.configure(KEY_ID, OTHER_SECRET)
    await bench.clock.advance(10)
    assert await bench.used_key() == KEY_ID
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_rejected", "credential_rotated"]


async def test_of_changes_during_a_check_only_the_last_one_is_checked(bench: Bench, log: Log):
    bench.issue()
    gate = bench.upstream.hold(ORDERS_PATH)
    bench.configure()
    await bench.clock.advance(1)
    bench.configure(secret="faulty")
    bench.configure(KEY_ID, KEY_SECRET)
    await bench.clock.advance(1)
    assert log.events == []
    gate.release()
    await bench.clock.advance(1)
    assert log.events == ["credential_rotated", "credential_rotated"]
    assert await bench.used_key() == KEY_ID


async def test_a_configuration_that_cannot_be_read_is_logged_and_changes_nothing(
    bench: Bench, log: Log
):
    bench.read_error = "ORDERS_UPSTREAM__ACCESS_KEY_ID: is required"
    bench.configure()
    await bench.clock.advance(100)
    assert log.events == ["credential_unreadable"]
    assert log.fields == {"message": bench.read_error}
    assert await bench.used_key() == KEY_ID
    bench.issue()
    bench.read_error = ""
    await bench.clock.advance(REJECTED_RETRY_SECONDS)
    assert log.events[1:] == ["credential_rotated"], "although no change was reported"


async def test_a_bug_in_one_check_does_not_prevent_the_next(
    bench: Bench, log: Log, caplog: pytest.LogCaptureFixture
):
    bench.issue()
    bench.has_bug = True
    bench.rotation.reload()
    await bench.clock.advance(2)
    assert [line.message for line in caplog.records if line.exc_info] == ["unhandled_exception"]
    assert await bench.used_key() == KEY_ID
    bench.has_bug = False
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_rotated"]


async def test_a_token_that_is_rejected_during_the_check_is_renewed(log: Log):
    bench = Bench("token")
    await bench.request()
    bench.issue()
    bench.configure()
    bench.upstream.fail_next(401, 2020, path=ORDERS_PATH)
    await bench.clock.advance(2)
    assert log.events == ["credential_rotated"]
    assert await bench.used_key() == OTHER_ID
    await bench.close()


async def test_the_current_credential_is_not_checked(bench: Bench, log: Log):
    before = len(bench.upstream.requests)
    bench.configure(KEY_ID, KEY_SECRET)
    await bench.clock.advance(10)
    assert len(bench.upstream.requests) == before
    assert log.events == []
    bench.rotation.reload()
    await bench.clock.advance(1)
    assert log.events == ["credential_unchanged"]


async def test_no_request_in_flight_fails_when_the_old_credential_is_revoked(
    bench: Bench, log: Log
):
    bench.issue()
    del bench.upstream.keys[KEY_ID]
    gate = bench.upstream.hold(ORDERS_PATH, times=5)
    pending = [asyncio.ensure_future(bench.request()) for _ in range(5)]
    await settle()
    assert gate.waiting == 5, "they are rejected, and the client does not know it yet"
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_rotated"]
    gate.release()
    assert {response.total for response in await asyncio.gather(*pending)} == {137}


async def test_a_request_that_waits_for_a_token_of_the_old_credential_uses_the_new_one(log: Log):
    bench = Bench()
    gate = bench.upstream.hold(TOKEN_PATH, times=1)
    bench.issue()
    del bench.upstream.keys[KEY_ID]
    pending = asyncio.ensure_future(bench.request())
    await settle()
    bench.configure()
    await bench.clock.advance(2)
    assert log.events == ["credential_rotated"]
    gate.release()
    assert (await pending).total == 137
    await bench.close()


async def test_closing_waits_for_a_check_in_progress(log: Log):
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
    assert log.events == ["credential_rotated"]
    await bench.close()


async def test_nothing_of_a_credential_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    bench.configure()
    await bench.clock.advance(2)
    bench.issue()
    await bench.clock.advance(REJECTED_RETRY_SECONDS)
    output = caplog.text + str([vars(record) for record in caplog.records])
    for secret in (KEY_ID, KEY_SECRET, OTHER_ID, OTHER_SECRET, "eyJ", "duplicate key"):
        assert secret not in output
