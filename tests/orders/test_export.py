"""Exported files, which spreadsheets read and whose cells they never run."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.export import (
    COLUMNS,
    ROWS_PER_CHUNK,
    content_digest,
    escape_formula,
    export_digest,
    stream_csv,
    stream_ndjson,
)
from app.orders.mapping import Row, map_order
from app.orders.queries import ExportQuery
from app.orders.snapshot import Content, Snapshot
from tests.support.run import run
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
    return Snapshot(Content(rows, (0,)), (entry,), entry, inconsistent=False, generation=1)


async def chunks_of(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in stream]


def csv_file(*rows: Row) -> str:
    return b"".join(run(chunks_of(stream_csv(rows, range(len(rows)))))).decode()


def cells(*rows: Row) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_file(*rows), newline="")))


def test_a_csv_file_has_fixed_columns_and_the_line_ends_of_rfc_4180():
    assert csv_file(row()) == (
        "\ufefforder_no,package_name_en,package_name_zh,unit_price,quantity,actual_amount,"
        "status,type,source,created_at\r\n"
        "202209250000001,Enterprise,企业版,199.00,2,398.00,paid,upgrade,offline,"
        "2022-09-24T16:00:01Z\r\n"
    )


def test_an_unknown_value_is_an_empty_cell():
    (_, line) = cells(map_order({"orderNo": "A1"}, SHANGHAI))
    assert line == ["A1", "", "", "", "", "", "unknown", "unknown", "unknown", ""]


def test_numbers_are_not_escaped():
    (_, line) = cells(row(actualAmount="-5.00", quantity="-2", goodsUnitPrice="0.10"))
    assert line[3:6] == ["0.10", "-2", "-5.00"]


@pytest.mark.parametrize("first", "=+-@\t\r\n\0＝＋－＠")  # noqa: RUF001  full-width on purpose
def test_a_text_that_a_spreadsheet_would_run_is_escaped(first: str):
    formula = f'{first}HYPERLINK("http://x","y")'
    (_, line) = cells(row(orderNo=formula, goodsName=formula, goodsNameEn=formula))
    assert line[:3] == [f"'{formula}"] * 3
    assert escape_formula(f"a{formula}") == f"a{formula}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_can_be_read_back_from_the_file(text: str):
    (head, line) = cells(row(goodsName=text))
    assert tuple(head) == ("\ufefforder_no", *COLUMNS[1:])
    assert line[2] in (text, f"'{text}")


def test_ndjson_has_one_order_per_line_as_in_a_page():
    rows = [row(), row(orderNo="A2", goodsName="a\nb")]
    (chunk,) = run(chunks_of(stream_ndjson(snapshot(*rows), [1, 0], ())))
    assert [json.loads(line) for line in chunk.splitlines()] == [
        json.loads(one.body) for one in reversed(rows)
    ]
    (chunk,) = run(chunks_of(stream_ndjson(snapshot(*rows), [0], ("origin",))))
    assert json.loads(chunk)["origin"]["upstream_request_id"] == "id-1"


def test_a_long_file_is_sent_in_chunks():
    rows = [row(orderNo=f"A{at}") for at in range(ROWS_PER_CHUNK + 1)]
    chunks = run(chunks_of(stream_ndjson(snapshot(*rows), range(len(rows)), ())))
    assert [chunk.count(b"\n") for chunk in chunks] == [ROWS_PER_CHUNK, 1]
    assert run(chunks_of(stream_ndjson(snapshot(*rows), (), ("rev",)))) == []


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
    assert digest().hex()[:16] == "6dab4c957a452c58"
    others = [
        digest(content=b"other"),
        digest(include=()),
        digest(include=(), format="csv"),
        digest(status=()),
        digest(sort="order_no"),
        digest(include=("rev",)),
        digest(include=("origin",)),
        digest(include=("origin",), request_id="id-2"),
    ]
    assert len({digest(), *others}) == 9
