"""Orders as lines of a file: CSV for spreadsheets, NDJSON for programs. Pure, some rows at a time.

CSV is RFC 4180 in UTF-8 with a byte order mark, or spreadsheets do not read Chinese. A text that a
spreadsheet would take for a formula gets a leading apostrophe; numbers are decimals already, and
are not touched.
"""

import csv
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from io import StringIO
from itertools import chain

from pydantic_core import from_json

from app.orders.filters import Positions
from app.orders.mapping import Row
from app.orders.row_extras import RowExtras
from app.orders.schema import Order
from app.orders.slices import cooperative_chunks

COLUMNS = (
    "order_no",
    "package_name_en",
    "package_name_zh",
    "unit_price",
    "quantity",
    "actual_amount",
    "status",
    "type",
    "source",
    "created_at",
)
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
}

ROWS_PER_CHUNK = 500

_FORMULA = tuple("=+-@\t\r\n\0＝＋－＠")  # noqa: RUF001  the full-width forms are meant

RowEncoder = Callable[[Sequence[int]], bytes]
"""The lines of the rows at these positions."""


def csv_header() -> bytes:
    """What a CSV file begins with."""
    return b"\xef\xbb\xbf" + _csv([COLUMNS])


def csv_lines(rows: Sequence[Row]) -> RowEncoder:
    """Makes the lines of a CSV file."""
    return lambda positions: _csv(_cells(from_json(rows[at].body)) for at in positions)


def ndjson_lines(rows: Sequence[Row], included: RowExtras) -> RowEncoder:
    """Makes the lines of an NDJSON file; of `included` a place is a position."""
    return lambda positions: b"".join(
        chain.from_iterable((included.render_row(at, rows[at]), b"\n") for at in positions)
    )


async def digest_of(lines: RowEncoder, positions: Positions) -> bytes:
    """The SHA-256 of all lines, made in slices."""
    digest = hashlib.sha256()
    async for some in cooperative_chunks(positions, ROWS_PER_CHUNK):
        digest.update(lines(some))
    return digest.digest()


async def pieces(head: bytes, lines: RowEncoder, positions: Positions) -> AsyncIterator[bytes]:
    """The file, some lines at a time; others have their turn between two pieces."""
    yield head
    async for some in cooperative_chunks(positions, ROWS_PER_CHUNK):
        yield lines(some)


def escape_formula(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cells(order: Order) -> Iterable[object]:
    name = order.get("package_name", {})
    yield escape_formula(order["order_no"])
    yield escape_formula(name.get("en", ""))
    yield escape_formula(name.get("zh", ""))
    yield order.get("unit_price", "")
    yield order.get("quantity", "")
    yield order.get("actual_amount", "")
    yield order["status"]
    yield order["type"]
    yield order["source"]
    yield order.get("created_at", "")


def _csv(lines: Iterable[Iterable[object]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
