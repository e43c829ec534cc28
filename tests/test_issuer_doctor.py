"""What `doctor` says about an issuer, and how it is fixed."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.doctor import Check
from app.issuer_doctor import check_issuers
from app.settings import load
from tests.identity.forge import AUDIENCE, ISSUER, JWKS_URL, FakeIssuer, key_of, public

VARIABLE = "ORDERS_CALLERS__OIDC_ISSUER"


async def diagnose(fake: FakeIssuer, issuer: str = ISSUER) -> list[Check]:
    environ = {
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": "id",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "secret",
        VARIABLE: issuer,
        "ORDERS_CALLERS__OIDC_AUDIENCE": AUDIENCE,
    }
    settings = load(environ, dotenv=Path("/nowhere/.env"))
    return [check async for check in check_issuers(settings, fake.clock, fake.transport)]


async def test_an_issuer_that_works_is_ok() -> None:
    fake = FakeIssuer()
    fake.keys.append(public(key_of("RS256"), kid="2"))

    metadata, keys = await diagnose(fake)

    assert (metadata.step, metadata.outcome, keys.step, keys.outcome) == (
        "issuer",
        "ok",
        "keys",
        "ok",
    )
    assert keys.message == "2 keys for ES256, RS256"


async def test_without_an_issuer_there_is_nothing_to_check() -> None:
    environ = {
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": "id",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "secret",
        "ORDERS_CALLERS__ANONYMOUS": "true",
    }
    settings = load(environ, dotenv=Path("/nowhere/.env"))

    assert [check async for check in check_issuers(settings, FakeIssuer().clock)] == []


@pytest.mark.parametrize(
    "configured", ["https://login.example.com", "https://login.example.com/", f"{ISSUER}/oidc"]
)
async def test_an_issuer_that_lacks_or_repeats_the_suffix_of_the_vendor(configured: str) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        is_there = str(request.url).startswith(f"{ISSUER}/.well-known/")
        return fake.publish(request) if is_there else httpx.Response(404)

    fake = FakeIssuer()
    fake.respond = respond

    (check,) = await diagnose(fake, configured)

    assert check.outcome == "error"
    assert "status 404" in check.message
    assert f"set {VARIABLE} to {ISSUER!r}" in check.fix


@pytest.mark.parametrize("found", [f"{ISSUER}/", "https://other.example.com"])
async def test_an_issuer_that_is_written_differently(found: str) -> None:
    fake = FakeIssuer()
    fake.metadata = {"issuer": found}

    (check,) = await diagnose(fake)

    assert check.outcome == "error"
    assert f"set {VARIABLE} to {found!r}" in check.fix


async def test_an_issuer_that_writes_itself_differently_where_it_is_found() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/oidc/"):
            return httpx.Response(200, json={"issuer": f"{ISSUER}/", "jwks_uri": JWKS_URL})
        return httpx.Response(404)

    fake = FakeIssuer()
    fake.respond = respond

    (check,) = await diagnose(fake, "https://login.example.com")

    assert f"set {VARIABLE} to '{ISSUER}/'" in check.fix


async def test_an_issuer_that_is_not_there() -> None:
    fake = FakeIssuer()
    fake.respond = lambda _: httpx.Response(502)

    (check,) = await diagnose(fake)

    assert check.outcome == "error"
    assert "status 502" in check.message
    assert f"check {VARIABLE}" in check.fix
    assert "'/oidc'" in check.fix


@pytest.mark.parametrize(
    ("supported", "outcome", "text"),
    [
        (["HS256"], "error", "signs with HS256 only"),
        (["HS256", "RS256"], "ok", "RS256 must be selected"),
        (["ES256"], "ok", "publishes its metadata"),
    ],
)
async def test_an_issuer_whose_apps_sign_with_a_shared_secret(
    supported: list[str], outcome: str, text: str
) -> None:
    fake = FakeIssuer()
    fake.metadata = {"id_token_signing_alg_values_supported": supported}

    check, _ = await diagnose(fake)

    assert check.outcome == outcome
    assert text in check.message
    assert ("select RS256" in check.fix) is (outcome == "error")


@pytest.mark.parametrize(
    ("entries", "outcome", "text"),
    [
        ([public(key_of("ES256"))], "warning", "has no `kid`"),
        ([public(key_of("ES256"), kid="1"), public(key_of("RS256"))], "error", "no `kid`"),
        ([{"kty": "oct", "k": "c2VjcmV0"}], "error", "no key for RS256"),
    ],
    ids=["one-key", "two-keys", "shared-secret"],
)
async def test_keys_that_tokens_cannot_be_matched_with(
    entries: list[Any], outcome: str, text: str
) -> None:
    fake = FakeIssuer()
    fake.keys = entries

    _, check = await diagnose(fake)

    assert check.step == "keys"
    assert check.outcome == outcome
    assert text in check.message
    assert check.fix
