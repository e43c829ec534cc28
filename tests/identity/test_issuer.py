"""The keys of an issuer: cached, refreshed, and rotated without a restart."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from app.identity.discovery import discovery_url
from app.identity.issuer import MAX_WAITERS, Issuer, IssuerUnavailable
from app.identity.issuer_client import CALL_TIMEOUT, MAX_BODY_BYTES, IssuerClient
from app.identity.signing_keys import InvalidToken, UnknownKey
from tests.edge.asgi_harness import logging_to
from tests.identity.forge import (
    ISSUER,
    JWKS_URL,
    METADATA_URL,
    FakeIssuer,
    key_of,
    part,
    public,
    sign,
)
from tests.support.clock import ManualClock, settle

CLAIMS = {"sub": "service-1"}


class Changes:
    """Counts the calls of `on_change`."""

    count = 0

    def __call__(self) -> None:
        self.count += 1


def issuer_of(
    fake: FakeIssuer, *, on_change: Callable[[], None] = lambda: None, url: str = ISSUER
) -> Issuer:
    return Issuer(url, fake.client(), fake.clock, on_change=on_change)


async def test_nothing_is_fetched_until_a_token_arrives() -> None:
    fake = FakeIssuer()
    issuer = issuer_of(fake)
    await fake.clock.advance(3600)
    assert fake.requests == []

    assert await issuer.verify(sign(CLAIMS)) == CLAIMS
    assert await issuer.verify(sign(CLAIMS)) == CLAIMS
    assert (await issuer.metadata()).jwks_uri == JWKS_URL

    assert fake.requests == [METADATA_URL, JWKS_URL]


async def test_ten_thousand_random_kids_cost_one_fetch_a_minute() -> None:
    fake = FakeIssuer()
    issuer = issuer_of(fake)
    await issuer.verify(sign(CLAIMS))
    headers = ({"alg": "ES256", "kid": f"random-{number}"} for number in range(1000))
    tokens = [part(header) + b".e30.AA" for header in headers]

    async def is_refused(token: bytes) -> bool:
        try:
            await issuer.verify(token)
        except UnknownKey:
            return True
        return False

    assert all([await is_refused(token) for token in tokens])
    assert fake.jwks_requests == 1

    await fake.clock.advance(60)
    assert all(await asyncio.gather(*map(is_refused, tokens)))
    assert all([await is_refused(token) for token in tokens * 8])
    assert fake.jwks_requests == 2


async def test_keys_are_rotated_without_a_restart() -> None:
    fake, changes = FakeIssuer(), Changes()
    issuer = issuer_of(fake, on_change=changes)
    await issuer.verify(sign(CLAIMS))
    new = key_of("ES256", 2)

    fake.keys.append(public(new, kid="2"))
    await fake.clock.advance(60)
    assert await issuer.verify(sign(CLAIMS, key=new, kid="2")) == CLAIMS
    assert await issuer.verify(sign(CLAIMS)) == CLAIMS
    assert changes.count == 0

    del fake.keys[0]
    await fake.clock.advance(300)
    with pytest.raises(UnknownKey):
        await issuer.verify(sign(CLAIMS))
    assert changes.count == 1


async def test_a_key_that_is_replaced_under_the_same_kid_is_fetched() -> None:
    fake, changes = FakeIssuer(), Changes()
    issuer = issuer_of(fake, on_change=changes)
    await issuer.verify(sign(CLAIMS))

    fake.keys = [public(key_of("ES256", 2), kid="1")]
    await fake.clock.advance(60)

    assert await issuer.verify(sign(CLAIMS, key=key_of("ES256", 2))) == CLAIMS
    assert changes.count == 1


async def test_keys_are_refreshed_while_no_request_arrives() -> None:
    fake = FakeIssuer()
    issuer = issuer_of(fake)
    issuer.start()
    issuer.start()

    await fake.clock.advance(900)

    assert fake.jwks_requests == 4
    await issuer.close(1)
    await fake.clock.advance(900)
    assert fake.jwks_requests == 4
    assert fake.clock.pending_timers == 0


def garbage(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"<html>")


def redirect(_: httpx.Request) -> httpx.Response:
    return httpx.Response(302, headers={"Location": "https://evil.example.com/jwks"})


def huge(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b" " * (MAX_BODY_BYTES + 1))


def gzip(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"", headers={"Content-Encoding": "gzip"})


def times_out(_: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow")


def refuses(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def is_not_trusted(_: httpx.Request) -> httpx.Response:
    refused = ssl.SSLCertVerificationError()
    refused.verify_code, refused.verify_message = 18, "self-signed certificate"
    raise httpx.ConnectError("refused") from refused


def raises_a_bug(_: httpx.Request) -> httpx.Response:
    raise LookupError


def no_keys(request: httpx.Request) -> httpx.Response:
    if str(request.url) == METADATA_URL:
        return metadata()(request)
    return httpx.Response(200, json={"keys": []})


def metadata(**changed: Any) -> Callable[[httpx.Request], httpx.Response]:
    """Return an answer with these members of the metadata."""
    members = {"issuer": ISSUER, "jwks_uri": JWKS_URL} | changed
    return lambda _: httpx.Response(200, json=members)


FAILURES: dict[str, tuple[Callable[[httpx.Request], httpx.Response], str]] = {
    "garbage": (garbage, "not those of an OpenID provider"),
    "redirect": (redirect, "status 302"),
    "huge": (huge, "larger than"),
    "gzip": (gzip, "content coding"),
    "timeout": (times_out, "in time"),
    "refused": (refuses, "connection failed"),
    "certificate": (is_not_trusted, "not trusted: self-signed certificate"),
    "bug": (raises_a_bug, "internal error"),
    "no-keys": (no_keys, "no key"),
    "other-issuer": (metadata(issuer="https://evil.example.com"), "name the issuer"),
    "slash": (metadata(issuer=f"{ISSUER}/"), "name the issuer"),
    "http-keys": (metadata(jwks_uri="http://keys.example.net/jwks"), "not https"),
    "file-keys": (metadata(jwks_uri="file:///etc/passwd"), "no valid `jwks_uri`"),
    "no-host": (metadata(jwks_uri="https:///jwks"), "no valid `jwks_uri`"),
    "user": (metadata(jwks_uri="https://user@keys.example.net/jwks"), "no valid `jwks_uri`"),
    "bad-port": (metadata(jwks_uri="https://keys.example.net:99999/"), "no valid `jwks_uri`"),
    "bad-url": (metadata(jwks_uri="https://[keys/"), "no valid `jwks_uri`"),
    "control": (metadata(jwks_uri="https://keys.example.net/\x01"), "URL is not valid"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_the_present_keys_stay_in_use_while_a_refresh_fails(name: str) -> None:
    fake, changes = FakeIssuer(), Changes()
    issuer = issuer_of(fake, on_change=changes)
    await issuer.verify(sign(CLAIMS))
    fake.respond, reason = FAILURES[name]

    with logging_to() as log:
        await fake.clock.advance(660)
        assert await issuer.verify(sign(CLAIMS)) == CLAIMS
        with pytest.raises(IssuerUnavailable, match=reason):
            await issuer.verify(sign(CLAIMS, kid="new"))
        fake.respond = None
        await fake.clock.advance(60)

    assert await issuer.verify(sign(CLAIMS)) == CLAIMS
    with pytest.raises(UnknownKey):
        await issuer.verify(sign(CLAIMS, kid="new"))
    assert changes.count == 0
    events = [line["event"] for line in log.lines() if line["event"] != "unhandled_exception"]
    assert events == ["issuer_refresh_failed", "issuer_keys_loaded"]


@pytest.mark.parametrize("name", FAILURES)
async def test_without_keys_nothing_can_be_said_about_a_token(name: str) -> None:
    fake = FakeIssuer()
    issuer = issuer_of(fake)
    fake.respond, reason = FAILURES[name]

    for _ in range(100):
        with pytest.raises(IssuerUnavailable, match=reason) as raised:
            await issuer.verify(sign(CLAIMS))
        assert raised.value.retry_after == 2
    assert fake.requests.count(METADATA_URL) == 1

    fake.respond = None
    await fake.clock.advance(2)
    assert await issuer.verify(sign(CLAIMS)) == CLAIMS


async def test_nothing_is_fetched_after_closing() -> None:
    fake = FakeIssuer()
    await issuer_of(fake).close(1)
    issuer = issuer_of(fake)
    await issuer.verify(sign(CLAIMS))
    await issuer.close(1)
    await fake.clock.advance(60)

    with pytest.raises(UnknownKey):
        await issuer.verify(sign(CLAIMS, kid="new"))

    assert fake.jwks_requests == 1


async def test_an_issuer_that_stays_away_is_called_less_and_less_often() -> None:
    fake = FakeIssuer()
    fake.respond = refuses
    issuer_of(fake).start()

    await fake.clock.advance(62)
    assert len(fake.requests) == 6
    await fake.clock.advance(600)
    assert len(fake.requests) == 16


class HangingTransport(httpx.AsyncBaseTransport):
    """A network on which nothing is answered until `release` is set."""

    def __init__(self, fake: FakeIssuer) -> None:
        self.release = asyncio.Event()
        self.hangs = True
        self._fake = fake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.hangs:
            await self.release.wait()
        return await self._fake.transport.handle_async_request(request)


@pytest.fixture
async def hanging() -> AsyncIterator[tuple[FakeIssuer, HangingTransport, Issuer]]:
    fake = FakeIssuer()
    transport = HangingTransport(fake)
    client = IssuerClient(fake.clock, transport=transport)
    issuer = Issuer(ISSUER, client, fake.clock)
    yield fake, transport, issuer
    transport.release.set()
    await issuer.close(1)
    await client.aclose()


async def test_no_caller_waits_for_long(
    hanging: tuple[FakeIssuer, HangingTransport, Issuer],
) -> None:
    fake, transport, issuer = hanging
    token = sign(CLAIMS)
    waiting = [asyncio.ensure_future(issuer.verify(token)) for _ in range(MAX_WAITERS + 1)]
    await settle()
    assert [task.done() for task in waiting].count(True) == 1  # one too many

    await fake.clock.advance(3)

    errors = [task.exception() for task in waiting]
    assert all(isinstance(error, IssuerUnavailable) for error in errors)
    # The fetch continues: it may be done at any moment, and not only when the next one begins.
    assert {getattr(error, "retry_after", None) for error in errors} == {1}
    transport.release.set()
    await settle()
    assert await issuer.verify(sign(CLAIMS)) == CLAIMS


async def test_a_known_key_is_used_while_a_refresh_hangs(
    hanging: tuple[FakeIssuer, HangingTransport, Issuer],
) -> None:
    fake, transport, issuer = hanging
    transport.hangs = False
    await issuer.verify(sign(CLAIMS))
    transport.hangs = True
    await fake.clock.advance(60)
    unknown = asyncio.ensure_future(issuer.verify(sign(CLAIMS, kid="new")))
    await settle()

    assert await issuer.verify(sign(CLAIMS)) == CLAIMS

    await fake.clock.advance(3)
    assert isinstance(unknown.exception(), IssuerUnavailable)


async def test_a_response_that_arrives_in_drops_ends_at_the_deadline() -> None:
    clock = ManualClock()

    async def drops() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" "
            await clock.advance(CALL_TIMEOUT / 100)

    fake = FakeIssuer(clock)
    fake.respond = lambda _: httpx.Response(200, content=drops())
    issuer = issuer_of(fake)

    with pytest.raises(IssuerUnavailable):
        await issuer.verify(sign(CLAIMS))
    await settle()
    with pytest.raises(IssuerUnavailable, match="not complete in time"):
        await issuer.verify(sign(CLAIMS))


async def test_a_malformed_token_fetches_nothing_again() -> None:
    fake = FakeIssuer()
    issuer = issuer_of(fake)
    await issuer.verify(sign(CLAIMS))
    await fake.clock.advance(60)

    with pytest.raises(InvalidToken):
        await issuer.verify(b"eyJ.e30.AA")

    assert fake.jwks_requests == 1


async def test_an_issuer_on_this_machine_may_have_endpoints_with_http() -> None:
    url = "http://127.0.0.1:9080/oidc"
    fake = FakeIssuer()
    keys = {"keys": fake.keys}

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("configuration"):
            return metadata(issuer=url, jwks_uri="http://127.0.0.1:9081/jwks")(request)
        return httpx.Response(200, json=keys)

    fake.respond = respond

    assert await issuer_of(fake, url=url).verify(sign(CLAIMS)) == CLAIMS


@pytest.mark.parametrize("issuer", ["https://a.example.com/x", "https://a.example.com/x/"])
def test_the_metadata_are_below_the_issuer(issuer: str) -> None:
    assert discovery_url(issuer) == "https://a.example.com/x/.well-known/openid-configuration"
