"""What `doctor` says about an issuer, and how it is fixed."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.commands.doctor import Check
from app.commands.issuer_doctor import check_issuers
from app.settings import load
from tests.identity.forge import AUDIENCE, ISSUER, JWKS_URL, FakeIssuer, key_of, public

VARIABLE = "ORDERS_CALLERS__OIDC_ISSUER"


LOGIN = {
    "ORDERS_LOGIN__ISSUER": ISSUER,
    "ORDERS_LOGIN__CLIENT_ID": "orders-dashboard",
    "ORDERS_LOGIN__CLIENT_SECRET": "canary-of-the-client",
    "ORDERS_LOGIN__COOKIE_SECRETS": '["canary-of-at-least-32-characters"]',
    "ORDERS_CALLERS__GRANTS": '[{"claim":"roles","value":"x","scopes":["orders:read"]}]',
}


async def diagnose(fake: FakeIssuer, issuer: str = ISSUER, **more: str) -> list[Check]:
    environ = more | {
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": "id",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "secret",
        VARIABLE: issuer,
        "ORDERS_CALLERS__OIDC_AUDIENCE": AUDIENCE,
    }
    settings = load(environ, dotenv=Path("/nowhere/.env"))
    checks = [check async for check in check_issuers(settings, fake.clock, fake.transport)]
    assert "canary" not in repr(checks)
    return checks


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


class TokenEndpoint:
    """The issuer of the login, whose app accepts its client by one method."""

    def __init__(self, accepts: str, error: str = "invalid_grant", **metadata: object) -> None:
        self.fake = FakeIssuer()
        self.fake.metadata = {
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            **metadata,
        }
        self.fake.respond = self._respond
        self._accepts = accepts
        self._error = error

    async def check(self) -> Check:
        *_, check = await diagnose(self.fake, **LOGIN)
        assert check.step == "client"
        return check

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return self.fake.publish(request)
        is_basic = "authorization" in request.headers
        assert is_basic != (b"client_secret=" in request.content)
        method = "client_secret_basic" if is_basic else "client_secret_post"
        if method != self._accepts:
            return httpx.Response(401, json={"error": "invalid_client"})
        return httpx.Response(400, content=f'{{"error":"{self._error}"}}'.encode())


@pytest.mark.parametrize(
    ("announced", "accepted"),
    [
        (None, "client_secret_basic"),
        (["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (["client_secret_post"], "client_secret_post"),
    ],
    ids=["default", "both", "post"],
)
async def test_a_client_that_the_issuer_accepts_is_ok(
    announced: list[str] | None, accepted: str
) -> None:
    endpoint = TokenEndpoint(accepted, token_endpoint_auth_methods_supported=announced)

    check = await endpoint.check()

    assert check.outcome == "ok"
    assert accepted in check.message


async def test_the_method_of_client_authentication_that_the_app_expects_is_named() -> None:
    endpoint = TokenEndpoint(
        "client_secret_post",
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
    )

    check = await endpoint.check()

    assert check.outcome == "error"
    assert "by client_secret_post, although it announces client_secret_basic" in check.message
    assert check.fix.endswith("to client_secret_basic")


@pytest.mark.parametrize(
    ("endpoint", "outcome", "text"),
    [
        pytest.param(TokenEndpoint("nothing"), "error", "does not accept", id="wrong-secret"),
        pytest.param(
            TokenEndpoint("x", token_endpoint_auth_methods_supported=["private_key_jwt"]),
            "error",
            "neither by client_secret_basic nor by client_secret_post",
            id="no-method",
        ),
        pytest.param(
            TokenEndpoint("x", token_endpoint=None), "error", "no valid `token_endpoint`", id="none"
        ),
        pytest.param(
            TokenEndpoint("x", authorization_endpoint="http://a.example.com"),
            "error",
            "`authorization_endpoint` that is not https",
            id="http",
        ),
        pytest.param(
            TokenEndpoint("client_secret_basic", "unauthorized_client"),
            "warning",
            "answered unauthorized_client",
            id="grant-type",
        ),
        pytest.param(
            TokenEndpoint("client_secret_basic", "a b"), "warning", "status 400", id="unknown"
        ),
        pytest.param(
            TokenEndpoint("client_secret_basic", '"'), "warning", "status 400", id="garbage"
        ),
    ],
)
async def test_a_client_that_cannot_sign_people_in(
    endpoint: TokenEndpoint, outcome: str, text: str
) -> None:
    check = await endpoint.check()

    assert check.outcome == outcome
    assert text in check.message
    assert check.fix
