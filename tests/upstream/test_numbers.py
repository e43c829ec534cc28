"""Every number of a response is read in any form that JSON or a text may have, up to a length."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.numbers import MAX_NUMBER_CHARS, parse_decimal, parse_integer
from app.upstream.wire import JsonNumber


@pytest.mark.parametrize("text", ["0", "7", "-7", "199.00", "007", "0.10", "-0", "1" * 64])
def test_a_number_without_an_exponent_stays_digit_for_digit(text: str):
    assert parse_decimal(text) == parse_decimal(JsonNumber(text)) == text
    assert type(parse_decimal(JsonNumber(text))) is str


@pytest.mark.parametrize(
    ("text", "written_out"),
    [
        ("1e2", "100"),
        ("1E+2", "100"),
        ("-1.50e1", "-15.0"),
        ("1.5e-3", "0.0015"),
        ("12.5e0", "12.5"),
        ("0e5", "0"),
        ("199.00e0", "199.00"),
        ("1e63", "1" + "0" * 63),
    ],
)
def test_an_exponent_of_a_json_number_is_written_out(text: str, written_out: str):
    assert parse_decimal(JsonNumber(text)) == written_out
    assert parse_decimal(text) is None, "a text is no JSON number"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-",
        "+1",
        ".5",
        "5.",
        "1,5",
        "1_000",
        " 1",
        "1\n",
        "\uff11",
        "٣",
        "0x1F",
        "NaN",
        "1e",
        "--1",
    ]
    + ["Infinity", "1" * (MAX_NUMBER_CHARS + 1), None, True, 1, 1.5, [], {}, b"1"]
    + [JsonNumber(text) for text in ("1e64", "1e400", "1e-400", "1e999999999", "1" * 400)],
)
def test_anything_else_is_no_number(value: object):
    assert parse_decimal(value) is None
    assert parse_integer(value, 999) is None


@pytest.mark.without_coverage
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?[eE][+-]?[0-9]{1,2}", fullmatch=True))
def test_a_number_that_is_written_out_keeps_its_value(text: str):
    written_out = parse_decimal(JsonNumber(text))
    if written_out is not None:
        assert Decimal(written_out) == Decimal(text)
        assert len(written_out) <= 3 * MAX_NUMBER_CHARS


@pytest.mark.parametrize(
    ("text", "number"),
    [("137", 137), ("137.0", 137), ("1.37e2", 137), ("007", 7), ("0", 0), ("999999999", 999999999)],
)
def test_an_integer_may_have_a_fraction_of_zeros(text: str, number: int):
    assert parse_integer(JsonNumber(text)) == number


@pytest.mark.parametrize("text", ["1.5", "1e-1", "1000000000", "-1", "-0"])
def test_a_number_with_a_fraction_too_many_digits_or_a_sign_is_no_integer(text: str):
    assert parse_integer(JsonNumber(text)) is None


def test_a_signed_integer_may_be_negative():
    assert parse_integer("-12", signed=True) == -12
    assert parse_integer("9" * 18, 18, signed=True) == 10**18 - 1
    assert parse_integer("9" * 19, 18, signed=True) is None
