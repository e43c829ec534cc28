"""A management token is taken only if it can be used."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.errors import UpstreamCredentialRejected, UpstreamError, UpstreamMalformed
from app.upstream.token import parse_token, pool_claim
from app.upstream.wire import JsonNumber
from tests.support.upstream import POOL_ID, jwt

TOKEN = jwt({"scoped_userpool_id": POOL_ID})


def granted(**changes: Any) -> dict[str, Any]:
    return {"access_token": TOKEN, "expires_in": JsonNumber("7200"), **changes}


def test_the_pool_is_the_one_that_the_token_names():
    token = parse_token(granted(), 0.0, None)
    assert token.pool_id == POOL_ID
    assert token.headers == {
        "Authorization": f"Bearer {TOKEN}",
        "x-authing-userpool-id": POOL_ID,
        "x-genauth-userpool-id": POOL_ID,
    }
    assert TOKEN not in repr(token)


def test_a_claim_in_the_url_safe_alphabet_is_read():
    # `>` and `?` make a `-` and a `_`, where the plain alphabet has `+` and `/`.
    token = jwt({"x": "~~~???>>>", "scoped_userpool_id": POOL_ID})
    assert set(token) & set("-_")
    assert pool_claim(token) == POOL_ID


@pytest.mark.parametrize("filler", ["", "a", "ab", "abc"])
def test_a_claim_is_read_whatever_padding_it_lacks(filler: str):
    assert pool_claim(jwt({"f": filler, "scoped_userpool_id": POOL_ID})) == POOL_ID


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "a.!.c",
        "a..c",
        "a.é.c",
        jwt({}),
        jwt({"scoped_userpool_id": 7}),
        jwt({"scoped_userpool_id": "a b\n"}),
        "h." + base64.urlsafe_b64encode(json.dumps(["x"]).encode()).decode() + ".s",
        "h." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".s",
    ],
)
def test_a_token_that_names_no_pool_is_opaque(token: str):
    assert pool_claim(token) is None


@given(st.text(max_size=100))
def test_no_token_breaks_the_reading_of_its_claim(text: str):
    pool_claim(f"h.{text}.s")


def test_an_opaque_token_needs_a_pinned_pool():
    opaque = granted(access_token="opaque")
    assert parse_token(opaque, 0.0, "pinned").pool_id == "pinned"
    with pytest.raises(UpstreamMalformed):
        parse_token(opaque, 0.0, None)


def test_a_token_of_another_pool_than_the_pinned_one_is_refused():
    assert parse_token(granted(), 0.0, POOL_ID).pool_id == POOL_ID
    with pytest.raises(UpstreamCredentialRejected) as raised:
        parse_token(granted(), 0.0, "another")
    assert "pool" in str(raised.value)


@pytest.mark.parametrize(
    ("expires_in", "until"),
    [("7200", 1000 + 7140), ("600", 1000 + 540), ("100", 1000 + 90), ("1", 1000.9)],
)
def test_it_is_renewed_a_tenth_of_its_life_early_and_at_most_a_minute(
    expires_in: str, until: float
):
    token = parse_token(granted(expires_in=expires_in), 1000.0, None)
    assert token.renew_at == pytest.approx(until)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "token",
        {},
        granted(access_token=None),
        granted(access_token=""),
        granted(access_token="with space"),
        granted(access_token="line\nbreak"),
        granted(access_token="é"),
        granted(access_token=["x"]),
        granted(expires_in=None),
        granted(expires_in="0"),
        granted(expires_in="-5"),
        granted(expires_in="1e3"),
        granted(expires_in="999999999"),
        granted(expires_in=True),
    ],
)
def test_an_answer_without_a_usable_token_is_malformed(data: object):
    with pytest.raises(UpstreamError) as raised:
        parse_token(data, 0.0, None)
    assert type(raised.value) is UpstreamMalformed
