"""Streams orders as a file: CSV for spreadsheets, NDJSON for programs.

CSV follows RFC 4180 in UTF-8, with a byte order mark because spreadsheets need one to read Chinese.
A text that a spreadsheet would run as a formula gets a leading apostrophe; numbers are valid
decimals already and stay as they are.
"""

import csv
import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from io import StringIO

import msgspec
from pydantic_core import from_json

from app.orders.compute import cooperative_chunks
from app.orders.filters import Positions
from app.orders.mapping import Row
from app.orders.queries import ExportQuery
from app.orders.rendering import origin_json, render_row
from app.orders.schema import Order
from app.orders.snapshot import Snapshot

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


async def stream_csv(rows: Sequence[Row], positions: Positions) -> AsyncIterator[bytes]:
    """Yield a CSV file of the rows at `positions`, the header line first."""
    yield b"\xef\xbb\xbf" + _csv([COLUMNS])
    async for chunk in cooperative_chunks(positions, ROWS_PER_CHUNK):
        yield _csv(_cells(from_json(rows[position].body)) for position in chunk)


async def stream_ndjson(
    snapshot: Snapshot, positions: Positions, include: Collection[str]
) -> AsyncIterator[bytes]:
    """Yield an NDJSON file of the rows at `positions`, with the members that `include` names."""
    rows = snapshot.content.rows
    async for chunk in cooperative_chunks(positions, ROWS_PER_CHUNK):
        lines = (
            render_row(rows[position], include, snapshot.block_at(position))
            if include
            else rows[position].body
            for position in chunk
        )
        yield b"\n".join(lines) + b"\n"


async def content_digest(rows: Sequence[Row], *, raw: bool) -> bytes:
    """Return the SHA-256 of the rows as rendered, of the upstream's objects too if `raw`."""
    digest = hashlib.sha256()
    async for chunk in cooperative_chunks(rows):
        for row in chunk:
            digest.update(b"%b\n%b\n" % (row.body, row.rev.encode()))
            if raw:
                digest.update(row.raw + b"\n")
    return digest.digest()


def export_digest(content: bytes, snapshot: Snapshot, query: ExportQuery) -> bytes:
    """Return the SHA-256 of what determines an export, equal on every replica.

    `content` is the `content_digest` of the rows. The file itself is not hashed, so it is rendered
    once: an order that the filter leaves out changes the digest too.
    """
    canonical = (query.format, query.filter(), query.sort, frozenset(query.include))
    digest = hashlib.sha256(content + msgspec.json.encode(canonical, order="deterministic"))
    if "origin" in query.include:
        for start, entry in zip(snapshot.content.starts, snapshot.blocks, strict=True):
            digest.update(b"%d" % start + origin_json(entry.value))
    return digest.digest()


def escape_formula(text: str) -> str:
    """Return `text` as a cell that no spreadsheet evaluates."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cells(order: Order) -> Iterable[object]:
    name = order.get("package_name", {})
    cells: dict[str, object] = {
        **order,
        "order_no": escape_formula(order["order_no"]),
        "package_name_en": escape_formula(name.get("en", "")),
        "package_name_zh": escape_formula(name.get("zh", "")),
    }
    return (cells.get(column, "") for column in COLUMNS)


def _csv(lines: Iterable[Iterable[object]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
