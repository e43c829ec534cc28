"""Authentication by token and by signature."""

from email.utils import format_datetime

import pytest

from app.sandbox.authentication import sign, string_to_sign
from app.sandbox.faults import ORDERS, TOKEN
from app.sandbox.options import Options
from tests.sandbox.client import SandboxClient
from tests.support.clock import ManualClock

PREFIXES = {"authing": "x-authing-", "GenAuth": "x-genauth-"}


def codes(envelope: dict[str, object]) -> tuple[object, object]:
    return envelope["statusCode"], envelope.get("apiCode")


def signed_headers(
    client: SandboxClient,
    clock: ManualClock,
    *,
    scheme: str = "authing",
    key_id: str | None = None,
    **changes: str | None,
) -> dict[str, str]:
    """Return the headers of a signed `get-orders?limit=1`; None removes a header."""
    prefix = PREFIXES[scheme]
    headers = {
        "date": format_datetime(clock.now(), usegmt=True),
        f"{prefix}signature-method": "HMAC-SHA1",
        f"{prefix}signature-version": "1.0",
        f"{prefix}signature-nonce": "nonce-1",
    }
    for name, value in changes.items():
        header = "date" if name == "date" else prefix + name.replace("_", "-")
        headers.pop(header, None)
        if value is not None:
            headers[header] = value
    text = string_to_sign("GET", ORDERS, {"limit": "1"}, headers, prefix)
    key_id = key_id or client.options.access_key_id
    signature = sign(text, client.options.access_key_secret)
    return {**headers, "authorization": f"{scheme} {key_id}:{signature}"}


async def test_a_token_is_valid_until_expires_in(client: SandboxClient, clock: ManualClock) -> None:
    assert (await client.request_token())["data"]["expires_in"] == 7200
    await clock.advance(7199)
    assert codes(await client.get(ORDERS)) == (200, None)
    await clock.advance(1)
    assert codes(await client.get(ORDERS)) == (401, 2020)


async def test_a_token_is_accepted_raw_and_with_either_pool_header(client: SandboxClient) -> None:
    raw = client.headers["authorization"].removeprefix("Bearer ")
    headers = {"authorization": raw, "x-genauth-userpool-id": client.options.pool_id}
    assert codes(await client.get(ORDERS, headers=headers)) == (200, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"authorization": ""},
        {"authorization": "Bearer nonsense"},
        {"x-authing-userpool-id": "another-pool"},
        {"x-genauth-userpool-id": "another-pool"},
    ],
)
async def test_a_call_without_a_token_of_its_pool_is_not_logged_in(
    client: SandboxClient, changes: dict[str, str]
) -> None:
    assert codes(await client.get(ORDERS, headers={**client.headers, **changes})) == (401, 2020)


async def test_a_token_without_a_pool_header_is_not_logged_in(client: SandboxClient) -> None:
    headers = {"authorization": client.headers["authorization"]}
    assert codes(await client.get(ORDERS, headers=headers)) == (401, 2020)


async def test_a_new_token_does_not_invalidate_an_older_one(
    client: SandboxClient, clock: ManualClock
) -> None:
    await clock.advance(5)
    await client.request_token()
    assert codes(await client.get(ORDERS)) == (200, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"accessKeyId": "somebody"}, (403, 2224)),
        ({"accessKeySecret": "wrong"}, (403, 2333)),
        ({"accessKeySecret": "密"}, (403, 2333)),
        ({"accessKeyId": None}, (400, None)),
        ({"accessKeySecret": 5}, (400, None)),
    ],
)
async def test_a_wrong_credential_and_a_malformed_one_have_different_codes(
    client: SandboxClient, changes: dict[str, object], expected: tuple[int, int | None]
) -> None:
    assert codes(await client.request_token(**changes)) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_a_token_request_that_is_not_a_json_object_is_a_bad_request(
    client: SandboxClient, body: bytes
) -> None:
    response = await client.http.post(TOKEN, content=body)
    assert codes(response.json()) == (400, None)


@pytest.mark.parametrize("scheme", PREFIXES)
async def test_a_signed_call_needs_no_token(
    client: SandboxClient, clock: ManualClock, scheme: str
) -> None:
    envelope = await client.get(
        ORDERS, headers=signed_headers(client, clock, scheme=scheme), limit=1
    )
    assert codes(envelope) == (200, None)


async def test_the_date_can_be_unix_milliseconds_in_the_vendors_own_header(
    client: SandboxClient, clock: ManualClock
) -> None:
    headers = signed_headers(client, clock, date=None)
    del headers["authorization"]
    headers["x-authing-date"] = str(int(clock.now().timestamp() * 1000))
    text = string_to_sign("GET", ORDERS, {"limit": "1"}, headers, "x-authing-")
    signature = sign(text, client.options.access_key_secret)
    headers["authorization"] = f"authing {client.options.access_key_id}:{signature}"
    assert codes(await client.get(ORDERS, headers=headers, limit=1)) == (200, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key_id": "somebody"}, 2224),
        ({"signature_method": "HMAC-SHA256"}, 1301),
        ({"signature_version": "2.0"}, 1302),
        ({"date": "yesterday"}, 1303),
        ({"date": "12"}, 1303),
        ({"date": "Mon, 23 Nov 2026 12:00:00 -0000"}, 1303),
        ({"date": None}, 1304),
        ({"date": "Mon, 23 Nov 2026 11:54:59 GMT"}, 1305),
        ({"date": "Mon, 23 Nov 2026 12:05:01 GMT"}, 1305),
        ({"signature_nonce": None}, 1300),
    ],
)
async def test_each_error_of_a_signed_call_has_its_code(
    client: SandboxClient, clock: ManualClock, changes: dict[str, str], expected: int
) -> None:
    envelope = await client.get(ORDERS, headers=signed_headers(client, clock, **changes), limit=1)
    assert codes(envelope) == (403, expected)


async def test_a_signature_is_valid_only_for_the_request_it_was_made_for(
    client: SandboxClient, clock: ManualClock
) -> None:
    headers = signed_headers(client, clock)
    assert codes(await client.get(ORDERS, headers=headers, limit=2)) == (403, 1300)


async def test_a_nonce_can_be_used_only_once(client: SandboxClient, clock: ManualClock) -> None:
    headers = signed_headers(client, clock)
    assert codes(await client.get(ORDERS, headers=headers, limit=1)) == (200, None)
    assert codes(await client.get(ORDERS, headers=headers, limit=1)) == (403, 1306)


async def test_a_rejected_call_does_not_consume_its_nonce(
    client: SandboxClient, clock: ManualClock
) -> None:
    await client.get(ORDERS, headers=signed_headers(client, clock), limit=2)
    assert codes(await client.get(ORDERS, headers=signed_headers(client, clock), limit=1)) == (
        200,
        None,
    )


async def test_a_nonce_can_be_used_again_once_its_date_is_too_old(
    client: SandboxClient, clock: ManualClock
) -> None:
    await client.get(ORDERS, headers=signed_headers(client, clock), limit=1)
    await clock.advance(600)
    again = await client.get(ORDERS, headers=signed_headers(client, clock), limit=1)
    assert codes(again) == (200, None)


async def test_the_language_changes_only_the_message() -> None:
    client = await SandboxClient.logged_in(Options(), ManualClock())
    zh = await client.get(ORDERS, headers={})
    en = await client.get(ORDERS, headers={"x-genauth-lang": "en-US"})
    assert codes(zh) == codes(en)
    assert en["message"] == "Not logged in"
    assert zh["message"] != en["message"]


# Signatures, compared with those that the vendor's own code generated

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
