"""Who gets past the door, and what a key may do."""

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import Depends, FastAPI

from app.edge.auth import (
    ApiKey,
    ApiKeyAuthentication,
    ApiKeyStore,
    Forbidden,
    digest_of,
    generate_key,
    has_any_access,
    require_scope,
)
from app.edge.exception_handlers import install_exception_handlers
from tests.edge.asgi_harness import Behind, ask, logging_to
from tests.support.clock import NOON, ManualClock

DASHBOARD = "obff_canary-dashboard-0123456789"
BILLING = "obff_canary-billing-0123456789"


def key(name: str, text: str, *scopes: str, expires_in: float | None = None) -> ApiKey:
    expires_at = None if expires_in is None else NOON + timedelta(seconds=expires_in)
    return ApiKey(name, digest_of(text.encode()), frozenset(scopes or ("orders:read",)), expires_at)


def callers(
    behind: Behind, *, clock: ManualClock | None = None, anonymous: bool = False
) -> ApiKeyAuthentication:
    keys = (key("dashboard", DASHBOARD), key("billing", BILLING, expires_in=60))
    ring = ApiKeyStore(keys, clock or ManualClock())
    return ApiKeyAuthentication(
        behind, ring, anonymous_scopes=("orders:read",) if anonymous else ()
    )


def is_refused(answer: httpx.Response) -> bool:
    assert answer.headers.get("www-authenticate") in (None, 'Bearer realm="orders-bff"')
    return (
        answer.status_code == 401
        and answer.json()["code"] == "unauthenticated"
        and "www-authenticate" in answer.headers
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": DASHBOARD},
        {"Authorization": f"Bearer {DASHBOARD}"},
        {"Authorization": f"bEARER  {DASHBOARD}"},
        {"Authorization": f"Bearer {DASHBOARD}", "X-API-Key": DASHBOARD},
    ],
)
async def test_a_key_says_who_its_caller_is(headers: dict[str, str]) -> None:
    behind = Behind()

    await ask(callers(behind), headers=headers)

    (context,) = behind.contexts
    assert context.caller is not None
    assert (context.caller.name, context.caller.kind) == ("dashboard", "key")
    assert context.caller.scopes == {"orders:read"}


@pytest.mark.parametrize(
    "text", ["fifteen-letters", "x" * 257, "sixteen letters!", "ünïcödé-0123456789"]
)
def test_what_cannot_be_a_key_opens_nothing_even_if_configured(text: str) -> None:
    ring = ApiKeyStore((key("faulty", text),), ManualClock())

    assert ring.authenticate(text.encode()) is None


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
        {"Authorization": DASHBOARD},
        {"Authorization": f"Basic {DASHBOARD}"},
        {"Authorization": f"Bearer {DASHBOARD}", "X-API-Key": BILLING},
        {"Authorization": f"Basic {DASHBOARD}", "X-API-Key": DASHBOARD},
    ],
)
async def test_a_wrong_key_is_refused_even_where_none_is_needed(
    headers: dict[str, str], *, anonymous: bool
) -> None:
    behind = Behind()

    answer = await ask(callers(behind, anonymous=anonymous), headers=headers)

    assert is_refused(answer)
    assert behind.contexts == []


async def test_a_key_expires_at_its_moment() -> None:
    clock = ManualClock()
    layer = callers(Behind(), clock=clock)
    await clock.advance(59)
    assert (await ask(layer, headers={"X-API-Key": BILLING})).status_code == 200

    await clock.advance(1)

    assert is_refused(await ask(layer, headers={"X-API-Key": BILLING}))


async def test_without_a_key_a_caller_is_refused_or_anonymous() -> None:
    behind = Behind()

    assert is_refused(await ask(callers(behind)))
    await ask(callers(behind, anonymous=True))

    (context,) = behind.contexts
    assert context.caller is not None
    assert context.caller.name == "anonymous"


@pytest.mark.parametrize(
    ("path", "status"), [("/v1", 401), ("/v1/nothing", 401), ("/livez", 200), ("/v10", 200)]
)
async def test_only_the_api_asks_who_is_there(path: str, status: int) -> None:
    assert (await ask(callers(Behind()), path)).status_code == status


async def test_no_key_is_ever_written_or_answered() -> None:
    with logging_to(level="debug") as lines:
        for headers in (
            {"X-API-Key": DASHBOARD},
            {"Authorization": "Bearer obff_canary-wrong-one"},
        ):
            answer = await ask(callers(Behind()), headers=headers)
            assert "canary" not in answer.text + str(answer.headers)

    assert len(lines.facts()) == 2
    assert "canary" not in lines.text()


@pytest.mark.parametrize(("scope", "status"), [("orders:read", 200), ("payments:read", 403)])
async def test_a_route_wants_a_scope(scope: str, status: int) -> None:
    api = FastAPI()
    install_exception_handlers(api, {Forbidden: "forbidden"})

    @api.get("/v1/thing", dependencies=[Depends(require_scope(scope))])
    async def thing() -> str:
        return "thing"

    ring = ApiKeyStore((key("dashboard", DASHBOARD),), ManualClock())
    answer = await ask(
        ApiKeyAuthentication(api, ring), "/v1/thing", headers={"X-API-Key": DASHBOARD}
    )

    assert answer.status_code == status


class KeysFile:
    """A file of keys, and how often it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reads = 0
        self._writes = 0

    def write(self, *texts: str) -> None:
        self._writes += 1
        self.path.write_text("\n".join(texts), "utf-8")
        os.utime(self.path, ns=(0, self._writes * 10**9))

    def read(self, path: Path) -> Sequence[ApiKey]:
        self.reads += 1
        if not path.exists():
            raise ValueError("must name a readable file")
        texts = path.read_text("utf-8").split("\n")
        if "faulty" in texts:
            raise ValueError("names a file with faults: entry 1")
        return [key("filed", text) for text in texts]


@pytest.fixture
def filed(tmp_path: Path) -> KeysFile:
    return KeysFile(tmp_path / "keys.json")


def ring_of(filed: KeysFile, clock: ManualClock) -> ApiKeyStore:
    return ApiKeyStore((key("dashboard", DASHBOARD),), clock, file=filed.path, read=filed.read)


async def test_a_changed_file_of_keys_is_read_within_a_second(filed: KeysFile) -> None:
    clock = ManualClock()
    filed.write(BILLING)
    ring = ring_of(filed, clock)
    assert ring.authenticate(BILLING.encode()) is not None

    rotated = generate_key()
    filed.write(rotated)
    assert ring.authenticate(rotated.encode()) is None
    await clock.advance(1)

    assert ring.authenticate(rotated.encode()) is not None
    assert ring.authenticate(BILLING.encode()) is None
    assert ring.authenticate(DASHBOARD.encode()) is not None


async def test_a_file_that_did_not_change_is_read_once(filed: KeysFile) -> None:
    clock = ManualClock()
    filed.write(BILLING)
    ring = ring_of(filed, clock)

    for _ in range(3):
        ring.authenticate(BILLING.encode())
        await clock.advance(1)

    assert filed.reads == 1


@pytest.mark.parametrize("fault", ["faulty", "missing"])
async def test_a_bad_file_keeps_the_keys_and_is_told_once(filed: KeysFile, fault: str) -> None:
    clock = ManualClock()
    filed.write(BILLING)
    ring = ring_of(filed, clock)
    ring.authenticate(BILLING.encode())

    if fault == "faulty":
        filed.write(BILLING, "faulty")
    else:
        filed.path.unlink()
    with logging_to() as lines:
        for _ in range(3):
            await clock.advance(1)
            assert ring.authenticate(BILLING.encode()) is not None

    (line,) = lines.facts()
    assert (line["event"], line["kept"]) == ("keys_file_unreadable", 2)
    assert "file" in line["fault"]
    assert "canary" not in lines.text()


async def test_a_file_that_is_mended_is_read_again(filed: KeysFile) -> None:
    clock = ManualClock()
    ring = ring_of(filed, clock)
    assert ring.authenticate(BILLING.encode()) is None

    filed.write(BILLING)
    await clock.advance(1)

    assert ring.authenticate(BILLING.encode()) is not None


async def test_there_is_no_sense_in_a_door_that_opens_for_nobody() -> None:
    clock = ManualClock()
    empty = ApiKeyStore((), clock)
    ring = ApiKeyStore((key("billing", BILLING, expires_in=60),), clock)

    assert not has_any_access(empty, ())
    assert has_any_access(empty, ("orders:read",))
    assert has_any_access(ring, ())
    await clock.advance(60)
    assert not has_any_access(ring, ())


def test_a_new_key_is_one_that_the_door_can_read() -> None:
    made = generate_key()
    ring = ApiKeyStore((key("new", made),), ManualClock())

    assert made.startswith("obff_")
    assert made != generate_key()
    assert ring.authenticate(made.encode()) is not None
