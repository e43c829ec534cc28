"""Who may call, by token and by signature."""

from email.utils import format_datetime

import pytest

from app.sandbox import Options
from app.sandbox.signing import signature, string_to_sign
from tests.sandbox.asker import GRANT, ORDERS, Asker
from tests.support.clock import ManualClock

PREFIXES = {"authing": "x-authing-", "GenAuth": "x-genauth-"}


def verdict(envelope: dict[str, object]) -> tuple[object, object]:
    return envelope["statusCode"], envelope.get("apiCode")


def signed(
    asker: Asker,
    clock: ManualClock,
    *,
    word: str = "authing",
    key_id: str | None = None,
    **changed: str | None,
) -> dict[str, str]:
    """Headers of a signed `get-orders?limit=1`; a header changed to None is not sent."""
    prefix = PREFIXES[word]
    headers = {
        "date": format_datetime(clock.now(), usegmt=True),
        f"{prefix}signature-method": "HMAC-SHA1",
        f"{prefix}signature-version": "1.0",
        f"{prefix}signature-nonce": "nonce-1",
    }
    for name, value in changed.items():
        header = "date" if name == "date" else prefix + name.replace("_", "-")
        headers.pop(header, None)
        if value is not None:
            headers[header] = value
    text = string_to_sign("GET", ORDERS, {"limit": "1"}, headers, prefix)
    sent = signature(asker.options.access_key_secret, text)
    return {**headers, "authorization": f"{word} {key_id or asker.options.access_key_id}:{sent}"}


async def test_a_token_lasts_as_long_as_it_says(asker: Asker, clock: ManualClock) -> None:
    assert (await asker.grant())["data"]["expires_in"] == 7200
    await clock.advance(7199)
    assert verdict(await asker.get(ORDERS)) == (200, None)
    await clock.advance(1)
    assert verdict(await asker.get(ORDERS)) == (401, 2020)


async def test_a_token_is_accepted_raw_and_with_either_pool_header(asker: Asker) -> None:
    raw = asker.headers["authorization"].removeprefix("Bearer ")
    headers = {"authorization": raw, "x-genauth-userpool-id": asker.options.pool_id}
    assert verdict(await asker.get(ORDERS, headers=headers)) == (200, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"authorization": ""},
        {"authorization": "Bearer nonsense"},
        {"x-authing-userpool-id": "another-pool"},
        {"x-genauth-userpool-id": "another-pool"},
    ],
)
async def test_a_call_that_does_not_prove_its_pool_is_not_logged_in(
    asker: Asker, changed: dict[str, str]
) -> None:
    assert verdict(await asker.get(ORDERS, headers={**asker.headers, **changed})) == (401, 2020)


async def test_a_token_without_a_pool_header_is_not_logged_in(asker: Asker) -> None:
    headers = {"authorization": asker.headers["authorization"]}
    assert verdict(await asker.get(ORDERS, headers=headers)) == (401, 2020)


async def test_a_new_token_does_not_end_an_older_one(asker: Asker, clock: ManualClock) -> None:
    await clock.advance(5)
    await asker.grant()
    assert verdict(await asker.get(ORDERS)) == (200, None)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"accessKeyId": "somebody"}, (403, 2224)),
        ({"accessKeySecret": "wrong"}, (403, 2333)),
        ({"accessKeySecret": "密"}, (403, 2333)),
        ({"accessKeyId": None}, (400, None)),
        ({"accessKeySecret": 5}, (400, None)),
    ],
)
async def test_a_wrong_credential_is_told_from_a_malformed_one(
    asker: Asker, changed: dict[str, object], expected: tuple[int, int | None]
) -> None:
    assert verdict(await asker.grant(**changed)) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_a_question_for_a_token_that_is_no_object_is_a_bad_argument(
    asker: Asker, body: bytes
) -> None:
    answer = await asker.http.post(GRANT, content=body)
    assert verdict(answer.json()) == (400, None)


@pytest.mark.parametrize("word", PREFIXES)
async def test_a_signed_call_needs_no_token(asker: Asker, clock: ManualClock, word: str) -> None:
    answer = await asker.get(ORDERS, headers=signed(asker, clock, word=word), limit=1)
    assert verdict(answer) == (200, None)


async def test_a_date_may_be_unix_milliseconds_in_a_header_of_the_vendors(
    asker: Asker, clock: ManualClock
) -> None:
    stamp = str(int(clock.now().timestamp() * 1000))
    headers = signed(asker, clock, date=None)
    del headers["authorization"]
    headers["x-authing-date"] = stamp
    text = string_to_sign("GET", ORDERS, {"limit": "1"}, headers, "x-authing-")
    sent = signature(asker.options.access_key_secret, text)
    headers["authorization"] = f"authing {asker.options.access_key_id}:{sent}"
    assert verdict(await asker.get(ORDERS, headers=headers, limit=1)) == (200, None)


@pytest.mark.parametrize(
    ("changed", "expected"),
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
async def test_each_fault_of_a_signature_has_its_code(
    asker: Asker, clock: ManualClock, changed: dict[str, str], expected: int
) -> None:
    answer = await asker.get(ORDERS, headers=signed(asker, clock, **changed), limit=1)
    assert verdict(answer) == (403, expected)


async def test_a_signature_is_good_for_its_own_question_alone(
    asker: Asker, clock: ManualClock
) -> None:
    headers = signed(asker, clock)
    assert verdict(await asker.get(ORDERS, headers=headers, limit=2)) == (403, 1300)


async def test_a_nonce_is_good_once(asker: Asker, clock: ManualClock) -> None:
    headers = signed(asker, clock)
    assert verdict(await asker.get(ORDERS, headers=headers, limit=1)) == (200, None)
    assert verdict(await asker.get(ORDERS, headers=headers, limit=1)) == (403, 1306)


async def test_a_refused_call_does_not_consume_its_nonce(asker: Asker, clock: ManualClock) -> None:
    await asker.get(ORDERS, headers=signed(asker, clock), limit=2)
    assert verdict(await asker.get(ORDERS, headers=signed(asker, clock), limit=1)) == (200, None)


async def test_nonces_are_forgotten_when_their_date_is_too_old_anyway(
    asker: Asker, clock: ManualClock
) -> None:
    await asker.get(ORDERS, headers=signed(asker, clock), limit=1)
    await clock.advance(600)
    again = await asker.get(ORDERS, headers=signed(asker, clock), limit=1)
    assert verdict(again) == (200, None)


async def test_the_language_changes_the_message_alone() -> None:
    asker = await Asker.admitted(Options(), ManualClock())
    zh = await asker.get(ORDERS, headers={})
    en = await asker.get(ORDERS, headers={"x-genauth-lang": "en-US"})
    assert verdict(zh) == verdict(en)
    assert en["message"] == "Not logged in"
    assert zh["message"] != en["message"]
