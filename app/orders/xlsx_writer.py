"""Writes an Excel workbook of orders. Run as a program: its own process, with its own memory.

It reads a line of JSON with the options from standard input, then one order per line, and writes
the workbook to the path in the options. It imports nothing of this project, so it starts fast.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

MAX_DIGITS = 15
"""Significant digits that a number in a workbook keeps; one with more is written as text."""

MAX_DECIMALS = 30
"""Decimals that a number format can have."""

MAX_TEXT = 32_767
"""Characters that a cell can have; a longer text is cut."""

FIRST_YEAR = 1901
"""Dates before it are written as text: Excel's calendar begins with a wrong leap year in 1900."""

_WIDTHS = {"order_no": 30, "created_at": 22, "created_at_utc": 28, "upstream_request_id": 38}
_WIDTH = 18
_AMOUNTS = frozenset({"unit_price", "actual_amount"})


class OrderSheet:
    """The sheet of the orders.

    Args:
        columns: the columns, in order.
        zone: the time zone of `created_at`.
    """

    def __init__(self, workbook: Workbook, columns: Sequence[str], zone: str) -> None:
        self._workbook = workbook
        self._columns = columns
        self._zone = ZoneInfo(zone)
        self._formats: dict[str, Format] = {}
        self._sheet: Worksheet = workbook.add_worksheet("Orders")
        self._rows = 0
        header = workbook.add_format({"bold": True, "bottom": 1})
        for column, name in enumerate(columns):
            title = f"created_at ({zone})" if name == "created_at" else name
            self._sheet.set_column(column, column, max(_WIDTHS.get(name, _WIDTH), len(title) + 2))
            self._sheet.write_string(0, column, title, header)
        self._sheet.freeze_panes(1, 0)

    def write(self, order: Mapping[str, Any]) -> None:
        """Append an order."""
        self._rows += 1
        values = _flatten(order)
        for column, name in enumerate(self._columns):
            if (value := values.get(name)) is not None:
                self._write_cell(column, name, str(value))

    def finish(self) -> None:
        """Add the filter over all rows."""
        self._sheet.autofilter(0, 0, self._rows, len(self._columns) - 1)

    def _write_cell(self, column: int, name: str, text: str) -> None:
        if name in _AMOUNTS or name == "quantity":
            number = Decimal(text)
            if is_exact(number):
                decimals = max(-int(number.as_tuple().exponent), 0)
                number_format = self._format("0." + "0" * decimals if decimals else "0")
                self._sheet.write_number(self._rows, column, float(number), number_format)
                return
        elif name == "created_at":
            local = datetime.fromisoformat(text).astimezone(self._zone)
            if local.year >= FIRST_YEAR:
                fraction = ".000" if local.microsecond else ""
                date_format = self._format(f"yyyy-mm-dd hh:mm:ss{fraction}")
                self._sheet.write_datetime(
                    self._rows, column, local.replace(tzinfo=None), date_format
                )
                return
        self._sheet.write_string(self._rows, column, text[:MAX_TEXT])

    def _format(self, number_format: str) -> Format:
        if number_format not in self._formats:
            self._formats[number_format] = self._workbook.add_format({"num_format": number_format})
        return self._formats[number_format]


def is_exact(number: Decimal) -> bool:
    """Return whether a cell can have this number without losing a digit."""
    _, digits, exponent = number.as_tuple()
    significant = len(str(int("".join(map(str, digits)))).rstrip("0"))
    return significant <= MAX_DIGITS and len(digits) <= MAX_TEXT and -int(exponent) <= MAX_DECIMALS


def write_workbook(lines: Iterable[bytes], options: Mapping[str, Any]) -> None:
    """Write the orders in `lines` and a sheet that describes the export.

    Args:
        lines: one JSON object per order.
        options: `path`, `columns`, `time_zone` and `about`, a list of pairs of texts.
    """
    with Workbook(
        options["path"],
        {"constant_memory": True, "tmpdir": str(Path(options["path"]).parent)},
    ) as workbook:
        sheet = OrderSheet(workbook, options["columns"], options["time_zone"])
        for line in lines:
            sheet.write(json.loads(line))
        sheet.finish()
        about = workbook.add_worksheet("About")
        about.set_column(0, 0, 24)
        about.set_column(1, 1, 60)
        for row, pair in enumerate(options["about"]):
            for column, text in enumerate(pair):
                about.write_string(row, column, text[:MAX_TEXT])


def run(stdin: BinaryIO) -> None:
    """Read the options and the orders from `stdin` and write the workbook."""
    options = json.loads(stdin.readline())
    write_workbook(iter(partial(stdin.readline), b""), options)


def lower_priority(nice: Callable[[int], object]) -> None:
    """Let the proxy have the CPU first, unless a filter of system calls forbids that."""
    with suppress(OSError):
        nice(10)


def _flatten(order: Mapping[str, Any]) -> dict[str, Any]:
    name = order.get("package_name", {})
    origin = order.get("origin", {})
    return {
        **order,
        "package_name_en": name.get("en"),
        "package_name_zh": name.get("zh"),
        "created_at_utc": order.get("created_at"),
        "upstream_request_id": origin.get("upstream_request_id"),
    }


if __name__ == "__main__":
    lower_priority(os.nice)
    try:
        run(sys.stdin.buffer)
    except (OSError, FileCreateError) as error:
        # Exit at once: closing the unfinished files would fail, too, and print tracebacks.
        sys.stderr.write(str(error))
        sys.stderr.flush()
        os._exit(os.EX_IOERR)
