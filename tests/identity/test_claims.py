"""What the claims of a token must say."""

from typing import Any

import pytest

from app.identity.claims import (
    LEEWAY_SECONDS,
    MAX_TIMESTAMP,
    check_access_token,
    check_claims,
    expires_at,
)
from app.identity.signing_keys import InvalidToken
from tests.identity.forge import AUDIENCE, ISSUER

NOW = 1_700_000_000
VALID: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "1", "exp": NOW + 1, "iat": NOW}


def check(**changed: object) -> None:
    claims = {name: value for name, value in {**VALID, **changed}.items() if value is not ...}
    check_claims(claims, issuer=ISSUER, audience=AUDIENCE, now=NOW + 0.5)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"aud": [AUDIENCE]},
        {"aud": ["other", AUDIENCE]},
        {"exp": NOW - LEEWAY_SECONDS + 1},
        {"exp": NOW + 0.75},
        {"exp": 10**400},
        {"nbf": NOW + LEEWAY_SECONDS},
        {"iat": NOW + LEEWAY_SECONDS},
        {"iat": ...},
        {"sub": "x" * 255},
        {"sub": "张三"},
        {"jti": "1"},
    ],
    ids=str,
)
def test_a_token_for_this_api_is_accepted(changed: dict[str, object]) -> None:
    check(**changed)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": ISSUER + "/"}, "iss"),
        ({"iss": ISSUER.upper()}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"iss": ...}, "no `iss`"),
        ({"aud": "other"}, f"`aud` of the token does not contain {AUDIENCE}"),
        ({"aud": [AUDIENCE.upper()]}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": {AUDIENCE: 1}}, "aud"),
        ({"aud": ...}, "no `aud`"),
        ({"exp": NOW - LEEWAY_SECONDS}, "has expired"),
        ({"exp": str(NOW + 60)}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": ...}, "no `exp`"),
        ({"exp": None}, "no `exp`"),
        ({"nbf": NOW + LEEWAY_SECONDS + 1}, "not valid yet"),
        ({"iat": NOW + LEEWAY_SECONDS + 1}, "issued in the future"),
        ({"sub": ...}, "no `sub`"),
        ({"sub": ""}, "sub"),
        ({"sub": 1}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"jti": 1}, "jti"),
    ],
    ids=str,
)
def test_a_token_with_wrong_claims_is_refused(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        check(**changed)


@pytest.mark.parametrize("name", ["nonce", "at_hash", "c_hash"])
def test_an_id_token_is_no_access_token(name: str) -> None:
    check_access_token(VALID)
    with pytest.raises(InvalidToken, match="ID token"):
        check_access_token({**VALID, name: "x"})


def test_a_token_is_accepted_for_the_leeway_after_it_expires() -> None:
    assert expires_at({"exp": NOW}) == NOW + LEEWAY_SECONDS
    assert expires_at({"exp": 10**400}) == MAX_TIMESTAMP + LEEWAY_SECONDS
