"""A management token is accepted only if it can be used."""

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


def token_data(**changes: Any) -> dict[str, Any]:
    return {"access_token": TOKEN, "expires_in": JsonNumber("7200"), **changes}


def test_the_pool_is_taken_from_the_token():
    token = parse_token(token_data(), 0.0, None)
    assert token.pool_id == POOL_ID
    assert token.headers_for("/any", {}) == {
        "Authorization": f"Bearer {TOKEN}",
        "x-authing-userpool-id": POOL_ID,
        "x-genauth-userpool-id": POOL_ID,
    }
    assert TOKEN not in repr(token)


def test_a_claim_in_the_url_safe_alphabet_is_decoded():
    # `>` and `?` are encoded with `-` and `_`, for which the standard alphabet has `+` and `/`.
    token = jwt({"x": "~~~???>>>", "scoped_userpool_id": POOL_ID})
    assert set(token) & set("-_")
    assert pool_claim(token) == POOL_ID


@pytest.mark.parametrize("filler", ["", "a", "ab", "abc"])
def test_a_claim_is_decoded_whatever_padding_it_lacks(filler: str):
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
def test_a_token_without_a_valid_claim_names_no_pool(token: str):
    assert pool_claim(token) is None


@given(st.text(max_size=100))
def test_any_token_can_be_parsed(text: str):
    pool_claim(f"h.{text}.s")


def test_an_opaque_token_needs_a_configured_pool():
    opaque = token_data(access_token="opaque")
    assert parse_token(opaque, 0.0, "configured").pool_id == "configured"
    with pytest.raises(UpstreamMalformed):
        parse_token(opaque, 0.0, None)


def test_a_token_of_another_pool_than_the_configured_one_is_rejected():
    assert parse_token(token_data(), 0.0, POOL_ID).pool_id == POOL_ID
    with pytest.raises(UpstreamCredentialRejected) as raised:
        parse_token(token_data(), 0.0, "another")
    assert "pool" in str(raised.value)


@pytest.mark.parametrize(
    ("expires_in", "renew_at"),
    [
        ("7200", 1000 + 7140),
        ("600", 1000 + 540),
        ("100", 1000 + 90),
        ("1", 1000.9),
        (JsonNumber("7200.5"), 1000 + 7140.5),
        (JsonNumber("7.2e3"), 1000 + 7140),
        ("31622400", 1000 + 31622340),
    ],
)
def test_it_is_renewed_a_tenth_of_its_lifetime_early_and_at_most_a_minute(
    expires_in: str, renew_at: float
):
    token = parse_token(token_data(expires_in=expires_in), 1000.0, None)
    assert token.renew_at == pytest.approx(renew_at)
    assert token.drift == ()


@pytest.mark.parametrize(
    "expires_in",
    [
        None,
        "",
        "0",
        "0.5",
        "-5",
        "soon",
        "1_000",
        "٣",
        "1" * 65,
        JsonNumber("1e99"),
        True,
        ["7200"],
    ],
)
def test_a_lifetime_that_cannot_be_read_is_assumed_to_be_five_minutes(expires_in: object):
    token = parse_token(token_data(expires_in=expires_in), 1000.0, None)
    assert token.renew_at == 1000 + 270
    assert [str(kind) for kind in token.drift] == ["unparsed value (token): expires_in"]


@pytest.mark.parametrize("expires_in", ["31622401", "9" * 64, JsonNumber("1e60")])
def test_a_lifetime_of_more_than_a_year_is_cut(expires_in: str):
    token = parse_token(token_data(expires_in=expires_in), 1000.0, None)
    assert token.renew_at == 1000 + 366 * 86400 - 60
    assert [str(kind) for kind in token.drift] == ["unparsed value (token): expires_in"]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "token",
        {},
        token_data(access_token=None),
        token_data(access_token=""),
        token_data(access_token="with space"),
        token_data(access_token="line\nbreak"),
        token_data(access_token="é"),
        token_data(access_token=["x"]),
        token_data(access_token="x" * 16_385),
    ],
)
def test_a_response_without_a_usable_token_is_malformed(data: object):
    with pytest.raises(UpstreamError) as raised:
        parse_token(data, 0.0, None)
    assert type(raised.value) is UpstreamMalformed
