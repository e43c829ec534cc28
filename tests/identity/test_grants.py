"""Which scopes a caller has, given its claims."""

import pytest

from app.identity.grants import MAX_VALUES, Grant, Grants

STAFF = "https://staff.example.com"
CUSTOMERS = "https://customers.example.com"


def grant(claim: str, value: str, *scopes: str, issuer: str | None = None) -> Grant:
    return Grant(issuer, claim, value, frozenset(scopes or ("orders:read",)))


def scopes_of(
    claims: dict[str, object], *grants: Grant, issuer: str = STAFF, is_access_token: bool = True
) -> set[str]:
    all_grants = Grants(grants)
    values = all_grants.read(claims, is_access_token=is_access_token)
    return set(all_grants.scopes(issuer, values))


@pytest.mark.parametrize(
    "claims",
    [
        {"roles": "billing"},
        {"roles": ["billing"]},
        {"roles": ["other", "billing"]},
        {"roles": [1, None, {}, "billing"]},
    ],
    ids=str,
)
def test_a_claim_is_a_text_or_a_list_of_texts(claims: dict[str, object]) -> None:
    assert scopes_of(claims, grant("roles", "billing")) == {"orders:read"}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"roles": "billing admin"},
        {"roles": "Billing"},
        {"roles": "bill"},
        {"roles": []},
        {"roles": [["billing"]]},
        {"roles": {"billing": True}},
        {"roles": True},
        {"roles": None},
        {"role": "billing"},
        {"roles": ["other"] * MAX_VALUES + ["billing"]},
    ],
    ids=range(11),
)
def test_whatever_is_not_granted_is_denied(claims: dict[str, object]) -> None:
    assert scopes_of(claims, grant("roles", "billing")) == set()
    assert scopes_of({"roles": "billing"}) == set()


def test_the_scopes_of_all_grants_that_apply_are_added_up() -> None:
    grants = (
        grant("roles", "billing", "orders:read", "payments:read"),
        grant("sub", "service-1", "metrics:read"),
        grant("roles", "admin", "cache:purge"),
    )

    scopes = scopes_of({"roles": ["billing"], "sub": "service-1"}, *grants)

    assert scopes == {"orders:read", "payments:read", "metrics:read"}


def test_a_role_in_the_customers_pool_opens_nothing() -> None:
    grants = (grant("roles", "billing", issuer=STAFF),)

    assert scopes_of({"roles": "billing"}, *grants, issuer=STAFF) == {"orders:read"}
    assert scopes_of({"roles": "billing"}, *grants, issuer=CUSTOMERS) == set()


@pytest.mark.parametrize("claim", ["scope", "scp"])
@pytest.mark.parametrize("value", ["openid orders", ["openid", "orders"]], ids=["text", "list"])
def test_scope_counts_only_in_a_token_for_this_api(claim: str, value: object) -> None:
    grants = (grant(claim, "orders"),)

    assert scopes_of({claim: value}, *grants) == {"orders:read"}
    assert scopes_of({claim: value}, *grants, is_access_token=False) == set()


def test_a_claim_may_be_nested() -> None:
    claims: dict[str, object] = {"realm_access": {"roles": ["billing"]}}

    assert scopes_of(claims, grant("realm_access.roles", "billing")) == {"orders:read"}
    assert scopes_of(claims, grant("realm_access.roles.billing", "billing")) == set()


def test_a_name_with_dots_is_found_before_a_path() -> None:
    name = "https://example.com/roles"
    claims: dict[str, object] = {name: "billing", "a.b": "other", "a": {"b": "billing"}}

    assert scopes_of(claims, grant(name, "billing")) == {"orders:read"}
    assert scopes_of(claims, grant("a.b", "billing")) == set()


def test_only_the_claims_that_grants_read_are_kept() -> None:
    grants = Grants([grant("roles", "billing"), grant("roles", "admin"), grant("groups", "staff")])

    values = grants.read({"roles": ["x"], "groups": [], "email": "a@b"}, is_access_token=False)

    assert values == {"roles": ("x",)}
