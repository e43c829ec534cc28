"""Parameters are strict, and all that is wrong with them is said at once, with its fix."""

from typing import Annotated, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.edge.problems import InvalidParameter
from app.edge.query_params import (
    DecimalInteger,
    InvalidRequest,
    NoParameters,
    OneOf,
    OrderNumber,
    documented_order_number,
    has_param,
    openapi_parameters,
    parse_order_no,
    parse_query,
)

PERCENT = "has a % without two hexadecimal digits; write %25 for a percent sign"
UTF8 = "is not UTF-8; percent-encode its UTF-8 bytes"
FROZEN = ConfigDict(frozen=True, extra="forbid")


class Query(BaseModel):
    model_config = FROZEN

    page: Annotated[
        int,
        DecimalInteger(1_000_000, "follow the links"),
        Field(description="The page.", examples=[3]),
    ] = 1
    limit: Annotated[int, DecimalInteger(50, "ask for more pages")] = 10


class Period(BaseModel):
    model_config = FROZEN

    start: str
    end: str = Field(default="z", max_length=3)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise ValueError("start must not be after end")
        return self


class Choice(BaseModel):
    model_config = FROZEN

    colour: Annotated[
        tuple[Annotated[str, OneOf(("red", "blue"))], ...],
        Field(description="The colours.", examples=[["red"]]),
    ] = ()
    order_no: Annotated[tuple[OrderNumber, ...], Field(max_length=2)] = ()
    name: str | None = None


def faults_of(model: type[BaseModel], query_string: bytes) -> list[InvalidParameter]:
    with pytest.raises(InvalidRequest) as refused:
        parse_query(model, query_string)
    return list(refused.value.errors)


@pytest.mark.parametrize(
    ("query_string", "page", "limit"),
    [
        (b"", 1, 10),
        (b"page=2", 2, 10),
        (b"limit=50&page=1000000", 1_000_000, 50),
        (b"&page=2&", 2, 10),
        (b"p%61ge=%32", 2, 10),
    ],
)
def test_what_is_not_given_has_its_default(query_string: bytes, page: int, limit: int) -> None:
    assert parse_query(Query, query_string) == Query(page=page, limit=limit)


@pytest.mark.parametrize(
    "written",
    [
        "0",
        "-1",
        "+1",
        "%2B1",
        "01",
        "1.0",
        "1e1",
        "1_0",
        "%201",
        "1+",
        "x",
        "0x1",
        "%D9%A3",
        "1%00",
    ],
)
def test_an_integer_is_ascii_digits_and_nothing_else(written: str) -> None:
    (fault,) = faults_of(Query, f"limit={written}".encode())

    assert fault.parameter == "limit"
    assert fault.message == "must be a whole number from 1 to 50, written in digits alone"


@given(st.text(min_size=1, max_size=30))
def test_no_text_but_a_plain_number_is_an_integer(text: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in text.encode())
    plain = text.isascii() and text.isdecimal() and text[0] != "0" and int(text) <= 50
    try:
        assert parse_query(Query, f"limit={encoded}".encode()).limit == int(text)
    except InvalidRequest:
        assert not plain
    else:
        assert plain


@pytest.mark.parametrize("written", ["51", "99999", "9" * 5000])
def test_too_many_is_refused_with_the_most_and_the_fix(written: str) -> None:
    (fault,) = faults_of(Query, f"limit={written}".encode())

    assert fault == InvalidParameter(
        "limit", "must be at most 50; ask for more pages", written[:100]
    )


def test_all_faults_are_told_at_once() -> None:
    faults = faults_of(Query, b"page=&limit=51&sort=x&limit_=3")

    assert [fault.parameter for fault in faults] == ["page", "sort", "limit_", "limit"]


def test_an_unknown_parameter_is_named_without_its_value_and_told_what_there_is() -> None:
    assert faults_of(Query, b"token=secret") == [
        InvalidParameter("token", "is unknown here; this route takes page, limit")
    ]
    assert faults_of(NoParameters, b"page=1") == [
        InvalidParameter("page", "is unknown here; this route takes no parameters")
    ]


def test_a_long_name_of_a_caller_s_own_is_cut() -> None:
    (fault,) = faults_of(Query, b"n" * 5000 + b"=1")

    assert fault.parameter == "n" * 100


@pytest.mark.parametrize("query_string", [b"page=1&page=2", b"page=1&p%61ge=1"])
def test_a_repeated_parameter_is_refused(query_string: bytes) -> None:
    assert faults_of(Query, query_string) == [
        InvalidParameter("page", "is given 2 times; give it once", "1")
    ]


@pytest.mark.parametrize("query_string", [b"page=", b"page"])
def test_an_empty_parameter_is_refused(query_string: bytes) -> None:
    assert faults_of(Query, query_string) == [
        InvalidParameter("page", "is empty; give it a value or leave it out", "")
    ]


@pytest.mark.parametrize(
    ("query_string", "fault"),
    [
        (b"page=%G1", InvalidParameter("page", PERCENT, "%G1")),
        (b"page=1%", InvalidParameter("page", PERCENT, "1%")),
        (b"%zz=1", InvalidParameter("%zz", PERCENT)),
        (b"q=1%", InvalidParameter("q", PERCENT)),
        (b"page=%FF", InvalidParameter("page", UTF8, "%FF")),
        (b"page=\xff", InvalidParameter("page", UTF8, "\\xff")),
    ],
)
def test_what_cannot_be_decoded_is_refused_clearly(
    query_string: bytes, fault: InvalidParameter
) -> None:
    assert faults_of(Query, query_string) == [fault]


def test_the_number_of_parameters_is_bounded() -> None:
    assert len(faults_of(Query, b"&".join(b"a%d=1" % n for n in range(100)))) == 100
    assert faults_of(Query, b"a=1&" * 101) == [
        InvalidParameter("query", "has more than 100 parameters; ask for less at once")
    ]


def test_a_required_parameter_is_asked_for_once() -> None:
    assert faults_of(Period, b"") == [InvalidParameter("start", "is required")]
    assert [fault.message for fault in faults_of(Period, b"start=")] == [
        "is empty; give it a value or leave it out"
    ]


def test_a_fault_of_several_parameters_together_is_told() -> None:
    assert faults_of(Period, b"start=b&end=a") == [
        InvalidParameter("query", "start must not be after end")
    ]


def test_a_fault_says_in_the_log_what_is_wrong() -> None:
    assert str(InvalidRequest(InvalidParameter("page", "is empty"))) == "page is empty"


@pytest.mark.parametrize("number", ["1", "202209251234224", "AB_-9", "9" * 64])
def test_an_order_number_is_taken_as_it_is(number: str) -> None:
    assert parse_order_no(number) == number


@pytest.mark.parametrize("number", ["", "summary", "9" * 65, "1/2", "1 ", "1\n", "٣", "1.json"])
def test_what_cannot_be_an_order_number_is_refused(number: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_order_no(number)

    (fault,) = refused.value.errors
    assert fault.parameter == "order_no"
    assert fault.value == number[:100]


def test_parameters_are_documented_with_bounds_default_and_example() -> None:
    assert openapi_parameters(Query) == [
        {
            "name": "page",
            "in": "query",
            "required": False,
            "description": "The page.",
            "example": 3,
            "schema": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1},
        },
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
        },
    ]
    assert openapi_parameters(Period)[0]["required"] is True
    assert openapi_parameters(NoParameters) == []


def test_the_documented_order_number_is_the_one_that_is_taken() -> None:
    document = documented_order_number()

    assert document["schema"]["pattern"] == "^(?=.*[0-9])[0-9A-Za-z_-]{1,64}$"
    assert parse_order_no(document["example"]) == document["example"]


def test_a_parameter_that_may_be_repeated_is_read_as_often_as_it_is_given() -> None:
    choice = parse_query(Choice, b"colour=red&order_no=1&colour=blue&colour=red")

    assert choice.colour == ("red", "blue", "red")
    assert choice.order_no == ("1",)
    assert parse_query(Choice, b"") == Choice()


@pytest.mark.parametrize(
    ("query_string", "fault"),
    [
        (
            b"colour=red&colour=green",
            InvalidParameter("colour", "must be one of red, blue", "green"),
        ),
        (
            b"colour=red&colour=",
            InvalidParameter("colour", "is empty; give it a value or leave it out", ""),
        ),
        (
            b"order_no=1&order_no=2&order_no=3",
            InvalidParameter("order_no", "is given 3 times; give it at most 2"),
        ),
        (b"name=a&name=b", InvalidParameter("name", "is given 2 times; give it once", "a")),
    ],
)
def test_each_of_the_repeated_is_judged_and_their_number_too(
    query_string: bytes, fault: InvalidParameter
) -> None:
    assert faults_of(Choice, query_string) == [fault]


def test_what_is_given_can_be_seen_before_the_rest_is_judged() -> None:
    assert has_param(b"page=0&include=r%61w&%ff", "include", "raw")
    assert not has_param(b"include=rev&other=raw&include=rawer", "include", "raw")


def test_repeated_parameters_are_documented_as_lists_that_narrow_nothing_by_themselves() -> None:
    colour, number, name = openapi_parameters(Choice)

    assert colour == {
        "name": "colour",
        "in": "query",
        "required": False,
        "description": "The colours.",
        "schema": {
            "type": "array",
            "items": {"type": "string", "enum": ["red", "blue"]},
            "examples": [["red"]],
        },
    }
    assert number["schema"]["maxItems"] == 2
    assert number["schema"]["items"]["pattern"] == documented_order_number()["schema"]["pattern"]
    assert "default" not in name["schema"]
