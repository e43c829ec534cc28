"""Authentication by API key, and scopes."""

from collections.abc import Sequence
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI, Security

from app.edge.auth import (
    ApiKey,
    ApiKeyAuthentication,
    ApiKeyStore,
    generate_key,
    key_digest,
    require_scopes,
)
from app.edge.exception_handlers import install_exception_handlers
from tests.edge.asgi_harness import RecordingApp, logging_to, request
from tests.support.clock import NOON, ManualClock

DASHBOARD = "obff_canary-dashboard-0123456789"
BILLING = "obff_canary-billing-0123456789"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJpZHAifQ.c2lnbmF0dXJl"
JWE = "eyJhbGciOiJSU0EtT0FFUCJ9.a2V5.aXY.dGV4dA.dGFn"


def key(name: str, text: str, *scopes: str, expires_in: float | None = None) -> ApiKey:
    expires_at = None if expires_in is None else NOON + timedelta(seconds=expires_in)
    return ApiKey(
        name, key_digest(text.encode()), frozenset(scopes or ("orders:read",)), expires_at
    )


def authentication_for(
    app: RecordingApp, *, clock: ManualClock | None = None, anonymous: bool = False
) -> ApiKeyAuthentication:
    keys = (key("dashboard", DASHBOARD), key("billing", BILLING, expires_in=60))
    store = ApiKeyStore(keys, clock or ManualClock())
    return ApiKeyAuthentication(app, store, anonymous_scopes=("orders:read",) if anonymous else ())


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


@pytest.mark.parametrize(
    "text", ["fifteen-letters", "x" * 257, "sixteen letters!", "ünïcödé-0123456789"]
)
def test_a_text_that_cannot_be_a_key_is_rejected_even_if_configured(text: str) -> None:
    store = ApiKeyStore((key("faulty", text),), ManualClock())

    assert store.authenticate(text.encode()) is None


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
    [f"Basic {DASHBOARD}", DASHBOARD, "Negotiate", "", f"Bearer {JWT}", f"Bearer {JWE}"],
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

    assert len(log.lines()) == 2
    assert "canary" not in log.text()


@pytest.mark.parametrize(("scope", "status"), [("orders:read", 200), ("payments:read", 403)])
async def test_a_route_requires_its_scope(scope: str, status: int) -> None:
    api = FastAPI()
    install_exception_handlers(api, {})

    @api.get("/v1/thing", dependencies=[Security(require_scopes, scopes=[scope])])
    async def thing() -> str:
        return "thing"

    store = ApiKeyStore((key("dashboard", DASHBOARD),), ManualClock())
    response = await request(
        ApiKeyAuthentication(api, store), "/v1/thing", headers={"X-API-Key": DASHBOARD}
    )

    assert response.status_code == status


class KeysFile:
    """A file of keys, without a file system."""

    def __init__(self, *texts: str) -> None:
        self.texts: Sequence[str] = texts
        self.is_valid = True

    async def read(self) -> Sequence[ApiKey]:
        if not self.is_valid:
            raise ValueError("the file is not valid: entry 1")
        return [key("filed", text) for text in self.texts]


def store_of(file: KeysFile) -> ApiKeyStore:
    """Return a store with a key that is configured directly, and those of the file."""
    return ApiKeyStore(
        (key("dashboard", DASHBOARD),),
        ManualClock(),
        file_keys=[key("filed", text) for text in file.texts],
        read_file=file.read,
    )


async def test_keys_of_a_file_are_replaced_by_a_reload() -> None:
    file = KeysFile(BILLING)
    store = store_of(file)
    assert store.authenticate(BILLING.encode()) is not None

    new_key = generate_key()
    file.texts = (new_key,)
    with logging_to() as log:
        assert await store.reload()
        assert await store.reload()

    assert store.authenticate(new_key.encode()) is not None
    assert store.authenticate(BILLING.encode()) is None
    assert store.authenticate(DASHBOARD.encode()) is not None
    assert [(line["event"], line["keys"]) for line in log.lines()] == [("api_keys_loaded", 2)]


async def test_an_invalid_file_leaves_the_present_keys_in_use_and_is_logged_once() -> None:
    file = KeysFile(BILLING)
    store = store_of(file)

    file.is_valid = False
    with logging_to() as log:
        assert not await store.reload()
        assert not await store.reload()
        assert store.authenticate(BILLING.encode()) is not None
        file.is_valid = True
        assert await store.reload()

    failed, loaded = log.lines()
    assert (failed["event"], failed["active_keys"]) == ("api_keys_reload_failed", 2)
    assert "file" in failed["error"]
    assert (loaded["event"], loaded["keys"]) == ("api_keys_loaded", 2)
    assert "canary" not in log.text()


async def test_without_a_file_a_reload_changes_nothing() -> None:
    store = ApiKeyStore((key("dashboard", DASHBOARD),), ManualClock())

    assert await store.reload()

    assert store.authenticate(DASHBOARD.encode()) is not None


async def test_a_key_is_valid_until_it_expires() -> None:
    clock = ManualClock()
    store = ApiKeyStore((key("billing", BILLING, expires_in=60),), clock)

    assert not ApiKeyStore((), clock).has_valid_key()
    assert store.has_valid_key()
    await clock.advance(60)
    assert not store.has_valid_key()


def test_a_generated_key_is_valid() -> None:
    made = generate_key()
    store = ApiKeyStore((key("new", made),), ManualClock())

    assert made.startswith("obff_")
    assert made != generate_key()
    assert store.authenticate(made.encode()) is not None
