"""CSV files of orders, in three dialects.

`plain` is RFC 4180 for programs. The other two are for spreadsheet programs, which convert texts
when they open a file: digits become numbers of 15 digits, `2022-09-25` becomes a date, and a text
that begins with `=` is run as a formula. Such a text gets an apostrophe in front, the guard
character. To get the original text back, remove one apostrophe at the start, and one after each
semicolon, tab and line break (and in `semicolon` after each comma) that is followed by one.
"""

import csv
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from io import StringIO

from pydantic_core import from_json

from app.orders.compute import cooperative_chunks
from app.orders.filters import Positions
from app.orders.schema import Order
from app.orders.snapshot import Snapshot

CHUNK_BYTES = 16 * 1024
"""Bytes of orders that are rendered between two turns of the event loop."""


GUARD = "'"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# A cell begins at the start of a text and, in a file that is opened with another separator than it
# was written with, after these characters within it. A comma in a text is in quotes if the commas
# of the file separate cells. The cell is a formula, or begins like a guarded one.
_AT_FORMULA = r"""(?='|[ "]*[=+\-@\0#＝＋－＠])"""  # noqa: RUF001  the full-width forms are meant
_FORMULA = re.compile(r"(\A|[;\t\r\n])" + _AT_FORMULA)
_FORMULA_ALSO_AFTER_COMMA = re.compile(r"(\A|[,;\t\r\n])" + _AT_FORMULA)

_WORD = re.compile(r"[^\W\d_]+")
_NOT_NUMERIC = re.compile(r"[^\d\s.,:;/+()%$€£¥_'-]")
_UNIT = re.compile("e|d|[ap]m?|[年月日号时時点點分秒]|[上下]午", re.IGNORECASE)
_MONTH = re.compile(
    "(?:jan|feb|fév|mar|mär|mrt|mrz|apr|avr|abr|may|mai|maj|mei|mag|jun|jui|giu|jul|lug|aug|aoû|ago"
    r"|sep|set|oct|okt|out|ott|nov|dec|dez|déc|dic|gen|ene|fev)\w{0,6}",
    re.IGNORECASE,
)
_BOOLEAN = re.compile(
    "true|false|wahr|falsch|vrai|faux|vero|falso|verdadero|verdadeiro|waar|onwaar", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How a CSV file is written.

    Attributes:
        separator: the character between two cells.
        decimal: the decimal separator of amounts.
        guarded: whether texts are guarded against conversion and the file begins with a byte order
            mark, without which spreadsheets do not read Chinese.
    """

    separator: str = ","
    decimal: str = "."
    guarded: bool = True

    def text(self, text: str) -> str:
        """Return `text` as a cell."""
        return guard_text(text, self.separator) if self.guarded else text


DIALECTS = {
    "spreadsheet": CsvDialect(),
    "semicolon": CsvDialect(separator=";", decimal=","),
    "plain": CsvDialect(guarded=False),
}


def guard_text(text: str, separator: str = ",") -> str:
    """Return `text` so that no spreadsheet program evaluates or converts it.

    `separator` is that of the file; the program may take another character for the separator.
    """
    formula = _FORMULA if separator == "," else _FORMULA_ALSO_AFTER_COMMA
    guarded = formula.sub(rf"\1{GUARD}", text)
    return GUARD + guarded if guarded == text and _is_converted(text) else guarded


async def stream_csv(
    snapshot: Snapshot, positions: Positions, columns: Sequence[str], dialect: CsvDialect
) -> AsyncIterator[bytes]:
    """Yield a CSV file of the rows at `positions`, the header line first."""
    start = _BYTE_ORDER_MARK if dialect.guarded else b""
    yield start + _csv([columns], dialect)
    rows = snapshot.content.rows
    async for chunk in cooperative_chunks(positions, CHUNK_BYTES, lambda at: len(rows[at].body)):
        lines = []
        for position in chunk:
            row = rows[position]
            cells = _cells(from_json(row.body), dialect)
            if "rev" in columns:
                cells["rev"] = dialect.text(row.rev)
            if "upstream_request_id" in columns:
                request_id = snapshot.block_at(position).request_id or ""
                cells["upstream_request_id"] = dialect.text(request_id)
            lines.append([cells.get(column, "") for column in columns])
        yield _csv(lines, dialect)


def _cells(order: Order, dialect: CsvDialect) -> dict[str, object]:
    name = order.get("package_name", {})
    cells: dict[str, object] = {
        **order,
        "order_no": dialect.text(order["order_no"]),
        "package_name_en": dialect.text(name.get("en", "")),
        "package_name_zh": dialect.text(name.get("zh", "")),
        "created_at_utc": order.get("created_at", ""),
    }
    for column in ("unit_price", "actual_amount"):
        cells[column] = str(cells.get(column, "")).replace(".", dialect.decimal)
    return cells


def _is_converted(text: str) -> bool:
    """Return whether a spreadsheet program reads `text` as a number, date, time or truth value."""
    if not any(map(str.isdigit, text)):
        return _BOOLEAN.fullmatch(text.strip()) is not None
    if _NOT_NUMERIC.search(_WORD.sub("", text)):
        return False
    words = _WORD.findall(text)
    after_number = not text.lstrip()[0].isalpha()
    return all(_MONTH.fullmatch(word) or (after_number and _UNIT.fullmatch(word)) for word in words)


def _csv(lines: Iterable[Iterable[object]], dialect: CsvDialect) -> bytes:
    text = StringIO()
    csv.writer(text, delimiter=dialect.separator, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
