"""Workbooks: order numbers are text, amounts are numbers with their digits, times are dates."""

import io
import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET  # of files that this test has written
from zipfile import ZipFile

import pytest

from app.orders.xlsx_writer import MAX_TEXT, is_exact, lower_priority, run

SPREADSHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  dates in a workbook have no zone

ORDER: dict[str, Any] = {
    "order_no": "007",
    "package_name": {"en": "=1+1", "zh": "企业版"},
    "quantity": 2,
    "actual_amount": "1234.50",
    "created_at": "2022-09-25T04:34:22Z",
}


class Workbook:
    """A workbook as its XML says, written by the program under test."""

    def __init__(self, folder: Path, *orders: dict[str, Any], columns: list[str]) -> None:
        path = folder / "orders.xlsx"
        options = {
            "path": str(path),
            "columns": columns,
            "time_zone": "Asia/Shanghai",
            "about": [["orders", "1"], ["q", "=1+1"]],
        }
        lines = [json.dumps(line) for line in (options, *orders)]
        run(io.BytesIO("\n".join(lines).encode()))
        with ZipFile(path) as file:
            self.sheets = [file.read(f"xl/worksheets/sheet{at}.xml").decode() for at in (1, 2)]
            styles = ET.fromstring(file.read("xl/styles.xml"))  # noqa: S314
        formats = {
            one.get("numFmtId"): one.get("formatCode")
            for one in styles.iter(f"{SPREADSHEET}numFmt")
        }
        cell_formats = styles.find(f"{SPREADSHEET}cellXfs")
        assert cell_formats is not None
        self._formats = [formats.get(one.get("numFmtId"), "") for one in cell_formats]

    def cell(self, name: str, sheet: int = 0) -> tuple[str, str, str]:
        """Return type, value and number format of a cell."""
        for cell in ET.fromstring(self.sheets[sheet]).iter(f"{SPREADSHEET}c"):  # noqa: S314
            if cell.get("r") == name:
                style = self._formats[int(cell.get("s", "0"))] or ""
                return cell.get("t", "number"), "".join(cell.itertext()), style
        return "empty", "", ""


def value(folder: Path, column: str, text: object) -> tuple[str, str, str]:
    return Workbook(folder, {column: text}, columns=[column]).cell("A2")


def test_texts_are_texts_whatever_they_look_like(tmp_path: Path):
    columns = ["order_no", "package_name_en", "package_name_zh", "status"]
    workbook = Workbook(tmp_path, ORDER, columns=columns)
    assert workbook.cell("A2") == ("inlineStr", "007", "")
    assert workbook.cell("B2") == ("inlineStr", "=1+1", "")
    assert workbook.cell("C2") == ("inlineStr", "企业版", "")
    assert workbook.cell("D2") == ("empty", "", "")


@pytest.mark.parametrize(
    ("text", "number", "number_format"),
    [("1234.50", "1234.5", "0.00"), ("0", "0", "0"), ("-0.125", "-0.125", "0.000")],
)
def test_amounts_are_numbers_with_their_digits(
    tmp_path: Path, text: str, number: str, number_format: str
):
    kind, written, style = value(tmp_path, "actual_amount", text)
    assert (kind, Decimal(written)) == ("number", Decimal(number))
    # 1 is the built-in format "0", and 2 is "0.00".
    assert style in (number_format, "")


@pytest.mark.parametrize("text", ["1234567890123456", "0." + "0" * 30 + "1", "1" * 400])
def test_a_number_that_a_cell_cannot_have_exactly_is_text(tmp_path: Path, text: str):
    assert value(tmp_path, "actual_amount", text) == ("inlineStr", text, "")
    assert not is_exact(Decimal(text))


def test_equal_numbers_of_digits_have_one_format(tmp_path: Path):
    orders = [{"actual_amount": amount} for amount in ("1.250", "2.500")]
    workbook = Workbook(tmp_path, *orders, columns=["actual_amount"])
    assert [workbook.cell(name)[2] for name in ("A2", "A3")] == ["0.000", "0.000"]


def test_trailing_zeros_are_not_significant():
    assert is_exact(Decimal("123456789012345.000"))
    assert is_exact(Decimal("1" + "0" * 20))
    assert is_exact(Decimal("0.00"))


def test_times_are_dates_in_the_zone_that_the_header_names(tmp_path: Path):
    columns = ["created_at", "created_at_utc"]
    workbook = Workbook(tmp_path, ORDER, columns=columns)
    assert workbook.cell("A1")[1] == "created_at (Asia/Shanghai)"
    kind, days, style = workbook.cell("A2")
    local = datetime(2022, 9, 25, 12, 34, 22)  # noqa: DTZ001
    seconds = float(days) * 86400 - (local - EPOCH).total_seconds()
    assert (kind, round(seconds, 3), style) == ("number", 0, "yyyy-mm-dd hh:mm:ss")
    assert workbook.cell("B2") == ("inlineStr", "2022-09-25T04:34:22Z", "")


def test_a_fraction_of_a_second_is_shown(tmp_path: Path):
    style = value(tmp_path, "created_at", "2022-09-25T04:34:22.250Z")[2]
    assert style.endswith("ss.000")


def test_a_time_before_the_calendar_of_spreadsheets_is_text(tmp_path: Path):
    assert value(tmp_path, "created_at", "1899-09-25T04:34:22Z")[0] == "inlineStr"


def test_a_text_longer_than_a_cell_is_cut(tmp_path: Path):
    assert value(tmp_path, "order_no", "x" * 40_000)[1] == "x" * MAX_TEXT


def test_control_characters_do_not_break_the_file(tmp_path: Path):
    assert value(tmp_path, "order_no", "a\x01b\ufffe")[0] == "inlineStr"


def test_the_header_stays_in_view_and_all_rows_can_be_filtered(tmp_path: Path):
    sheet = Workbook(tmp_path, ORDER, ORDER, columns=["order_no", "status"]).sheets[0]
    assert re.search(r'<pane ySplit="1" .*state="frozen"', sheet)
    assert '<autoFilter ref="A1:B3"' in sheet


def test_a_second_sheet_describes_the_export(tmp_path: Path):
    workbook = Workbook(tmp_path, columns=["order_no"])
    assert workbook.cell("A1", sheet=1)[1] == "orders"
    assert workbook.cell("B2", sheet=1) == ("inlineStr", "=1+1", "")


def test_a_workbook_is_written_although_its_priority_cannot_be_lowered():
    requested: list[int] = []

    def refuse(increment: int) -> None:
        requested.append(increment)
        raise PermissionError

    lower_priority(refuse)
    assert requested == [10]
