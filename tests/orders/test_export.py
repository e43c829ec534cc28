"""What an export contains, as NDJSON, and the digest that its ETag is made of."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.export import (
    CHUNK_BYTES,
    COLUMNS,
    TOTAL,
    Export,
    content_digest,
    export_digest,
    stream_ndjson,
    total_amounts,
)
from app.orders.export_query import ExportQuery
from app.orders.mapping import Row, map_order
from app.orders.snapshot import Content, Snapshot
from tests.support.run import run, turns_of
from tests.support.upstream import wire_order

SHANGHAI = ZoneInfo("Asia/Shanghai")


def row(**changes: object) -> Row:
    return map_order({**wire_order(1), **changes}, SHANGHAI)


def snapshot(*rows: Row, request_id: str = "id-1") -> Snapshot:
    block = Block(
        0,
        rows,
        len(rows),
        as_of="2026-11-23T08:00:00.123Z",
        request_id=request_id,
        sandbox=False,
    )
    entry = Entry(block, 0.0, 1)
    return Snapshot(Content(rows, (0,)), (entry,), entry, contradictory=False, generation=1)


async def chunks_of(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in stream]


def test_ndjson_has_one_order_per_line_as_in_a_page():
    rows = [row(), row(orderNo="A2", goodsName="a\nb")]
    (chunk,) = run(chunks_of(stream_ndjson(snapshot(*rows), [1, 0], ())))
    assert [json.loads(line) for line in chunk.splitlines()] == [
        json.loads(one.body) for one in reversed(rows)
    ]
    (chunk,) = run(chunks_of(stream_ndjson(snapshot(*rows), [0], ("origin",))))
    assert json.loads(chunk)["origin"]["upstream_request_id"] == "id-1"


@pytest.mark.parametrize("include", [(), ("rev",), ("rev", "raw")])
@pytest.mark.parametrize("more", ["", "x" * 60_000])
def test_a_long_file_is_sent_in_chunks_of_bounded_size(include: tuple[str, ...], more: str):
    rows = [row(orderNo=f"A{at}", more=more) for at in range(1000)]
    chunks = run(chunks_of(stream_ndjson(snapshot(*rows), range(len(rows)), include)))
    assert sum(chunk.count(b"\n") for chunk in chunks) == len(rows)
    largest = len(rows[-1].body) + len(rows[-1].raw) + 100
    assert max(map(len, chunks)) <= CHUNK_BYTES * 1.2 + largest
    assert run(chunks_of(stream_ndjson(snapshot(*rows), (), include))) == []


@pytest.mark.parametrize("raw", [False, True])
def test_the_digest_of_large_objects_is_computed_in_chunks(*, raw: bool):
    rows = [row(orderNo=f"A{at}", more="x" * 60_000) for at in range(1000)]
    total = sum(len(one.body) + raw * len(one.raw) for one in rows)
    assert turns_of(content_digest(rows, raw=raw)) >= total / (CHUNK_BYTES + 61_000)


def test_the_content_digest_changes_with_any_row_and_on_request_with_unknown_fields():
    first, odd = row(), row(newField="x")
    assert run(content_digest([first], raw=False)) != run(content_digest([], raw=False))
    assert run(content_digest([first], raw=False)) == run(content_digest([odd], raw=False))
    assert run(content_digest([first], raw=True)) != run(content_digest([odd], raw=True))


def test_the_export_digest_is_that_of_the_content_and_the_query():
    query: dict[str, Any] = {
        "format": "ndjson",
        "status": ("paid", "unpaid"),
        "include": ("rev", "raw"),
    }

    def digest(content: bytes = b"content", request_id: str = "id-1", **changes: Any) -> bytes:
        one = snapshot(row(), request_id=request_id)
        return export_digest(content, one, ExportQuery(**(query | changes)))

    same = [
        digest(include=("raw", "rev", "raw")),
        digest(request_id="id-2"),
        digest(status=("unpaid", "paid")),
    ]
    assert {digest(), *same} == {digest()}
    assert digest().hex()[:16] == "6cd418a87a6f21de"
    others = [
        digest(content=b"other"),
        digest(include=()),
        digest(include=(), format="csv"),
        digest(include=(), format="csv", dialect="plain"),
        digest(include=(), format="csv", columns=("order_no",)),
        digest(include=(), format="csv", columns=("upstream_request_id",)),
        digest(include=(), format="csv", columns=("upstream_request_id",), request_id="id-2"),
        digest(time_zone="Asia/Shanghai"),
        digest(status=()),
        digest(sort="order_no"),
        digest(include=("rev",)),
        digest(include=("origin",)),
        digest(include=("origin",), request_id="id-2"),
    ]
    assert len({digest(), *others}) == len(others) + 1


def test_the_total_is_the_exact_sum_of_the_known_amounts():
    rows = [row(actualAmount=amount) for amount in ("0.1", "0.20", "abc", None, "-1000000000000")]
    assert run(total_amounts(rows, [0, 1, 3]))[TOTAL] == "0.30"
    assert run(total_amounts(rows, [0, 1, 4]))[TOTAL] == "-999999999999.70"
    assert set(run(total_amounts(rows, [])).values()) == {"0"}


def test_the_totals_by_status_group_add_up():
    rows = [row(actualAmount=str(10**status), status=str(status)) for status in range(1, 7)]
    assert run(total_amounts(rows, range(6))) == {
        TOTAL: "1111110",
        "revenue": "1100",
        "outstanding": "10",
        "lost": "110000",
        "other": "1000000",
    }


def test_a_workbook_is_described_by_its_question_its_totals_and_its_origin():
    query = ExportQuery(format="xlsx", status=("paid", "expired"), time_zone="Asia/Shanghai")
    export = Export(query, snapshot(row()), [0], {TOTAL: "398.00", "revenue": "398.00"})
    assert export.filename == "orders-20261123T080000Z.xlsx"
    assert export.workbook_options("CNY") == {
        "columns": (*COLUMNS, "created_at_utc"),
        "time_zone": "Asia/Shanghai",
        "about": [
            ("status", "paid, expired"),
            ("time_zone", "Asia/Shanghai"),
            ("orders", "1"),
            ("total of actual_amount", "398.00 CNY"),
            ("revenue", "398.00 CNY"),
            ("as_of", "2026-11-23T08:00:00.123Z"),
            ("upstream_request_id", "id-1"),
        ],
    }
    inconsistent = replace(snapshot(row(), request_id=""), contradictory=True)
    about = Export(query, inconsistent, [0], {}).workbook_options("")["about"]
    assert [name for name, _ in about][-1] == "inconsistent"


def test_a_workbook_gets_the_fields_that_its_columns_need():
    for columns, field in (["rev"], "rev"), (["upstream_request_id"], "origin"), ([], None):
        query = ExportQuery.model_validate({"format": "xlsx", "columns": columns})
        (line,) = run(chunks_of(Export(query, snapshot(row()), [0], {}).lines()))
        assert {"rev", "origin"} & json.loads(line).keys() == ({field} if field else set())
