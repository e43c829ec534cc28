"""Which keys of an issuer are used, and which signatures are accepted."""

import json
from typing import Any

import pytest

from app.identity.signing_keys import (
    MAX_KEYS,
    MAX_TOKEN_BYTES,
    InvalidToken,
    SigningKeys,
    UnknownKey,
    parse_keys,
    verify,
)
from tests.identity.forge import key_of, part, public, sign, sign_with_public_key

CLAIMS = {"sub": "service-1"}
ES256 = key_of("ES256")


def key_set(*entries: object) -> SigningKeys:
    return parse_keys(json.dumps({"keys": entries}).encode())


ONE_KEY = key_set(public(ES256, kid="1"))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "Ed25519"])
def test_a_token_that_a_key_has_signed_is_accepted(algorithm: str) -> None:
    keys = key_set(public(key_of(algorithm), kid="1", use="sig", key_ops=["verify"]))

    assert verify(sign(CLAIMS, algorithm=algorithm), keys) == CLAIMS


@pytest.mark.parametrize("kind", [None, "JWT", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_the_type_may_be_absent_or_that_of_an_access_token(kind: str | None) -> None:
    assert verify(sign(CLAIMS, typ=kind), ONE_KEY) == CLAIMS


def test_the_header_cannot_choose_the_key() -> None:
    other = key_of("ES256", 2)
    header: dict[str, Any] = {
        "jku": "https://evil.example.com/jwks",
        "x5u": "https://evil.example.com/certificate",
        "jwk": public(other),
        "x5c": ["MIIB"],
        "unknown": 1,
    }

    assert verify(sign(CLAIMS, **header), ONE_KEY) == CLAIMS
    with pytest.raises(UnknownKey, match="signature"):
        verify(sign(CLAIMS, key=other, **header), ONE_KEY)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(part({"alg": "none"}) + b"." + part(CLAIMS) + b".", "RS256", id="none"),
        pytest.param(sign_with_public_key(CLAIMS, ES256), "RS256", id="hs256-public-key"),
        pytest.param(part({"alg": ["ES256"]}) + b".e30.AA", "RS256", id="alg-list"),
        pytest.param(part({"kid": "1"}) + b".e30.AA", "malformed", id="no-alg"),
        pytest.param(sign(CLAIMS, kid=1), "malformed", id="kid-number"),
        pytest.param(
            part({"alg": "ES256", "crit": ["b64"], "b64": False}) + b".e30.AA", "crit", id="crit"
        ),
        pytest.param(sign(CLAIMS, b64=True), "crit", id="b64"),
        pytest.param(sign(CLAIMS, typ="logout+jwt"), "typ", id="logout-token"),
        pytest.param(part({"alg": "ES256", "typ": 1}) + b".e30.AA", "typ", id="typ-number"),
        pytest.param(sign(CLAIMS) + b"=", "signature", id="padding"),
        pytest.param(b"eyJ.e30.AA", "malformed", id="header"),
        pytest.param(sign(CLAIMS)[:-1], "signature", id="cut"),
        pytest.param(b"e30.e30", "malformed", id="two-parts"),
        pytest.param(part(b'{"alg":' + b"[" * 9000) + b".e30.AA", "malformed", id="nested"),
        pytest.param(b"a" * (MAX_TOKEN_BYTES + 1), "longer", id="too-long"),
        pytest.param(sign([]), "malformed", id="claims-list"),  # type: ignore[arg-type]
    ],
)
def test_a_forged_or_malformed_token_is_refused(token: bytes, reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        verify(token, ONE_KEY)


def test_a_signature_over_deeply_nested_claims_is_refused() -> None:
    token = sign(json.loads("[" * 900 + "]" * 900))

    with pytest.raises(InvalidToken):
        verify(token, ONE_KEY)


def test_without_kid_the_only_fitting_key_is_used() -> None:
    token = sign(CLAIMS, kid=None)

    assert verify(token, ONE_KEY) == CLAIMS
    assert verify(token, key_set(public(ES256), public(key_of("RS256")))) == CLAIMS
    with pytest.raises(InvalidToken, match="no `kid`"):
        verify(token, key_set(public(ES256, kid="1"), public(key_of("ES256", 2), kid="2")))


def test_a_kid_that_several_keys_have_is_ambiguous() -> None:
    keys = key_set(public(ES256, kid="1"), public(key_of("ES256", 2), kid="1"))

    with pytest.raises(InvalidToken, match="several keys"):
        verify(sign(CLAIMS), keys)


@pytest.mark.parametrize("kid", ["1", None])
def test_a_key_that_is_published_twice_is_one_key(kid: str | None) -> None:
    keys = key_set(public(ES256, kid="1"), public(ES256, kid="1", alg="ES256"))

    assert verify(sign(CLAIMS, kid=kid), keys) == CLAIMS


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_is_used_with_its_own_algorithm_only(algorithm: str) -> None:
    with pytest.raises(UnknownKey):
        key_set(public(key_of(algorithm), kid="1")).find(
            "1", "RS256" if algorithm == "ES256" else "ES256"
        )


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"kty": "oct", "k": "c2VjcmV0LXNlY3JldA", "kid": "1"}, id="secret"),
        pytest.param({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}, id="new-kind"),
        pytest.param(public(ES256, use="enc"), id="encryption"),
        pytest.param(public(ES256, key_ops=["sign"]), id="key-ops"),
        pytest.param(public(ES256, key_ops=1), id="key-ops-number"),
        pytest.param(public(ES256, alg="ES384"), id="other-alg"),
        pytest.param(public(ES256, kid=1), id="kid-number"),
        pytest.param(public(ES256) | {"x": "AA"}, id="not-on-curve"),
        pytest.param(public(ES256) | {"x": None}, id="null"),
        pytest.param({"kty": "EC", "crv": "P-256"}, id="incomplete"),
        pytest.param({"kty": ["EC"], "crv": "P-256"}, id="kty-list"),
        pytest.param({"kty": "RSA", "e": "AQAB", "n": part(b"\xff" * 128).decode()}, id="1024"),
        pytest.param({"kty": "RSA", "e": "AQAB", "n": part(b"\xff" * 1025).decode()}, id="8200"),
        pytest.param("key", id="text"),
    ],
)
def test_a_key_that_cannot_be_used_is_left_out(entry: Any) -> None:
    keys = key_set(entry, public(ES256, kid="good"))

    assert [key.kid for key in keys.keys] == ["good"]
    with pytest.raises(ValueError, match="no key"):
        key_set(entry)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"keys":{}}', b"[" * 10_000, b'{"keys":[]}', b"\xff"],
    ids=["empty", "html", "list", "no-keys", "object", "nested", "none", "not-utf-8"],
)
def test_garbage_is_no_key_set(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not a JWK Set|no key"):
        parse_keys(body)


def test_a_key_set_is_bounded() -> None:
    with pytest.raises(ValueError, match="more than"):
        key_set(*[public(ES256)] * (MAX_KEYS + 1))


def test_a_private_key_in_the_key_set_is_read_as_a_public_one() -> None:
    keys = key_set({**ES256.as_dict(private=True), "kid": "1"})

    assert not keys.keys[0].key.is_private
    assert keys == ONE_KEY
