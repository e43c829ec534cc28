"""An answer's body, tag and headers."""

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from app.cache.grace_cache import CacheDirective
from app.orders.changed import Change
from app.orders.mapping import Row, UnparsedField
from app.orders.rendering import (
    Provenance,
    RenderedResponse,
    link_header,
    render_changes,
    render_page,
    render_single,
)
from app.orders.request_headers import etag_matches, header, parse_cache_control

ROW = Row("n1", b'{"order_no":"n1"}', (), has_amount=True)
SOURCE = Provenance(10.0, "2026-11-23T08:00:00.123Z", "id-1", sandbox=False)


def page(
    rows: list[Row] | None = None, sources: list[Provenance] | None = None, **config: Any
) -> RenderedResponse:
    given: dict[str, Any] = {
        "page": 1,
        "limit": 10,
        "total": 1,
        "inconsistent": False,
        "currency": "",
    }
    return render_page(
        [ROW] if rows is None else rows, sources or [SOURCE], links="<x>", **(given | config)
    )


def meta(answer: RenderedResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)["meta"]
    return found


def test_a_page_tells_where_it_stands_and_where_it_comes_from():
    answer = page(total=137)
    assert json.loads(answer.body) == {
        "data": [{"order_no": "n1"}],
        "meta": {
            "page": 1,
            "limit": 10,
            "total": 137,
            "pages": 14,
            "as_of": "2026-11-23T08:00:00.123Z",
            "upstream_request_ids": ["id-1"],
        },
    }
    headers = dict(answer.headers)
    assert headers[b"x-total-count"] == b"137"
    assert headers[b"x-upstream-request-id"] == b"id-1"
    assert headers[b"cache-control"] == b"private, no-cache"
    assert answer.size > len(answer.body)


def test_the_tag_stays_when_a_refresh_changed_nothing_and_changes_when_anything_did():
    refreshed = replace(
        SOURCE, fetched_at=70.0, as_of="2026-11-23T08:01:00.000Z", request_id="id-2"
    )
    assert page().etag == page(sources=[refreshed]).etag
    assert page().etag.startswith(b'W/"')
    others = [page(total=2), page(rows=[]), page(page=2), page(inconsistent=True)]
    assert len({page().etag, *(other.etag for other in others)}) == 5


def test_a_page_is_as_old_as_the_oldest_of_its_sources():
    older = replace(SOURCE, fetched_at=5.0, as_of="2026-11-23T07:59:55.000Z")
    answer = page(sources=[SOURCE, older])
    assert answer.fetched_at == 5.0
    assert meta(answer)["as_of"] == "2026-11-23T07:59:55.000Z"


def test_ids_are_told_in_block_order_and_the_newest_ten_in_the_header():
    sources = [replace(SOURCE, fetched_at=float(at), request_id=f"id-{at}") for at in range(12)]
    answer = page(sources=[*sources, replace(SOURCE, request_id=None)])
    assert meta(answer)["upstream_request_ids"] == [f"id-{at}" for at in range(12)]
    shown = dict(answer.headers)[b"x-upstream-request-id"].decode().split(", ")
    assert shown == [f"id-{at}" for at in range(11, 1, -1)]


def test_more_than_200_answers_are_counted():
    sources = [replace(SOURCE, request_id=f"id-{at}") for at in range(201)]
    told = meta(page(sources=sources))
    assert len(told["upstream_request_ids"]) == 200
    assert told["upstream_responses"] == 201
    assert "upstream_responses" not in meta(page(sources=sources[:200]))


def test_an_answer_without_ids_has_no_header_for_them():
    answer = page(sources=[replace(SOURCE, request_id=None)])
    assert meta(answer)["upstream_request_ids"] == []
    assert b"x-upstream-request-id" not in dict(answer.headers)


def test_what_comes_from_a_sandbox_says_so():
    answer = page(sources=[SOURCE, replace(SOURCE, sandbox=True)])
    assert dict(answer.headers)[b"x-sandbox"] == b"true"
    assert b"x-sandbox" not in dict(page().headers)


def test_currency_is_told_where_there_are_amounts():
    assert meta(page(currency="CNY"))["currency"] == "CNY"
    assert "currency" not in meta(
        page(currency="CNY", rows=[structs.replace(ROW, has_amount=False)])
    )
    assert "currency" not in meta(page())
    assert meta(render_single(ROW, SOURCE, currency="CNY"))["currency"] == "CNY"
    bare = render_single(structs.replace(ROW, has_amount=False), SOURCE, currency="CNY")
    assert "currency" not in meta(bare)


def test_warnings_point_to_their_place_and_are_at_most_a_hundred():
    odd = structs.replace(
        ROW, unparsed=(UnparsedField("quantity", "two"), UnparsedField("order_no", None))
    )
    told = meta(page(rows=[ROW] + [odd] * 60))
    assert told["warnings"][0] == {
        "pointer": "/data/1/quantity",
        "order_no": "n1",
        "raw": "two",
    }
    assert told["warnings"][1] == {"pointer": "/data/1/order_no", "order_no": "n1"}
    assert len(told["warnings"]) == 100
    assert told["warnings_omitted"] == 20
    single = meta(render_single(odd, SOURCE, currency=""))
    assert single["warnings"][0]["pointer"] == "/data/quantity"


def test_links_lead_to_the_neighbours_and_keep_what_was_given():
    assert link_header("/v1/orders", "limit=5&page=2", 2, 3) == (
        '</v1/orders?page=1&limit=5>; rel="first", </v1/orders?page=1&limit=5>; rel="prev", '
        '</v1/orders?page=3&limit=5>; rel="next", </v1/orders?page=3&limit=5>; rel="last"'
    )


@pytest.mark.parametrize(
    ("page_number", "pages", "rels"),
    [
        (1, 0, {"first": 1, "last": 1}),
        (1, 1, {"first": 1, "last": 1}),
        (9, 3, {"first": 1, "prev": 3, "last": 3}),
        (5, 0, {"first": 1, "prev": 1, "last": 1}),
    ],
)
def test_no_link_leads_to_a_page_that_is_not_there(
    page_number: int, pages: int, rels: dict[str, int]
):
    told = link_header("/v1/orders", "", page_number, pages)
    expected = [f'</v1/orders?page={page}>; rel="{rel}"' for rel, page in rels.items()]
    assert told == ", ".join(expected)


@pytest.mark.parametrize(
    ("cache_control", "ask"),
    [
        (b"", CacheDirective.DEFAULT),
        (b"max-age=60", CacheDirective.DEFAULT),
        (b"no-cache", CacheDirective.NO_CACHE),
        (b"No-Cache, foo", CacheDirective.NO_CACHE),
        (b"max-age=0", CacheDirective.NO_CACHE),
        (b'max-age="0"', CacheDirective.NO_CACHE),
        (b"no-cache, only-if-cached", CacheDirective.ONLY_IF_CACHED),
    ],
)
def test_cache_control_is_read_as_a_list(cache_control: bytes, ask: CacheDirective):
    assert parse_cache_control(cache_control) is ask


def test_a_header_given_twice_is_one_list():
    headers = [(b"cache-control", b"foo"), (b"x", b"y"), (b"cache-control", b"no-cache")]
    assert header(headers, b"cache-control") == b"foo,no-cache"
    assert header(headers, b"absent") == b""


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        (b"", False),
        (b'W/"abc"', True),
        (b'"abc"', True),
        (b"*", True),
        (b'"x", W/"abc"', True),
        (b'"x,y", "z"', False),
        (b"abc", False),
        (b'W/"ABC"', False),
    ],
)
def test_if_none_match_is_compared_weakly(condition: bytes, matches: bool):
    assert etag_matches(condition, b'W/"abc"') is matches


def test_changes_tell_the_row_of_what_is_there_and_the_number_of_what_is_not():
    odd = structs.replace(ROW, unparsed=(UnparsedField("quantity", "two"),))
    changes = [Change("removed", "n2", None), Change("updated", "n1", odd)]
    answer = render_changes(changes, [SOURCE], cursor="c" * 32, poll_after=7, currency="CNY")
    told = json.loads(answer.body)
    assert told["data"] == [
        {"change": "removed", "order_no": "n2"},
        {"change": "updated", "order_no": "n1", "order": json.loads(ROW.body)},
    ]
    assert told["meta"]["warnings"][0]["pointer"] == "/data/1/order/quantity"
    assert told["meta"]["currency"] == "CNY"
    gone = render_changes(changes[:1], [SOURCE], cursor="c" * 32, poll_after=7, currency="CNY")
    assert "currency" not in json.loads(gone.body)["meta"]


def test_when_to_ask_again_is_never_confirmed_from_an_old_answer():
    soon = render_changes([], [SOURCE], cursor="c" * 32, poll_after=2, currency="")
    later = render_changes([], [SOURCE], cursor="c" * 32, poll_after=60, currency="")
    assert soon.etag != later.etag
