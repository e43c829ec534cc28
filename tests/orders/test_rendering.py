"""Rendered responses: body, ETag, and the headers that are the same for every caller."""

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.changes import MAX_CHANGES, Change, CursorExpired
from app.orders.mapping import Row, UnparsedField
from app.orders.rendering import (
    CHANGES_PER_CHUNK,
    MAX_CHANGES_BYTES,
    MAX_LINK_BYTES,
    RenderedResponse,
    link_header,
    origin_json,
    render_change_list,
    render_changes,
    render_export_head,
    render_page,
    render_row,
    render_single,
)
from tests.support.run import run, turns_of

ROW = Row("n1", b'{"order_no":"n1"}', (), has_amount=True)
BLOCK = Block(0, (), 0, as_of="2026-11-23T08:00:00.123Z", request_id="id-1", sandbox=False)
SOURCE = Entry(BLOCK, 10.0, 1)


def source(fetched_at: float = 10.0, **changes: Any) -> Entry[Block]:
    return Entry(replace(BLOCK, **changes), fetched_at, 1)


def page(
    rows: list[Row] | None = None, sources: list[Entry[Block]] | None = None, **changes: Any
) -> RenderedResponse:
    rows = [ROW] if rows is None else rows
    arguments: dict[str, Any] = {
        "page": 1,
        "limit": 10,
        "total": 1,
        "inconsistent": False,
        "currency": "",
        "link": "<x>",
    }
    return render_page(rows, [BLOCK] * len(rows), sources or [SOURCE], **(arguments | changes))


def changes_of(changes: list[Change], *, poll_after: int, currency: str = "") -> RenderedResponse:
    rendered = run(render_change_list(changes, currency=currency))
    return render_changes(rendered, [SOURCE], cursor="c" * 32, poll_after=poll_after)


def meta(rendered: RenderedResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rendered.body)["meta"]
    return found


def test_a_page_describes_its_position_and_its_sources():
    rendered = page(total=137)
    assert json.loads(rendered.body) == {
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
    headers = dict(rendered.headers)
    assert headers[b"x-total-count"] == b"137"
    assert headers[b"x-upstream-request-id"] == b"id-1"
    assert headers[b"cache-control"] == b"private, no-cache"
    assert rendered.size > len(rendered.body)


def test_the_etag_survives_a_refresh_without_changes_and_nothing_else():
    refreshed = source(fetched_at=70.0, as_of="2026-11-23T08:01:00.000Z", request_id="id-2")
    assert page().etag == page(sources=[refreshed]).etag
    assert page().etag.startswith(b'W/"')
    others = [page(total=2), page(rows=[]), page(page=2), page(inconsistent=True)]
    assert len({page().etag, *(other.etag for other in others)}) == 5


def test_a_page_is_as_old_as_its_oldest_source():
    older = source(fetched_at=5.0, as_of="2026-11-23T07:59:55.000Z")
    rendered = page(sources=[SOURCE, older])
    assert rendered.fetched_at == 5.0
    assert meta(rendered)["as_of"] == "2026-11-23T07:59:55.000Z"


def test_the_body_lists_ids_in_block_order_and_the_header_the_newest_ten():
    sources = [source(fetched_at=float(at), request_id=f"id-{at}") for at in range(12)]
    rendered = page(sources=[*sources, source(request_id=None)])
    assert meta(rendered)["upstream_request_ids"] == [f"id-{at}" for at in range(12)]
    in_header = dict(rendered.headers)[b"x-upstream-request-id"].decode().split(", ")
    assert in_header == [f"id-{at}" for at in range(11, 1, -1)]


def test_more_than_200_upstream_responses_are_counted():
    sources = [source(request_id=f"id-{at}") for at in range(201)]
    found = meta(page(sources=sources))
    assert len(found["upstream_request_ids"]) == 200
    assert found["upstream_responses"] == 201
    assert "upstream_responses" not in meta(page(sources=sources[:200]))


def test_without_upstream_ids_there_is_no_header_for_them():
    rendered = page(sources=[source(request_id=None)])
    assert meta(rendered)["upstream_request_ids"] == []
    assert b"x-upstream-request-id" not in dict(rendered.headers)


def test_a_response_from_a_sandbox_is_marked():
    rendered = page(sources=[SOURCE, source(sandbox=True)])
    assert dict(rendered.headers)[b"x-sandbox"] == b"true"
    assert b"x-sandbox" not in dict(page().headers)


def test_the_currency_is_stated_where_there_are_amounts():
    assert meta(page(currency="CNY"))["currency"] == "CNY"
    assert "currency" not in meta(
        page(currency="CNY", rows=[structs.replace(ROW, has_amount=False)])
    )
    assert "currency" not in meta(page())
    assert meta(render_single(ROW, SOURCE, currency="CNY"))["currency"] == "CNY"
    bare = render_single(structs.replace(ROW, has_amount=False), SOURCE, currency="CNY")
    assert "currency" not in meta(bare)


def test_warnings_point_to_their_value_and_are_at_most_a_hundred():
    odd = structs.replace(
        ROW, unparsed=(UnparsedField("quantity", "two"), UnparsedField("order_no", None))
    )
    found = meta(page(rows=[ROW] + [odd] * 60))
    assert found["warnings"][0] == {
        "pointer": "/data/1/quantity",
        "order_no": "n1",
        "raw": "two",
    }
    assert found["warnings"][1] == {"pointer": "/data/1/order_no", "order_no": "n1"}
    assert len(found["warnings"]) == 100
    assert found["warnings_omitted"] == 20
    single = meta(render_single(odd, SOURCE, currency=""))
    assert single["warnings"][0]["pointer"] == "/data/quantity"


def test_links_that_are_too_long_for_a_proxy_are_omitted():
    def link(orders: int) -> str:
        query = "&".join(["limit=5", *(f"order_no={number:064}" for number in range(orders))])
        return link_header("/v1/orders", query, 2, 3)

    assert 3900 < len(link(13)) <= MAX_LINK_BYTES
    assert link(14) == ""


def test_a_page_without_links_has_no_header_for_them():
    assert b"link" in dict(page(link="<x>").headers)
    assert b"link" not in dict(page(link="").headers)


def test_an_export_has_the_cursor_of_its_state_if_that_is_known():
    def headers(cursor: str, *, inconsistent: bool) -> dict[bytes, bytes]:
        head = render_export_head(
            b"digest", [SOURCE], total=1, amount="1.00", cursor=cursor, inconsistent=inconsistent
        )
        return dict(head.headers)

    assert headers("c", inconsistent=False)[b"x-cursor"] == b"c"
    assert b"x-cursor" not in headers("", inconsistent=False)
    assert b"x-cursor" not in headers("c", inconsistent=True)
    assert headers("c", inconsistent=True)[b"x-inconsistent"] == b"true"


def test_links_point_to_the_neighbouring_pages_and_keep_the_parameters():
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
def test_no_link_points_to_a_page_that_does_not_exist(
    page_number: int, pages: int, rels: dict[str, int]
):
    expected = [f'</v1/orders?page={page}>; rel="{rel}"' for rel, page in rels.items()]
    assert link_header("/v1/orders", "", page_number, pages) == ", ".join(expected)


def test_a_row_has_the_members_that_include_names_and_no_more():
    row = structs.replace(ROW, rev="0123456789abcdef", raw=b'{"orderNo":"n1","quantity":1.50}')
    for include in ((), ("rev",), ("raw",), ("origin",), ("rev", "raw", "origin")):
        rendered = render_row(row, include, BLOCK)
        assert set(json.loads(rendered)) == {"order_no", *include}
    assert b'"raw":{"orderNo":"n1","quantity":1.50}' in rendered


def test_the_origin_of_a_row_has_the_upstream_s_id_if_there_is_one():
    anonymous = replace(BLOCK, request_id=None)
    assert json.loads(origin_json(anonymous)) == {"fetched_at": BLOCK.as_of}
    assert json.loads(origin_json(BLOCK)) == {
        "upstream_request_id": "id-1",
        "fetched_at": BLOCK.as_of,
    }


def test_changes_have_the_row_of_an_existing_order_and_only_the_number_of_a_removed_one():
    odd = structs.replace(ROW, unparsed=(UnparsedField("quantity", "two"),))
    changes = [Change("removed", "n2", None), Change("updated", "n1", odd)]
    rendered = changes_of(changes, poll_after=7, currency="CNY")
    body = json.loads(rendered.body)
    assert body["data"] == [
        {"change": "removed", "order_no": "n2"},
        {"change": "updated", "order_no": "n1", "order": json.loads(ROW.body)},
    ]
    assert body["meta"]["warnings"][0]["pointer"] == "/data/1/order/quantity"
    assert body["meta"]["currency"] == "CNY"
    removed = changes_of(changes[:1], poll_after=7, currency="CNY")
    assert "currency" not in json.loads(removed.body)["meta"]


def test_poll_after_is_part_of_the_etag():
    soon = changes_of([], poll_after=2)
    later = changes_of([], poll_after=60)
    assert soon.etag != later.etag


def test_many_changes_are_rendered_a_few_at_a_time():
    changes = [Change("removed", f"n{at}", None) for at in range(MAX_CHANGES)]
    turns = turns_of(render_change_list(changes, currency=""))
    assert turns >= MAX_CHANGES / CHANGES_PER_CHUNK


def test_changes_that_are_too_large_for_one_response_expire_the_cursor():
    row = structs.replace(ROW, body=b'{"order_no":"' + b"1" * 10_000 + b'"}')
    changes = [Change("created", "n1", row)] * (MAX_CHANGES_BYTES // 10_000 + 1)
    with pytest.raises(CursorExpired):
        run(render_change_list(changes, currency=""))


def test_of_many_warnings_only_the_first_hundred_are_made():
    unparsed = (UnparsedField("quantity", "x"),) * 10
    changes = [Change("created", "n1", structs.replace(ROW, unparsed=unparsed))] * 5000
    rendered = run(render_change_list(changes, currency=""))
    assert (len(rendered.meta["warnings"]), rendered.meta["warnings_omitted"]) == (100, 49_900)
    assert rendered.size > len(rendered.data)
