"""Signatures, compared with those that the vendor's own code generated."""

import pytest

from app.sandbox.signing import sign, sign_token, string_to_sign, verify_token

KEY = "4ae78d3e579a6d0000001aeca7b1e29e"
NONCE = "f02a938cdbcf1b1f10bf14887eda6659"
PAYMENT_NONCE = "0123456789abcdef0123456789abcdef"
NODE = "authing-node-sdk:4.0.1"
GENAUTH_NODE = "gen-auth-node-sdk:1.0.0"
OCTOBER = "Sun, 09 Oct 2022 06:14:00 GMT"
AUGUST = "Tue, 09 Aug 2022 03:59:46 GMT"
ORDER_NO = "2022080911591337da0aae9660"


def headers_of(prefix: str, date: str, lang: str, nonce: str, version: str) -> dict[str, str]:
    return {
        "accept": "application/json",
        "date": date,
        f"{prefix}lang": lang,
        f"{prefix}sdk-version": version,
        f"{prefix}signature-method": "HMAC-SHA1",
        f"{prefix}signature-nonce": nonce,
        f"{prefix}signature-version": "1.0",
    }


@pytest.mark.parametrize(
    ("path", "params", "prefix", "headers", "expected"),
    [
        (
            "/api/v3/get-orders",
            {"page": "2", "limit": "50"},
            "x-authing-",
            headers_of("x-authing-", OCTOBER, "zh-CN", NONCE, NODE),
            "TCNJbxWAhzfdcxy3mQTHwAulzhk=",
        ),
        (
            "/api/v3/get-order-pay-detail",
            {"orderNo": ORDER_NO},
            "x-authing-",
            headers_of("x-authing-", AUGUST, "en-US", PAYMENT_NONCE, NODE),
            "uKo8wf9D8WbWJJKmOfr1uQce8aI=",
        ),
        (
            "/api/v3/get-all-rights-items",
            {},
            "x-authing-",
            headers_of("x-authing-", OCTOBER, "zh-CN", NONCE, NODE),
            "t45AtwhaHV/7n+noYy8D1XaAiUk=",
        ),
        (
            "/api/v3/get-orders",
            {"page": "2", "limit": "50"},
            "x-genauth-",
            headers_of("x-genauth-", OCTOBER, "en-US", NONCE, GENAUTH_NODE),
            "ZtviA4s0oVMoW3C6jxH2NO/pM1g=",
        ),
    ],
)
def test_a_signature_equals_that_of_the_vendors_own_code(
    path: str, params: dict[str, str], prefix: str, headers: dict[str, str], expected: str
) -> None:
    assert sign(string_to_sign("GET", path, params, headers, prefix), KEY) == expected


def test_whitespace_in_a_signed_header_is_normalised() -> None:
    text = string_to_sign("GET", "/p", {}, {"x-authing-lang": " zh\tCN "}, "x-authing-")
    assert text == "GET\nx-authing-lang:zh CN\n/p"


def test_a_token_is_verified_only_by_the_key_that_signed_it() -> None:
    token = sign_token({"exp": 5, "name": "中"}, b"one")
    assert verify_token(token, b"one") == {"exp": 5, "name": "中"}
    assert verify_token(token, b"two") is None


@pytest.mark.parametrize("token", ["", ".", "..", "abc", "a.b.c", "中.文.字"])
def test_a_malformed_token_has_no_claims(token: str) -> None:
    assert verify_token(token, b"one") is None
