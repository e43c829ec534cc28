"""The signature equals the one that the vendor's SDK computes."""

import pytest

from app.upstream.signature import Brand, authorization, headers_to_sign, string_to_sign

KEY_ID = "6250f12d5d0000009bcfc784"
SECRET = "4ae78d3e579a6d0000001aeca7b1e29e"
OCTOBER = ("Sun, 09 Oct 2022 06:14:00 GMT", "f02a938cdbcf1b1f10bf14887eda6659")
AUGUST = ("Tue, 09 Aug 2022 03:59:46 GMT", "0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    ("brand", "date_and_nonce", "sdk", "path_and_params", "signature"),
    [
        (
            "authing",
            OCTOBER,
            ("zh-CN", "authing-node-sdk:4.0.1"),
            ("/api/v3/get-orders", {"page": "2", "limit": "50"}),
            "authing 6250f12d5d0000009bcfc784:TCNJbxWAhzfdcxy3mQTHwAulzhk=",
        ),
        (
            "authing",
            AUGUST,
            ("en-US", "authing-node-sdk:4.0.1"),
            ("/api/v3/get-order-pay-detail", {"orderNo": "2022080911591337da0aae9660"}),
            "authing 6250f12d5d0000009bcfc784:uKo8wf9D8WbWJJKmOfr1uQce8aI=",
        ),
        (
            "authing",
            OCTOBER,
            ("zh-CN", "authing-node-sdk:4.0.1"),
            ("/api/v3/get-all-rights-items", {}),
            "authing 6250f12d5d0000009bcfc784:t45AtwhaHV/7n+noYy8D1XaAiUk=",
        ),
        (
            "genauth",
            OCTOBER,
            ("en-US", "gen-auth-node-sdk:1.0.0"),
            ("/api/v3/get-orders", {"page": "2", "limit": "50"}),
            "GenAuth 6250f12d5d0000009bcfc784:ZtviA4s0oVMoW3C6jxH2NO/pM1g=",
        ),
    ],
    ids=["V1", "V2", "V3", "V4"],
)
def test_a_call_is_signed_as_by_the_vendor_s_sdk(
    brand: Brand,
    date_and_nonce: tuple[str, str],
    sdk: tuple[str, str],
    path_and_params: tuple[str, dict[str, str]],
    signature: str,
):
    headers = headers_to_sign(brand, date=date_and_nonce[0], nonce=date_and_nonce[1])
    headers |= {f"x-{brand}-lang": sdk[0], f"x-{brand}-sdk-version": sdk[1]}
    text = string_to_sign("GET", *path_and_params, headers, brand)
    assert authorization(KEY_ID, SECRET, text, brand) == signature


def test_only_the_date_and_the_brand_s_own_headers_are_signed():
    headers = headers_to_sign("genauth", date="today", nonce="n")
    signed = string_to_sign("GET", "/", {}, headers, "genauth")
    others = {"accept": "x", "x-authing-lang": "y"}
    assert string_to_sign("GET", "/", {}, headers | others, "genauth") == signed
    assert string_to_sign("GET", "/", {}, headers | {"x-genauth-z": "1"}, "genauth") != signed


def test_line_breaks_in_a_header_cannot_add_a_line():
    text = string_to_sign("GET", "/p", {}, {"date": " a\nx:b\t"}, "genauth")
    assert text == "GET\ndate:a x:b\n/p"
