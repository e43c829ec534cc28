"""Authentication by API key, and scopes."""

from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI, Security
from starlette.types import ASGIApp, Scope

from app.edge.api_keys import ApiKey, ApiKeyStore, key_digest
from app.edge.auth import (
    Authentication,
    Authenticator,
    CredentialGeneration,
    HeaderCredentials,
    Rejected,
    TokenAuthenticator,
    unauthenticated,
)
from app.edge.context import Caller, context_of
from app.edge.exception_handlers import install_exception_handlers
from app.edge.scopes import require_scopes
from tests.edge.asgi_harness import RecordingApp, logging_to, request
from tests.support.clock import NOON, ManualClock

DASHBOARD = "obff_canary-dashboard-0123456789"
BILLING = "obff_canary-billing-0123456789"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJpZHAifQ.c2lnbmF0dXJl"
SPACED_JWT = "ewogICJhbGciOiAiUlMyNTYiCn0.eyJpc3MiOiJpZHAifQ.c2lnbmF0dXJl"
"""Its header is JSON on several lines."""
JWE = "eyJhbGciOiJSU0EtT0FFUCJ9.a2V5.aXY.dGV4dA.dGFn"


def key(name: str, text: str, *scopes: str, expires_in: float | None = None) -> ApiKey:
    expires_at = None if expires_in is None else NOON + timedelta(seconds=expires_in)
    return ApiKey(
        name, key_digest(text.encode()), frozenset(scopes or ("orders:read",)), expires_at
    )


@dataclass
class OneToken(TokenAuthenticator):
    """An issuer that has issued one token; others are wrong, or of another issuer."""

    token: str
    is_issuer: bool = True

    async def authenticate(self, token: bytes) -> Caller | None:
        if not self.is_issuer:
            return None
        if token != self.token.encode():
            raise Rejected(unauthenticated("The token has expired.", error="invalid_token"))
        return Caller("service", "token", frozenset({"orders:read"}), ("subject", "idp", "1"))


class Session(Authenticator):
    """Sessions of which each cookie is one."""

    async def authenticate(self, scope: Scope) -> Caller | None:
        if b"cookie" not in context_of(scope).headers:
            return None
        return Caller("person", "session", frozenset({"orders:read"}), ("subject", "idp", "2"))


def authentication_for(
    app: ASGIApp,
    *,
    clock: ManualClock | None = None,
    anonymous: bool = False,
    tokens: TokenAuthenticator | None = None,
    generation: CredentialGeneration | None = None,
) -> Authentication:
    keys = (key("dashboard", DASHBOARD), key("billing", BILLING, expires_in=60))
    store = ApiKeyStore(keys, clock or ManualClock())
    return Authentication(
        app,
        HeaderCredentials(store, tokens),
        generation or CredentialGeneration(),
        sessions=Session(),
        anonymous_scopes=("orders:read",) if anonymous else (),
    )


def is_rejected(response: httpx.Response) -> bool:
    assert response.headers.get("www-authenticate") in (None, 'Bearer realm="orders-bff"')
    return (
        response.status_code == 401
        and response.json()["code"] == "unauthenticated"
        and "www-authenticate" in response.headers
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": DASHBOARD},
        {"Authorization": f"Bearer {DASHBOARD}"},
        {"Authorization": f"bEARER  {DASHBOARD}"},
        {"Authorization": f"Bearer\t{DASHBOARD}"},
        {"Authorization": "Basic dXNlcjpwYXNzd29yZA==", "X-API-Key": DASHBOARD},
        {"Authorization": "Digest username=user", "X-API-Key": DASHBOARD},
        {"Authorization": f"Bearer {JWT}", "X-API-Key": DASHBOARD},
        {"Authorization": f"Bearer {DASHBOARD}", "X-API-Key": DASHBOARD},
    ],
)
async def test_a_key_identifies_its_caller(headers: dict[str, str]) -> None:
    app = RecordingApp()

    await request(authentication_for(app), headers=headers)

    (context,) = app.contexts
    assert context.caller is not None
    assert (context.caller.name, context.caller.kind) == ("dashboard", "key")
    assert context.caller.scopes == {"orders:read"}


@pytest.mark.parametrize("anonymous", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "obff_nobody-has-this-key"},
        {"X-API-Key": "short"},
        {"X-API-Key": ""},
        {"X-API-Key": "x" * 257},
        {"X-API-Key": f"{DASHBOARD} {DASHBOARD}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer obff_nobody-has-this-key"},
        {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9"},
        {"Authorization": f"Bearer {JWT}", "X-API-Key": "obff_nobody-has-this-key"},
        {"Authorization": f"Bearer {DASHBOARD}", "X-API-Key": BILLING},
        {"Authorization": "Bearer obff_nobody-has-this-key", "X-API-Key": DASHBOARD},
    ],
)
async def test_a_wrong_key_is_rejected_even_if_none_is_required(
    headers: dict[str, str], *, anonymous: bool
) -> None:
    app = RecordingApp()

    response = await request(authentication_for(app, anonymous=anonymous), headers=headers)

    assert is_rejected(response)
    assert app.contexts == []


@pytest.mark.parametrize(
    "authorization",
    [
        f"Basic {DASHBOARD}",
        DASHBOARD,
        "Negotiate",
        "",
        f"Bearer {JWT}",
        f"Bearer {JWE}",
        f"Bearer {SPACED_JWT}",
    ],
)
async def test_credentials_for_a_gateway_are_no_key(authorization: str) -> None:
    app = RecordingApp()
    headers = {"Authorization": authorization}

    assert is_rejected(await request(authentication_for(app), headers=headers))
    await request(authentication_for(app, anonymous=True), headers=headers)

    (context,) = app.contexts
    assert context.caller is not None
    assert context.caller.kind == "anonymous"


@pytest.mark.parametrize("anonymous", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", DASHBOARD), ("x-api-key", DASHBOARD)],
        [("X-API-Key", "obff_nobody-has-this-key"), ("X-API-Key", DASHBOARD)],
        [("Authorization", f"Bearer {DASHBOARD}"), ("Authorization", f"Bearer {DASHBOARD}")],
        [("Authorization", "Basic dXNlcg=="), ("Authorization", f"Bearer {DASHBOARD}")],
    ],
)
async def test_a_repeated_header_with_a_key_is_ambiguous(
    headers: list[tuple[str, str]], *, anonymous: bool
) -> None:
    app = RecordingApp()

    response = await request(authentication_for(app, anonymous=anonymous), headers=headers)

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "`X-API-Key`" in response.json()["detail"]
    assert app.contexts == []


async def test_other_headers_may_be_repeated() -> None:
    headers = [("X-API-Key", DASHBOARD), ("Cookie", "a=b"), ("Cookie", "c=d")]

    assert (await request(authentication_for(RecordingApp()), headers=headers)).status_code == 200


async def test_a_key_is_rejected_from_its_expiry_on() -> None:
    clock = ManualClock()
    authentication = authentication_for(RecordingApp(), clock=clock)
    await clock.advance(59)
    assert (await request(authentication, headers={"X-API-Key": BILLING})).status_code == 200

    await clock.advance(1)

    assert is_rejected(await request(authentication, headers={"X-API-Key": BILLING}))


async def test_a_caller_without_a_key_is_rejected_or_anonymous() -> None:
    app = RecordingApp()

    assert is_rejected(await request(authentication_for(app)))
    await request(authentication_for(app, anonymous=True))

    (context,) = app.contexts
    assert context.caller is not None
    assert context.caller.name == "anonymous"


@pytest.mark.parametrize(
    ("path", "status"), [("/v1", 401), ("/v1/nothing", 401), ("/livez", 200), ("/v10", 200)]
)
async def test_only_the_api_requires_a_key(path: str, status: int) -> None:
    assert (await request(authentication_for(RecordingApp()), path)).status_code == status


async def test_no_key_appears_in_logs_or_responses() -> None:
    with logging_to(level="debug") as log:
        for headers in (
            {"X-API-Key": DASHBOARD},
            {"Authorization": "Bearer obff_canary-wrong-one"},
        ):
            response = await request(authentication_for(RecordingApp()), headers=headers)
            assert "canary" not in response.text + str(response.headers)

    events = [line["event"] for line in log.lines()]
    assert events == ["request", "request", "authentication_refused"]
    assert "canary" not in log.text()


@pytest.mark.parametrize(("scope", "status"), [("orders:read", 200), ("payments:read", 403)])
async def test_a_route_requires_its_scope(scope: str, status: int) -> None:
    api = FastAPI()
    install_exception_handlers(api, {})

    @api.get("/v1/thing", dependencies=[Security(require_scopes, scopes=[scope])])
    async def thing() -> str:
        return "thing"

    response = await request(authentication_for(api), "/v1/thing", headers={"X-API-Key": DASHBOARD})

    assert response.status_code == status


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Authorization": f"Bearer {JWT}"}, "token"),
        ({"Authorization": f"Bearer {JWT}", "Cookie": "orders=x"}, "token"),
        ({"X-API-Key": DASHBOARD, "Cookie": "orders=x"}, "key"),
        ({"Authorization": "Basic dXNlcjpwYXNzd29yZA==", "Cookie": "orders=x"}, "session"),
        ({"Cookie": "orders=x"}, "session"),
        ({}, "anonymous"),
    ],
)
async def test_a_header_decides_before_a_cookie(headers: dict[str, str], kind: str) -> None:
    app = RecordingApp()

    await request(authentication_for(app, anonymous=True, tokens=OneToken(JWT)), headers=headers)

    (context,) = app.contexts
    assert context.caller is not None
    assert context.caller.kind == kind


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {JWE}"},
        {"Authorization": f"Bearer {JWE}", "X-API-Key": DASHBOARD},
        {"X-API-Key": "obff_nobody-has-this-key"},
        {"Authorization": "Bearer "},
    ],
)
async def test_a_wrong_header_is_rejected_even_with_a_valid_cookie(headers: dict[str, str]) -> None:
    headers = {**headers, "Cookie": "orders=x"}
    authentication = authentication_for(RecordingApp(), anonymous=True, tokens=OneToken(JWT))

    response = await request(authentication, headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith('Bearer realm="orders-bff"')


async def test_the_challenge_of_a_wrong_token_names_the_error() -> None:
    authentication = authentication_for(RecordingApp(), tokens=OneToken(JWT))

    response = await request(authentication, headers={"Authorization": f"Bearer {JWE}"})

    challenge = 'Bearer realm="orders-bff", error="invalid_token"'
    assert response.headers["www-authenticate"] == challenge
    assert response.json()["detail"] == "The token has expired."


async def test_a_key_and_a_token_at_once_are_ambiguous() -> None:
    headers = {"Authorization": f"Bearer {JWT}", "X-API-Key": DASHBOARD}
    authentication = authentication_for(RecordingApp(), tokens=OneToken(JWT))

    response = await request(authentication, headers=headers)

    assert is_rejected(response)
    assert "different credentials" in response.json()["detail"]


async def test_a_token_of_another_issuer_beside_a_key_is_ignored() -> None:
    headers = {"Authorization": f"Bearer {JWT}", "X-API-Key": DASHBOARD}
    app = RecordingApp()

    await request(authentication_for(app, tokens=OneToken(JWT, is_issuer=False)), headers=headers)

    (context,) = app.contexts
    assert context.caller is not None
    assert context.caller.kind == "key"


@pytest.mark.parametrize("tokens", [None, OneToken(JWT, is_issuer=False)], ids=["none", "other"])
async def test_the_reason_why_a_token_was_ignored_is_named(
    tokens: TokenAuthenticator | None,
) -> None:
    authentication = authentication_for(RecordingApp(), tokens=tokens)

    response = await request(authentication, headers={"Authorization": f"Bearer {JWT}"})

    assert is_rejected(response)
    assert "its issuer is not trusted" in response.json()["detail"]


async def test_an_anonymous_caller_is_identified_by_its_address() -> None:
    app = RecordingApp()

    await request(authentication_for(app, anonymous=True))

    (context,) = app.contexts
    assert context.caller is not None
    assert context.caller.limit_key == ("address", "127.0.0.1")


async def test_the_generation_is_recorded_before_the_caller_is_authenticated() -> None:
    generation = CredentialGeneration()

    class Reloading(OneToken):
        async def authenticate(self, token: bytes) -> Caller | None:
            generation.advance()
            return await super().authenticate(token)

    app = RecordingApp()
    authentication = authentication_for(app, tokens=Reloading(JWT), generation=generation)

    await request(authentication, headers={"Authorization": f"Bearer {JWT}"})

    (context,) = app.contexts
    assert (context.generation, generation.value) == (0, 1)
