"""CSV files: RFC 4180 for programs, and texts that survive a spreadsheet."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.csv_export import CHUNK_BYTES, DIALECTS, guard_text, stream_csv
from app.orders.export import COLUMNS
from app.orders.mapping import Row, map_order
from tests.orders.test_export import SHANGHAI, chunks_of, row, snapshot
from tests.support.run import run

CONVERTED = [
    "202209251234224",
    "007",
    "0",
    "20260918084637243275503e26",
    "1E5",
    "1d5",
    "-5",
    "1,234.5",
    "(5)",
    "5%",
    "$5",
    "2022-09-25",
    "1/2",
    "1 1/2",
    "1.2.2022",
    "12:30",
    "12:30 pm",
    "MAR1",
    "dec 5",
    "May 2022",
    "5 août",
    "2022年9月25日",
    "１２",  # noqa: RUF001  full-width
    "TRUE",
    "falsch",
    "#N/A",
]
"""Texts that Excel or LibreOffice turns into a number, date, time, truth value or error."""

KEPT = [
    "Enterprise",
    "企业版",
    "Gold 2",
    "Enterprise 2022",
    "order-2022a",
    "S-1-2",
    "",
]


def csv_file(*rows: Row, dialect: str = "spreadsheet", columns: tuple[str, ...] = COLUMNS) -> str:
    stream = stream_csv(snapshot(*rows), range(len(rows)), columns, DIALECTS[dialect])
    return b"".join(run(chunks_of(stream))).decode()


def cells(*rows: Row, dialect: str = "spreadsheet", separator: str = ",") -> list[list[str]]:
    text = csv_file(*rows, dialect=dialect)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def unguard(text: str, *, with_comma: bool = False) -> str:
    """Remove the guard characters as the docs describe it."""
    return re.sub(r"(^|[,;\t\r\n])'" if with_comma else r"(^|[;\t\r\n])'", r"\1", text)


def test_a_plain_file_is_that_of_rfc_4180():
    assert csv_file(row(), dialect="plain") == (
        "order_no,package_name_en,package_name_zh,unit_price,quantity,actual_amount,"
        "status,type,source,created_at\r\n"
        "202209250000001,Enterprise,企业版,199.00,2,398.00,paid,upgrade,offline,"
        "2022-09-24T16:00:01Z\r\n"
    )


def test_a_spreadsheet_gets_a_byte_order_mark_and_order_numbers_as_text():
    assert csv_file(row(), columns=("order_no", "actual_amount")) == (
        "\ufefforder_no,actual_amount\r\n'202209250000001,398.00\r\n"
    )


def test_a_file_for_decimal_commas_has_semicolons():
    (head, line) = cells(row(), dialect="semicolon", separator=";")
    assert tuple(head) == ("\ufefforder_no", *COLUMNS[1:])
    assert line[3:6] == ["199,00", "2", "398,00"]


def test_a_file_has_the_requested_columns_in_their_order():
    columns = ("upstream_request_id", "rev", "order_no", "created_at_utc")
    (_, line) = csv_file(row(), dialect="plain", columns=columns).splitlines()
    assert line == f"id-1,{row().rev},202209250000001,2022-09-24T16:00:01Z"
    without = stream_csv(snapshot(row(), request_id=""), [0], columns[:1], DIALECTS["plain"])
    assert run(chunks_of(without))[1] == b'""\r\n'


def test_an_unknown_value_is_an_empty_cell():
    (_, line) = cells(map_order({"orderNo": "A1"}, SHANGHAI))
    assert line == ["A1", "", "", "", "", "", "unknown", "unknown", "unknown", ""]


def test_numbers_are_not_guarded():
    (_, line) = cells(row(actualAmount="-5.00", quantity="-2", goodsUnitPrice="0.10"))
    assert line[3:6] == ["0.10", "-2", "-5.00"]


@pytest.mark.parametrize("text", CONVERTED)
def test_a_text_that_a_spreadsheet_converts_is_guarded(text: str):
    assert guard_text(text) == f"'{text}"


@pytest.mark.parametrize("text", KEPT)
def test_a_text_that_stays_as_it_is_is_not_guarded(text: str):
    assert guard_text(text) == text


@pytest.mark.parametrize("first", "=+-@\0＝＋－＠#")  # noqa: RUF001  full-width on purpose
def test_a_text_that_a_spreadsheet_would_run_is_guarded(first: str):
    formula = f'{first}HYPERLINK("http://x","y")'
    (_, line) = cells(row(goodsName=formula, goodsNameEn=f' "{formula}'))
    assert line[1:3] == [f"' \"{formula}", f"'{formula}"]


@pytest.mark.parametrize("separator", [";", "\t", "\r", "\n"])
def test_no_cell_runs_if_the_file_is_opened_with_another_separator(separator: str):
    assert guard_text(f"Gold{separator}=1+1{separator}x") == f"Gold{separator}'=1+1{separator}x"
    assert guard_text(f'Gold"{separator}"=1+1') == f'Gold"{separator}\'"=1+1'


def test_no_cell_runs_if_a_file_of_semicolons_is_opened_with_commas():
    (_, line) = csv_file(row(goodsName="Gold,=1+1,x"), dialect="semicolon").splitlines()
    assert line.split(",")[1:3] == ["'=1+1", "x;199"]


@given(st.text(st.sampled_from("',;=+-@\"\t\r\n 19e.ax中１/")))  # noqa: RUF001
def test_every_text_can_be_read_back_from_the_file(text: str):
    (_, line) = cells(row(goodsName=text))
    assert unguard(line[2]) == text
    (_, line) = cells(row(goodsName=text), dialect="semicolon", separator=";")
    assert unguard(line[2], with_comma=True) == text
    (_, line) = cells(row(goodsName=text), dialect="plain")
    assert line[2] == text


@pytest.mark.parametrize("piece", ["1", "; ", "\n", "1. ", '"', "jan", ";'", "e1"])
def test_the_work_for_a_text_grows_with_its_length_only(piece: str):
    guard_text(piece * 100_000)  # would not end if it grew with the square


@pytest.mark.parametrize("name", ["Enterprise", "\u0001" * 1000])
def test_a_long_file_is_written_in_chunks_of_bounded_size(name: str):
    rows = [row(orderNo=f"A{at}", goodsNameEn=name) for at in range(1000)]
    stream = stream_csv(snapshot(*rows), range(len(rows)), COLUMNS, DIALECTS["plain"])
    _, *chunks = run(chunks_of(stream))
    assert sum(chunk.count(b"\n") for chunk in chunks) == len(rows)
    chunk_rows = CHUNK_BYTES // len(rows[-1].body) + 2
    assert all(chunk.count(b"\n") <= chunk_rows for chunk in chunks)
    assert len(chunks) <= sum(len(one.body) for one in rows) // CHUNK_BYTES + 1
