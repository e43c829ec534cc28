"""What operators see of the settings has no secret."""

import json
from pathlib import Path

import pytest

from app.settings import load, public_settings, secret_values
from tests.settings.support import api_keys, settings_of

CREDENTIAL = {"access_key_id": "id-canary", "access_key_secret": "secret-canary"}


def shown(tmp_path: Path, *, only_changed: bool) -> dict[str, object]:
    keys = tmp_path / "keys.json"
    keys.write_text(api_keys({}))
    settings = load(
        {
            "ORDERS_CALLERS__API_KEYS_FILE": str(keys),
            "ORDERS_UPSTREAM__PROXY": "http://user:proxy-canary@proxy.internal:3128",
            "ORDERS_CORS__ORIGINS": '["https://a.example"]',
            "ORDERS_CACHE__TTL": "60",
            "ORDERS_CACHE__STALE_IF_ERROR": "3600",
        },
        dotenv=Path("/nowhere/.env"),
        upstream=CREDENTIAL,
    )
    return public_settings(settings, only_changed=only_changed)


@pytest.mark.parametrize("only_changed", [True, False])
def test_secrets_are_shown_as_set_and_nothing_else_of_them(
    tmp_path: Path, only_changed: bool
) -> None:
    found = shown(tmp_path, only_changed=only_changed)
    assert "canary" not in repr(found)
    assert found["ORDERS_UPSTREAM__ACCESS_KEY_ID"] == "(set)"
    assert found["ORDERS_UPSTREAM__PROXY"] == "(set)"
    assert found["ORDERS_CALLERS__API_KEYS_FILE"] == str(tmp_path / "keys.json")
    assert found["ORDERS_CORS__ORIGINS"] == ["https://a.example"]
    assert "ORDERS_UPSTREAM__POOL_ID" not in found


def test_defaults_are_shown_on_request(tmp_path: Path) -> None:
    changed = shown(tmp_path, only_changed=True)
    assert changed["ORDERS_CACHE__STALE_IF_ERROR"] == 3600
    assert "ORDERS_CACHE__TTL" not in changed
    everything = shown(tmp_path, only_changed=False)
    assert everything["ORDERS_CACHE__TTL"] == 60
    assert everything["ORDERS_CALLERS__API_KEYS"] == []
    assert changed.items() <= everything.items()


def test_grants_are_shown_as_they_are_configured() -> None:
    grant = {"claim": "roles", "value": "billing", "scopes": ["orders:read"]}
    settings = settings_of(
        CALLERS__OIDC_ISSUER="https://login.example.com",
        CALLERS__OIDC_AUDIENCE="orders-api",
        CALLERS__GRANTS=json.dumps([grant]),
    )

    shown = json.loads(json.dumps(public_settings(settings, only_changed=True)))

    assert shown["ORDERS_CALLERS__GRANTS"] == [grant]


def test_a_listener_is_shown_as_it_is_configured() -> None:
    for listen in ("127.0.0.1:9100", "[::1]:9100"):
        assert public_settings(settings_of(METRICS__LISTEN=listen))["ORDERS_METRICS__LISTEN"] == (
            listen
        )


def test_all_secrets_are_known_so_that_they_can_be_removed_from_texts() -> None:
    settings = settings_of(
        UPSTREAM__ACCESS_KEY_SECRET="canary-1",
        UPSTREAM__PROXY="http://user:canary-2@proxy:3128",
        CACHE__URL="rediss://user:canary-3@cache/0",
        CALLERS__GRANTS='[{"claim":"roles","value":"a","scopes":["orders:read"]}]',
        LOGIN__ISSUER="https://login.example.com",
        LOGIN__CLIENT_ID="orders",
        LOGIN__CLIENT_SECRET="canary-4",
        LOGIN__COOKIE_SECRETS=json.dumps(["canary-5-" + "x" * 40]),
        SERVER__PUBLIC_URL="https://orders.example.com",
    )
    known = " ".join(secret_values(settings))
    assert [number for number in range(1, 6) if f"canary-{number}" not in known] == []
