"""Query parameters are strict, and every error is reported at once, with its fix."""

from typing import Annotated, Any, Literal, Self, get_args

import pytest
from fastapi import Depends, Query
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core.core_schema import ErrorType

from app.edge.exception_handlers import install_exception_handlers
from app.edge.query_params import StrictQuery, decimal_integer, invalid_parameters
from app.edge.strict_route import StrictRoute
from tests.support.api_harness import ApiHarness, bare_api
from tests.support.run import run

PERCENT = "has a % without two hexadecimal digits; write %25 for a percent sign"
NOT_UTF8 = "must be percent-encoded UTF-8"
EMPTY = "must not be empty; omit it instead"
STRICT = ConfigDict(frozen=True, extra="forbid")


class PageQuery(BaseModel):
    model_config = STRICT

    page: Annotated[int, decimal_integer(1_000_000, "follow the links")] = 1
    limit: Annotated[int, decimal_integer(50, "request more pages")] = 10


class PeriodQuery(BaseModel):
    model_config = STRICT

    start: str
    end: str = Field(default="z", max_length=3, pattern="^[a-z]+$")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start > self.end:
            raise ValueError("start must not be after end")
        return self


class ChoiceQuery(BaseModel):
    model_config = STRICT

    colour: tuple[Literal["red", "blue"], ...] = ()
    number: Annotated[tuple[str, ...], Field(max_length=2)] = ()
    name: str | None = None
    flag: bool = False


def strict_api() -> ApiHarness:
    api = bare_api()
    api.router.route_class = StrictRoute
    install_exception_handlers(api, {})

    @api.get("/page", dependencies=[Depends(StrictQuery(PageQuery))])
    async def page(query: Annotated[PageQuery, Query()]) -> PageQuery:
        return query

    @api.get("/period", dependencies=[Depends(StrictQuery(PeriodQuery))])
    async def period(query: Annotated[PeriodQuery, Query()]) -> PeriodQuery:
        return query

    @api.get("/choice", dependencies=[Depends(StrictQuery(ChoiceQuery))])
    async def choice(query: Annotated[ChoiceQuery, Query()]) -> ChoiceQuery:
        return query

    @api.get("/none", dependencies=[Depends(StrictQuery())])
    async def none() -> None: ...

    return ApiHarness(api)


API = strict_api()


async def accepted(target: str) -> dict[str, Any]:
    response = await API.request(target)
    assert response.status_code == 200
    values: dict[str, Any] = response.json()
    return values


async def errors_of(target: str) -> list[dict[str, str]]:
    response = await API.request(target)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    errors: list[dict[str, str]] = response.json()["errors"]
    return errors


def error(parameter: str, message: str, value: str | None = None) -> dict[str, str]:
    fields = {"parameter": parameter, "message": message}
    return fields if value is None else fields | {"value": value}


@pytest.mark.parametrize(
    ("query", "page", "limit"),
    [
        ("", 1, 10),
        ("?page=2", 2, 10),
        ("?limit=50&page=1000000", 1_000_000, 50),
        ("?&page=2&", 2, 10),
        ("?p%61ge=%32", 2, 10),
    ],
)
async def test_omitted_parameters_have_their_defaults(query: str, page: int, limit: int) -> None:
    assert await accepted(f"/page{query}") == {"page": page, "limit": limit}


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "+1", "%2B1", "01", "1.0", "1e1", "1_0", "%201", "1+", "x", "0x1", "%D9%A3",
     "1%00"],
)  # fmt: skip
async def test_an_integer_consists_of_ascii_digits_only(text: str) -> None:
    (found,) = await errors_of(f"/page?limit={text}")

    assert found["parameter"] == "limit"
    assert found["message"] == "must be a whole number from 1 to 50 (digits only)"


@pytest.mark.without_coverage
@given(st.text(min_size=1, max_size=30))
def test_no_other_text_is_an_integer(text: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in text.encode())
    is_valid = text.isascii() and text.isdecimal() and text[0] != "0" and int(text) <= 50

    response = run(API.request(f"/page?limit={encoded}"))

    assert response.status_code == (200 if is_valid else 422)
    if is_valid:
        assert response.json()["limit"] == int(text)


@pytest.mark.parametrize("text", ["51", "99999", "9" * 5000])
async def test_a_value_that_is_too_large_is_rejected_with_the_maximum_and_the_fix(
    text: str,
) -> None:
    assert await errors_of(f"/page?limit={text}") == [
        error("limit", "must be at most 50; request more pages", text[:100])
    ]


async def test_all_errors_are_reported_at_once() -> None:
    errors = await errors_of("/page?page=&limit=51&sort=x&limit_=3")

    assert [found["parameter"] for found in errors] == ["page", "sort", "limit_", "limit"]


async def test_an_unknown_parameter_is_reported_without_its_value() -> None:
    assert await errors_of("/page?token=secret") == [
        error("token", "is not a parameter of this route; it accepts page, limit")
    ]
    assert await errors_of("/none?page=1") == [
        error("page", "is not a parameter of this route; it accepts none")
    ]


async def test_a_long_unknown_name_is_cut() -> None:
    (found,) = await errors_of(f"/page?{'n' * 5000}=1")

    assert found["parameter"] == "n" * 100


@pytest.mark.parametrize("query", ["page=1&page=2", "page=1&p%61ge=1"])
async def test_a_repeated_parameter_is_rejected(query: str) -> None:
    assert await errors_of(f"/page?{query}") == [error("page", "must not be repeated", "1")]


@pytest.mark.parametrize("query", ["page=", "page"])
async def test_an_empty_parameter_is_rejected(query: str) -> None:
    assert await errors_of(f"/page?{query}") == [error("page", EMPTY, "")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"page=%G1", error("page", PERCENT, "%G1")),
        (b"page=1%", error("page", PERCENT, "1%")),
        (b"%zz=1", error("%zz", PERCENT)),
        (b"q=1%", error("q", PERCENT)),
        (b"page=%FF", error("page", NOT_UTF8, "%FF")),
        (b"page=\xff", error("page", NOT_UTF8, "\\xff")),
        ("page=企".encode(), error("page", NOT_UTF8, r"\xe4\xbc\x81")),
    ],
)
async def test_parameters_that_cannot_be_decoded_are_rejected(
    query: bytes, expected: dict[str, str]
) -> None:
    async def with_raw_query(scope: Any, receive: Any, send: Any) -> None:
        await API({**scope, "query_string": query}, receive, send)

    response = await ApiHarness(with_raw_query).request("/page")  # type: ignore[arg-type]

    assert response.json()["errors"] == [expected]


async def test_the_number_of_parameters_is_limited() -> None:
    assert len(await errors_of("/page?" + "&".join(f"a{n}=1" for n in range(100)))) == 100
    assert await errors_of("/page?" + "a=1&" * 101) == [
        error("query", "has more than 100 parameters")
    ]


async def test_a_missing_parameter_is_reported_once() -> None:
    assert await errors_of("/period") == [error("start", "is required")]
    assert await errors_of("/period?start=") == [error("start", EMPTY, "")]


async def test_an_error_of_several_parameters_together_is_reported() -> None:
    together = error("query", "start must not be after end")

    assert await errors_of("/period?start=b&end=a") == [together]
    assert await errors_of("/period?start=b&end=a&x=1") == [
        error("x", "is not a parameter of this route; it accepts start, end"),
        together,
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("end=abcd", error("end", "must have at most 3 characters", "abcd")),
        ("end=1", error("end", "is not a valid value", "1")),
    ],
)
async def test_limits_of_a_model_are_reported_in_our_own_words(
    query: str, expected: dict[str, str]
) -> None:
    assert await errors_of(f"/period?start=a&{query}") == [expected]


async def test_a_repeatable_parameter_has_all_its_values() -> None:
    choice = await accepted("/choice?colour=red&number=1&colour=blue&colour=red")

    assert choice["colour"] == ["red", "blue", "red"]
    assert choice["number"] == ["1"]
    assert (await accepted("/choice"))["colour"] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("colour=red&colour=green", error("colour", "must be one of red, blue", "green")),
        ("colour=red&colour=", error("colour", EMPTY, "")),
        ("number=1&number=2&number=3", error("number", "must not be given more than 2 times")),
        ("name=a&name=b", error("name", "must not be repeated", "a")),
    ],
)
async def test_each_value_of_a_repeatable_parameter_is_checked_and_so_is_their_number(
    query: str, expected: dict[str, str]
) -> None:
    assert await errors_of(f"/choice?{query}") == [expected]


@pytest.mark.parametrize("error_type", get_args(ErrorType))
def test_no_message_is_in_the_words_of_a_library(error_type: str) -> None:
    limits = {"expected": "'a' or 'b'", "max_length": 3}
    words = "Input should be something else"
    found = invalid_parameters(
        [{"type": error_type, "loc": ("query", "x"), "msg": words, "input": "y", "ctx": limits}]
    )

    own_errors = error_type in ("value_error", "none_required")
    assert own_errors or words not in found[0]["message"]
