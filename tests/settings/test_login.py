"""Sign-in: settings that cannot work or are not safe are refused, and useless ones are reported."""

import json
from pathlib import Path

import pytest

from app.settings import find_warnings, load_for_sandbox
from tests.settings.support import NO_FILE, errors_of, settings_of

GRANTS = json.dumps([{"claim": "roles", "value": "billing", "scopes": ["orders:read"]}])
SECRET = "canary-secret-of-32-characters-00"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - not bound to
VALID = {
    "LOGIN__ISSUER": "https://login.example.com/oidc/",
    "LOGIN__CLIENT_ID": "client",
    "LOGIN__CLIENT_SECRET": "secret",
    "LOGIN__COOKIE_SECRETS": json.dumps([SECRET]),
    "CALLERS__GRANTS": GRANTS,
    "CALLERS__ANONYMOUS": "false",
    "SERVER__PUBLIC_URL": "https://orders.example.com/x",
}


def test_people_who_sign_in_are_callers_enough() -> None:
    settings = settings_of(**VALID)
    assert settings.login.issuer == "https://login.example.com/oidc/"
    assert find_warnings(settings) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LOGIN__CLIENT_ID": ""}, "LOGIN__CLIENT_ID: is required with ORDERS_LOGIN__ISSUER"),
        (
            {"LOGIN__CLIENT_SECRET": ""},
            "LOGIN__CLIENT_SECRET: is required with ORDERS_LOGIN__ISSUER",
        ),
        (
            {"LOGIN__COOKIE_SECRETS": "[]"},
            "LOGIN__COOKIE_SECRETS (environment): is required with ORDERS_LOGIN__ISSUER",
        ),
        ({"CALLERS__GRANTS": ""}, "CALLERS__GRANTS: is required with ORDERS_LOGIN__ISSUER"),
        (
            {"LOGIN__COOKIE_SECRETS": json.dumps([SECRET, "short"])},
            "LOGIN__COOKIE_SECRETS (environment): each must have at least 32 characters",
        ),
        (
            {"LOGIN__COOKIE_SECRETS": json.dumps([SECRET, SECRET])},
            "LOGIN__COOKIE_SECRETS (environment): must have each secret once",
        ),
        (
            {"LOGIN__ISSUER": "http://login.example.com"},
            "LOGIN__ISSUER (environment): must start with https://",
        ),
        (
            {"LOGIN__SCOPES": "profile email"},
            "LOGIN__SCOPES (environment): must be names separated by single spaces, with openid",
        ),
        ({"LOGIN__LIFETIME": "59"}, "LOGIN__LIFETIME (environment): must be at least 60"),
        (
            {"SERVER__PUBLIC_URL": "http://orders.example.com"},
            "SERVER__PUBLIC_URL (environment): must start with https:// with ORDERS_LOGIN__ISSUER",
        ),
        (
            {"SERVER__PUBLIC_URL": "", "SERVER__HOST": EVERY_ADDRESS},
            "SERVER__PUBLIC_URL: must start with https:// with ORDERS_LOGIN__ISSUER",
        ),
        (
            {"SERVER__PUBLIC_URL": "http://localhost:8000", "SERVER__HOST": EVERY_ADDRESS},
            "SERVER__PUBLIC_URL (environment): must start with https:// with ORDERS_LOGIN__ISSUER",
        ),
    ],
)
def test_what_cannot_work_or_is_not_safe_is_refused(changes: dict[str, str], message: str) -> None:
    variables = {name: value for name, value in (VALID | changes).items() if value}
    (error,) = errors_of(**variables)
    assert error.startswith(f"ORDERS_{message}")
    assert SECRET not in error


def test_settings_of_sign_in_without_an_issuer_are_refused() -> None:
    errors = errors_of(LOGIN__CLIENT_ID="client", LOGIN__LIFETIME="600")
    assert [error.partition(" ")[0] for error in errors] == [
        "ORDERS_LOGIN__CLIENT_ID",
        "ORDERS_LOGIN__LIFETIME",
    ]
    assert all("requires ORDERS_LOGIN__ISSUER" in error for error in errors)


@pytest.mark.parametrize("public_url", ["", "http://localhost:8000", "http://127.0.0.1:8000/x"])
def test_on_loopback_no_https_is_needed(public_url: str) -> None:
    changed = VALID | {"SERVER__PUBLIC_URL": public_url}
    settings = settings_of(**{name: value for name, value in changed.items() if value})
    assert settings.login.issuer


@pytest.mark.parametrize(
    ("origin", "public_url", "is_warned"),
    [
        ("https://shop.example.com", "https://orders.example.com", False),
        ("https://example.com:8443", "https://orders.example.com", False),
        ("http://shop.example.com", "https://orders.example.com", True),
        ("https://example.org", "https://orders.example.com", True),
        ("https://a.example.co.uk", "https://b.example.co.uk", False),
        ("https://a.co.uk", "https://b.co.uk", True),
        ("https://a.io", "https://b.io", True),
        ("https://192.0.2.1", "https://192.0.3.1", True),
        ("https://[2001:db8::1]", "https://[2001:db8::2]", True),
        ("http://localhost:3000", "", False),
        ("http://127.0.0.1:3000", "", False),
        ("https://shop.example.com", "", True),
    ],
)
def test_a_listed_page_of_another_site_is_warned_about(
    origin: str, public_url: str, is_warned: bool
) -> None:
    settings = settings_of(
        **VALID | {"SERVER__PUBLIC_URL": public_url, "CORS__ORIGINS": json.dumps([origin])}
    )
    warnings = find_warnings(settings)
    assert bool(warnings) is is_warned
    assert all(origin in warning for warning in warnings)


EMBEDDED = {"base_url": "http://127.0.0.1:9", "access_key_id": "i", "access_key_secret": "s"}
ISSUER = "http://127.0.0.1:9/issuer"
EMBEDDED_LOGIN = {
    "issuer": ISSUER,
    "client_id": "sandbox",
    "client_secret": "secret",
    "cookie_secrets": [SECRET],
    "grants": [{"issuer": ISSUER, "claim": "roles", "value": "x", "scopes": ["orders:read"]}],
}


def test_the_sandbox_has_an_issuer_and_a_dashboard_of_its_own() -> None:
    environ = {f"ORDERS_{name}": value for name, value in VALID.items()}
    environ["ORDERS_SERVER__PUBLIC_URL"] = "http://localhost:8000"
    settings = load_for_sandbox(EMBEDDED, environ, dotenv=NO_FILE, login=EMBEDDED_LOGIN)

    assert settings.login.issuer == ISSUER
    assert settings.dashboard.enabled
    ignored = [text for text in find_warnings(settings) if "embedded issuer" in text]
    assert len(ignored) == 5


def test_the_sandbox_has_no_issuer_where_browsers_could_not_reach_it() -> None:
    def load(**environ: str) -> str | None:
        variables = {f"ORDERS_{name}": value for name, value in environ.items()}
        settings = load_for_sandbox(EMBEDDED, variables, dotenv=NO_FILE, login=EMBEDDED_LOGIN)
        return settings.login.issuer

    assert load() == ISSUER
    assert load(SERVER__PUBLIC_URL="https://orders.example.com") is None
    assert load(SERVER__HOST=EVERY_ADDRESS, CALLERS__ANONYMOUS="true") is None


def test_the_dashboard_of_the_sandbox_can_be_disabled() -> None:
    environ = {"ORDERS_DASHBOARD__ENABLED": "false"}
    assert not load_for_sandbox(EMBEDDED, environ, dotenv=Path("/x")).dashboard.enabled
