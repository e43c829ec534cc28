"""The store of API keys."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from app.edge.api_keys import ApiKey, ApiKeyStore, generate_key, key_digest
from app.edge.auth import CredentialGeneration
from tests.edge.asgi_harness import logging_to
from tests.support.clock import NOON, ManualClock

DASHBOARD = "obff_canary-dashboard-0123456789"
BILLING = "obff_canary-billing-0123456789"


def key(name: str, text: str, *scopes: str, expires_in: float | None = None) -> ApiKey:
    expires_at = None if expires_in is None else NOON + timedelta(seconds=expires_in)
    return ApiKey(
        name, key_digest(text.encode()), frozenset(scopes or ("orders:read",)), expires_at
    )


@pytest.mark.parametrize(
    "text", ["fifteen-letters", "x" * 257, "sixteen letters!", "ünïcödé-0123456789"]
)
def test_a_text_that_cannot_be_a_key_is_rejected_even_if_configured(text: str) -> None:
    store = ApiKeyStore((key("faulty", text),), ManualClock())

    assert store.authenticate(text.encode()) is None


class KeysFile:
    """A file of keys, without a file system."""

    def __init__(self, *texts: str) -> None:
        self.texts: Sequence[str] = texts
        self.is_valid = True

    async def read(self) -> Sequence[ApiKey]:
        if not self.is_valid:
            raise ValueError("the file is not valid: entry 1")
        return [key("filed", text) for text in self.texts]


def store_of(file: KeysFile, generation: CredentialGeneration | None = None) -> ApiKeyStore:
    """Return a store with a key that is configured directly, and those of the file."""
    generation = generation or CredentialGeneration()
    return ApiKeyStore(
        (key("dashboard", DASHBOARD),),
        ManualClock(),
        file_keys=[key("filed", text) for text in file.texts],
        read_file=file.read,
        on_change=generation.advance,
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


async def test_the_generation_grows_when_other_keys_are_in_use_and_only_then() -> None:
    generation, file = CredentialGeneration(), KeysFile(BILLING)
    store = store_of(file, generation)

    assert await store.reload()
    file.is_valid = False
    assert not await store.reload()
    assert generation.value == 0

    file.is_valid, file.texts = True, ()
    assert await store.reload()
    assert generation.value == 1


def test_the_caller_of_a_key_is_limited_by_the_name_and_rate_of_the_key() -> None:
    configured = replace(key("billing", BILLING, expires_in=60), rate="10/second")

    caller = ApiKeyStore((configured,), ManualClock()).authenticate(BILLING.encode())

    assert caller is not None
    assert (caller.limit_key, caller.rate) == (("key", "billing"), "10/second")
    assert caller.expires_at == NOON.timestamp() + 60


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
