"""Settings that say which issuers are trusted, and for what."""

import json
from typing import Any

import pytest

from app.settings import find_warnings
from tests.settings.support import errors_of, settings_of

ISSUER = "https://login.example.com/oidc"
GRANT: dict[str, Any] = {"claim": "roles", "value": "billing", "scopes": ["orders:read"]}
TOKENS = {"CALLERS__OIDC_ISSUER": ISSUER, "CALLERS__OIDC_AUDIENCE": "orders-api"}

POOL = "https://customers.example.com/oidc"
LOGIN = {
    "LOGIN__ISSUER": POOL,
    "LOGIN__CLIENT_ID": "orders-dashboard",
    "LOGIN__CLIENT_SECRET": "secret-of-the-client",
    "LOGIN__COOKIE_SECRETS": '["a-secret-of-at-least-32-characters"]',
}


def grants(*changes: dict[str, Any]) -> dict[str, str]:
    """Return the variable with a list of grants, each with changes to a valid one."""
    return {"CALLERS__GRANTS": json.dumps([GRANT | each for each in changes])}


@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER,
        f"{ISSUER}/",
        "https://login.example.com",
        "https://LOGIN.example.com/",
        "https://login.example.com:8443/realms/staff",
        "http://127.0.0.1:9080",
        "http://localhost:9080/oidc",
    ],
)
def test_an_issuer_is_taken_literally(issuer: str) -> None:
    assert settings_of(**TOKENS | {"CALLERS__OIDC_ISSUER": issuer}).callers.oidc_issuer == issuer


@pytest.mark.parametrize(
    ("issuer", "reason"),
    [
        ("http://login.example.com", "must start with https://"),
        ("login.example.com", "must be a URL"),
        ("https://login.example.com?x=1", "must not have a user, a query or a fragment"),
        ("https://login.example.com/#x", "must not have a user, a query or a fragment"),
        ("https://user@login.example.com", "must not have a user, a query or a fragment"),
        ("https://login.example.com/../x", "must not have empty path segments"),
        (
            "https://login.example.com/oidc/.well-known/openid-configuration",
            "must be the issuer itself",
        ),
    ],
)
def test_an_invalid_issuer_is_refused(issuer: str, reason: str) -> None:
    (error,) = errors_of(**TOKENS | {"CALLERS__OIDC_ISSUER": issuer})
    assert error.startswith("ORDERS_CALLERS__OIDC_ISSUER (environment): ")
    assert reason in error


def test_an_issuer_requires_an_audience_and_the_reverse() -> None:
    (error,) = errors_of(CALLERS__OIDC_ISSUER=ISSUER)
    assert error.startswith("ORDERS_CALLERS__OIDC_AUDIENCE")
    assert "is required with ORDERS_CALLERS__OIDC_ISSUER" in error

    (error,) = errors_of(CALLERS__OIDC_AUDIENCE="orders-api")
    assert "requires ORDERS_CALLERS__OIDC_ISSUER" in error


def test_an_issuer_is_a_way_to_authenticate() -> None:
    assert settings_of(**TOKENS, CALLERS__ANONYMOUS="false").issuers() == (ISSUER,)
    (error,) = errors_of(CALLERS__ANONYMOUS="false")
    assert "no caller could authenticate" in error
    assert "ORDERS_CALLERS__OIDC_ISSUER" in error


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scopes": ["orders:write"]}, "entry 1, scopes"),
        ({"scopes": []}, "entry 1, scopes: must not be empty"),
        ({"claim": ""}, "entry 1, claim"),
        ({"value": ""}, "entry 1, value"),
        ({"value": "*"}, "patterns are not supported"),
        ({"value": 1}, "entry 1, value"),
        ({"role": "billing"}, "entry 1 has an unknown field"),
        ({"issuer": "http://login.example.com"}, "must start with https://"),
        ({"issuer": "https://other.example.com"}, f"entry 1: `issuer` must be {ISSUER}"),
        ({"issuer": f"{ISSUER}/"}, f"entry 1: `issuer` must be {ISSUER}"),
    ],
    ids=str,
)
def test_an_invalid_grant_is_refused(change: dict[str, Any], reason: str) -> None:
    (error,) = errors_of(**TOKENS, **grants(change))
    assert error.startswith("ORDERS_CALLERS__GRANTS (environment): ")
    assert reason in error


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "must be a JSON list"),
        ('[{"claim":"a","claim":"b","value":"c","scopes":["orders:read"]}]', "twice"),
        (json.dumps([GRANT, GRANT]), "must have each claim and value once"),
    ],
    ids=["text", "field-twice", "grant-twice"],
)
def test_an_invalid_list_of_grants_is_refused(text: str, reason: str) -> None:
    (error,) = errors_of(**TOKENS, CALLERS__GRANTS=text)
    assert reason in error


def test_grants_require_an_issuer() -> None:
    (error,) = errors_of(**grants({}))
    assert "requires ORDERS_CALLERS__OIDC_ISSUER or ORDERS_LOGIN__ISSUER" in error


def test_a_grant_for_an_issuer_has_its_values() -> None:
    variables = grants({"issuer": ISSUER}, {"value": "张三 admin", "claim": "realm_access.roles"})

    first, second = settings_of(**TOKENS, **variables).callers.grants

    assert (first.issuer, first.claim, first.value) == (ISSUER, "roles", "billing")
    assert (second.issuer, second.claim, second.value) == (None, "realm_access.roles", "张三 admin")
    assert second.scopes == ("orders:read",)


def test_tokens_that_open_nothing_are_warned_about() -> None:
    (warning,) = find_warnings(settings_of(**TOKENS))
    assert "without ORDERS_CALLERS__GRANTS its tokens open nothing" in warning
    assert find_warnings(settings_of(**TOKENS, **grants({"claim": "scope"}))) == ()


def test_the_audience_must_not_be_the_client_of_the_login() -> None:
    tokens = TOKENS | {"CALLERS__OIDC_AUDIENCE": LOGIN["LOGIN__CLIENT_ID"]}

    (error,) = errors_of(**tokens, **LOGIN, **grants({"issuer": ISSUER}))

    assert error.startswith("ORDERS_CALLERS__OIDC_AUDIENCE")
    assert "must not be ORDERS_LOGIN__CLIENT_ID" in error


def test_with_two_issuers_each_grant_names_one_of_them() -> None:
    both = TOKENS | LOGIN

    (error,) = errors_of(**both, **grants({"issuer": POOL}, {"value": "support"}))
    assert "entry 2: must have an `issuer`" in error
    (error,) = errors_of(**both, **grants({"issuer": "https://third.example.com"}))
    assert f"`issuer` must be {ISSUER} or {POOL}" in error

    settings = settings_of(**both, **grants({"issuer": POOL}, {"issuer": ISSUER}))
    assert settings.issuers() == (ISSUER, POOL)
    assert find_warnings(settings) == ()


def test_one_issuer_for_tokens_and_login_needs_no_name_in_a_grant() -> None:
    settings = settings_of(**TOKENS, **LOGIN | {"LOGIN__ISSUER": ISSUER}, **grants({}))

    assert settings.issuers() == (ISSUER,)


@pytest.mark.parametrize("variables", [LOGIN, TOKENS | LOGIN], ids=["login", "both"])
@pytest.mark.parametrize("claim", ["scope", "scp"])
def test_a_grant_for_the_scope_of_people_is_warned_about(
    variables: dict[str, str], claim: str
) -> None:
    settings = settings_of(
        **variables, **grants({"issuer": POOL, "claim": claim}, {"issuer": POOL})
    )

    assert find_warnings(settings) == (
        (
            f"ORDERS_CALLERS__GRANTS: entry 1 has no effect: `{claim}` counts only in tokens of"
            " ORDERS_CALLERS__OIDC_ISSUER"
        ),
    )
