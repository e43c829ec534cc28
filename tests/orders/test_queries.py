"""The query parameters of the order routes, and the messages for invalid ones."""

from decimal import Decimal
from typing import Annotated, Any, get_args
from urllib.parse import quote

import pytest
from fastapi import Depends, Query
from pydantic import BaseModel

from app.edge.exception_handlers import install_exception_handlers
from app.edge.query_params import StrictQuery
from app.edge.strict_route import StrictRoute
from app.orders.filters import NO_FILTER, Filter
from app.orders.queries import ChangesQuery, KnownSource, KnownStatus, KnownType, PageQuery
from app.orders.schema import SOURCES, STATUSES, TYPES
from app.orders.timestamps import parse_timestamp_ns
from tests.support.api_harness import ApiHarness, bare_api


async def parse(query_string: str) -> PageQuery:
    """Return the model as a route gets it."""
    parsed: list[PageQuery] = []
    errors = await _request(query_string, parsed)
    assert errors == []
    return parsed[0]


async def errors_of(query_string: str) -> list[dict[str, str]]:
    return await _request(query_string, [])


async def _request(
    query_string: str, parsed: list[Any], model: type[BaseModel] = PageQuery
) -> list[dict[str, str]]:
    api = bare_api()
    api.router.route_class = StrictRoute
    install_exception_handlers(api, {})

    @api.get("/", dependencies=[Depends(StrictQuery(model))])
    async def route(query: Annotated[model, Query()]) -> None:  # type: ignore[valid-type]
        parsed.append(query)

    response = await ApiHarness(api).request(f"/?{query_string}")
    errors: list[dict[str, str]] = (response.json() or {}).get("errors", [])
    return errors


async def test_parameters_make_a_filter():
    query = await parse(
        "status=paid&status=unpaid&status=paid&type=new&source=admin&order_no=A1&order_no=B2"
        f"&q={quote('Straße')}&created_from=2022-09-25&created_to=2022-09-26T00:00:00%2B08:00"
        "&time_zone=Asia/Shanghai&amount_from=-0.50&amount_to=1000"
    )
    assert query.filter() == Filter(
        frozenset({"paid", "unpaid"}),
        frozenset({"new"}),
        frozenset({"admin"}),
        frozenset({"A1", "B2"}),
        "strasse",
        parse_timestamp_ns("2022-09-24T16:00:00Z"),
        parse_timestamp_ns("2022-09-25T16:00:00Z"),
        Decimal("-0.5"),
        Decimal(1000),
    )
    assert not query.is_unfiltered()


@pytest.mark.parametrize(
    ("query_string", "unfiltered"),
    [
        ("", True),
        ("page=2&limit=50", True),
        ("include=rev&include=origin", True),
        ("time_zone=Asia/Shanghai", True),
        ("sort=order_no", False),
        ("q=x", False),
        ("status=unknown", False),
        ("created_to=1970-01-01", False),
        ("created_from=1970-01-01", False),
        ("amount_from=0", False),
        ("amount_to=0", False),
    ],
)
async def test_a_query_without_filter_and_sort_is_a_page_in_upstream_order(
    query_string: str, unfiltered: bool
):
    query = await parse(query_string)
    assert query.is_unfiltered() is unfiltered
    assert (query.filter() == NO_FILTER) is (unfiltered or "sort" in query_string)


@pytest.mark.parametrize(
    ("query_string", "parameter", "message"),
    [
        (
            "status=Paid",
            "status",
            "must be one of unpaid, paid, completed, cancelled, expired, unknown",
        ),
        ("status=paid&status=", "status", "must not be empty; omit it instead"),
        ("sort=price", "sort", "must be one of created_at, -created_at, actual_amount,"),
        ("sort=order_no&sort=order_no", "sort", "must not be repeated"),
        ("include=all", "include", "must be one of raw, rev, origin"),
        ("order_no=summary", "order_no", "must be 1 to 64 of the characters"),
        ("&".join(["order_no=1"] * 51), "order_no", "must not be given more than 50 times"),
        ("q=" + "x" * 101, "q", "must have at most 100 characters"),
        ("time_zone=Mars/Olympus", "time_zone", "must be an IANA time zone"),
        ("time_zone=../etc/passwd", "time_zone", "must be an IANA time zone"),
        ("time_zone=localtime", "time_zone", "must be an IANA time zone"),
        ("time_zone=Factory", "time_zone", "must be an IANA time zone"),
        ("time_zone=posixrules", "time_zone", "must be an IANA time zone"),
        ("time_zone=right/UTC", "time_zone", "must be an IANA time zone"),
        ("time_zone=posix/UTC", "time_zone", "must be an IANA time zone"),
        ("time_zone=asia/shanghai", "time_zone", "must be an IANA time zone"),
        ("time_zone=UTC%00", "time_zone", "must be an IANA time zone"),
        ("time_zone=" + "x" * 70, "time_zone", "must have at most 64 characters"),
        ("created_from=yesterday", "created_from", "must be a date (2022-09-25) or an RFC 3339"),
        ("created_to=2022-09-25T00:00:00+08:00", "created_to", "must be a date"),
        ("created_to=2022-09-25T00:00:00", "created_to", "must be a date"),
        (
            "created_from=2022-09-26&created_to=2022-09-25T23:59:59Z",
            "created_to",
            "must be later than created_from",
        ),
        (
            "created_from=2022-09-25&created_to=2022-09-25",
            "created_to",
            "must be later than created_from",
        ),
        (
            "time_zone=Asia/Shanghai&created_from=2022-09-25&created_to=2022-09-24T16:00:00Z",
            "created_to",
            "must be later than created_from",
        ),
        ("amount_from=1e3", "amount_from", "must be a decimal number, for example 1000"),
        ("amount_to=1,000", "amount_to", "must be a decimal number"),
        ("amount_to=%D9%A1", "amount_to", "must be a decimal number"),
        ("amount_from=" + "1" * 101, "amount_from", "must have at most 100 characters"),
        ("amount_from=1000&amount_to=999.99", "amount_to", "must not be less than amount_from"),
        ("page=0", "page", "must be a whole number from 1 to 1000000 (digits only)"),
        ("limit=51", "limit", "must be at most 50; request more pages"),
    ],
)
async def test_an_invalid_value_is_reported_with_its_fix(
    query_string: str, parameter: str, message: str
):
    (error,) = await errors_of(query_string)
    assert error["parameter"] == parameter
    assert error["message"].startswith(message)


@pytest.mark.parametrize(
    "query_string",
    [
        "created_from=2022-09-25&created_to=2022-09-26",
        "amount_from=5.0&amount_to=5",
        "amount_from=x&amount_to=1",
        "created_from=x&created_to=2022-09-25",
    ],
)
async def test_only_the_end_of_a_reversed_range_is_reported(query_string: str):
    assert "_to" not in {error["parameter"][-3:] for error in await errors_of(query_string)}


@pytest.mark.parametrize(
    "cursor", ["x", "5F0C9BE2A0D54C7E8D3F1C0A9B7E5264", "0" * 31, "0" * 33, "0" * 31 + "%D9%A0"]
)
async def test_an_invalid_cursor_is_reported_with_its_fix(cursor: str):
    (error,) = await _request(f"since={cursor}", [], ChangesQuery)
    assert error["parameter"] == "since"
    assert error["message"] == "must be the meta.cursor of an earlier response; omit it to get one"


async def test_only_the_invalid_value_of_a_repeated_parameter_is_reported():
    (error,) = await errors_of("type=new&type=old")
    assert error["value"] == "old"


@pytest.mark.parametrize("number", ["1", "202209251234224", "AB_-9", "9" * 64])
async def test_a_valid_order_number_is_accepted(number: str):
    assert (await parse(f"order_no={number}")).order_no == (number,)


@pytest.mark.parametrize("number", ["summary", "9" * 65, "1/2", "1 ", "1\n", "٣", "1.json"])
async def test_an_invalid_order_number_is_rejected(number: str):
    (error,) = await errors_of(f"order_no={quote(number)}")
    assert (error["parameter"], error["value"]) == ("order_no", number)


def test_the_filters_accept_every_documented_value():
    for literal, values in ((KnownStatus, STATUSES), (KnownType, TYPES), (KnownSource, SOURCES)):
        assert get_args(literal.__value__) == tuple(values)
