"""The vendor's signatures, against what the vendor's own code made."""

import pytest

from app.sandbox.signing import read_token, sign_token, signature, string_to_sign

KEY = "4ae78d3e579a6d0000001aeca7b1e29e"
NONCE = "f02a938cdbcf1b1f10bf14887eda6659"
PAYMENT_NONCE = "0123456789abcdef0123456789abcdef"
NODE = "authing-node-sdk:4.0.1"
GENAUTH_NODE = "gen-auth-node-sdk:1.0.0"
OCTOBER = "Sun, 09 Oct 2022 06:14:00 GMT"
AUGUST = "Tue, 09 Aug 2022 03:59:46 GMT"
ORDER_NO = "2022080911591337da0aae9660"


def sent(prefix: str, date: str, lang: str, nonce: str, version: str) -> dict[str, str]:
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
            sent("x-authing-", OCTOBER, "zh-CN", NONCE, NODE),
            "TCNJbxWAhzfdcxy3mQTHwAulzhk=",
        ),
        (
            "/api/v3/get-order-pay-detail",
            {"orderNo": ORDER_NO},
            "x-authing-",
            sent("x-authing-", AUGUST, "en-US", PAYMENT_NONCE, NODE),
            "uKo8wf9D8WbWJJKmOfr1uQce8aI=",
        ),
        (
            "/api/v3/get-all-rights-items",
            {},
            "x-authing-",
            sent("x-authing-", OCTOBER, "zh-CN", NONCE, NODE),
            "t45AtwhaHV/7n+noYy8D1XaAiUk=",
        ),
        (
            "/api/v3/get-orders",
            {"page": "2", "limit": "50"},
            "x-genauth-",
            sent("x-genauth-", OCTOBER, "en-US", NONCE, GENAUTH_NODE),
            "ZtviA4s0oVMoW3C6jxH2NO/pM1g=",
        ),
    ],
)
def test_a_call_is_signed_as_the_vendors_own_code_signs_it(
    path: str, params: dict[str, str], prefix: str, headers: dict[str, str], expected: str
) -> None:
    assert signature(KEY, string_to_sign("GET", path, params, headers, prefix)) == expected


def test_blanks_within_a_signed_header_are_one_kind_of_blank() -> None:
    text = string_to_sign("GET", "/p", {}, {"x-authing-lang": " zh\tCN "}, "x-authing-")
    assert text == "GET\nx-authing-lang:zh CN\n/p"


def test_a_token_is_read_back_by_the_key_that_signed_it_alone() -> None:
    token = sign_token({"exp": 5, "name": "中"}, b"one")
    assert read_token(token, b"one") == {"exp": 5, "name": "中"}
    assert read_token(token, b"two") is None


@pytest.mark.parametrize("token", ["", ".", "..", "abc", "a.b.c", "中.文.字"])
def test_what_is_no_token_has_no_claims(token: str) -> None:
    assert read_token(token, b"one") is None
