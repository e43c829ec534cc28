"""Files that a spreadsheet reads, and whose cells it never runs."""

import csv
import io
import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.export import (
    COLUMNS,
    ROWS_PER_CHUNK,
    csv_header,
    csv_lines,
    digest_of,
    escape_formula,
    ndjson_lines,
    pieces,
)
from app.orders.mapping import Row, map_order
from app.orders.row_extras import NO_EXTRAS
from tests.support.run import run
from tests.support.upstream import wire_order

SHANGHAI = ZoneInfo("Asia/Shanghai")


def row(**changes: object) -> Row:
    return map_order({**wire_order(1), **changes}, SHANGHAI)


def cells(*rows: Row) -> list[list[str]]:
    text = (csv_header() + csv_lines(rows)(range(len(rows)))).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_csv_file_has_the_same_columns_always_and_ends_its_lines_as_the_standard_says():
    file = csv_header() + csv_lines([row()])([0])
    assert file.decode() == (
        "\ufefforder_no,package_name_en,package_name_zh,unit_price,quantity,actual_amount,"
        "status,type,source,created_at\r\n"
        "202209250000001,Enterprise,企业版,199.00,2,398.00,paid,upgrade,offline,"
        "2022-09-24T16:00:01Z\r\n"
    )


def test_what_is_not_known_is_an_empty_cell():
    (_, line) = cells(map_order({"orderNo": "A1"}, SHANGHAI))
    assert line == ["A1", "", "", "", "", "", "unknown", "unknown", "unknown", ""]


def test_numbers_are_never_touched():
    (_, line) = cells(row(actualAmount="-5.00", quantity="-2", goodsUnitPrice="0.10"))
    assert line[3:6] == ["0.10", "-2", "-5.00"]


@pytest.mark.parametrize("first", "=+-@\t\r\n\0＝＋－＠")  # noqa: RUF001  full-width on purpose
def test_a_text_that_a_spreadsheet_would_run_is_told_as_text(first: str):
    formula = f'{first}HYPERLINK("http://x","y")'
    (_, line) = cells(row(orderNo=formula, goodsName=formula, goodsNameEn=formula))
    assert line[:3] == [f"'{formula}"] * 3
    assert escape_formula(f"a{formula}") == f"a{formula}"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back_out_of_the_file(text: str):
    (head, line) = cells(row(goodsName=text))
    assert tuple(head) == ("\ufefforder_no", *COLUMNS[1:])
    assert line[2] in (text, f"'{text}")


def test_ndjson_is_an_order_a_line_as_in_a_page():
    rows = [row(), row(orderNo="A2", goodsName="a\nb")]
    lines = ndjson_lines(rows, NO_EXTRAS)([1, 0]).splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(one.body) for one in rows[::-1]]


def test_a_long_file_comes_in_pieces_and_is_told_apart_as_a_whole():
    rows = [row(orderNo=f"A{at}") for at in range(ROWS_PER_CHUNK + 1)]
    lines = ndjson_lines(rows, NO_EXTRAS)

    async def read() -> list[bytes]:
        return [piece async for piece in pieces(b"head", lines, range(len(rows)))]

    found = run(read())
    assert len(found) == 3
    assert b"".join(found) == b"head" + lines(range(len(rows)))
    assert run(digest_of(lines, range(3))) != run(digest_of(lines, range(2)))
