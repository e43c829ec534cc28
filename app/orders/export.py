"""What an export contains: its columns, its lines as NDJSON, its total and its digest."""

import hashlib
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, get_args

import msgspec

from app.orders.compute import cooperative_chunks
from app.orders.csv_export import DIALECTS, stream_csv
from app.orders.export_query import ExportColumn, ExportQuery
from app.orders.filters import Positions
from app.orders.mapping import Row
from app.orders.rendering import origin_json, render_row
from app.orders.snapshot import Snapshot
from app.orders.summary import EXACT, STATUS_GROUPS, group_of_status

_OPTIONAL_COLUMNS = ("created_at_utc", "rev", "upstream_request_id")

COLUMNS = tuple(
    column for column in get_args(ExportColumn.__value__) if column not in _OPTIONAL_COLUMNS
)
"""The default columns of a CSV file. A workbook has `created_at_utc` in addition."""

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

CHUNK_BYTES = 128 * 1024
"""Bytes of orders that are rendered or hashed between two turns of the event loop."""

TOTAL = "total of actual_amount"

MAX_ABOUT_IDS = 200
"""Upstream request ids in the description of a workbook."""


@dataclass(frozen=True, slots=True)
class Export:
    """The orders that an export contains, and in which form.

    Attributes:
        query: what was requested.
        snapshot: the list.
        positions: the selected orders, in order.
        amounts: the exact sums of their known amounts, see `total_amounts`.
    """

    query: ExportQuery
    snapshot: Snapshot
    positions: Positions
    amounts: Mapping[str, str]

    @property
    def filename(self) -> str:
        """The name to save the file under, with the time of the data in UTC."""
        timestamp = re.sub("[-:]|[.][0-9]+", "", self.snapshot.oldest_block.value.as_of)
        return f"orders-{timestamp}.{self.query.format}"

    def lines(self) -> AsyncIterator[bytes]:
        """Return the file, or for a workbook the NDJSON that `xlsx_writer` reads."""
        query = self.query
        if query.format == "csv":
            dialect = DIALECTS[query.dialect or "spreadsheet"]
            columns = query.columns or COLUMNS
            return stream_csv(self.snapshot, self.positions, columns, dialect)
        if query.format == "ndjson":
            return stream_ndjson(self.snapshot, self.positions, query.include)
        extra = {"rev": "rev", "upstream_request_id": "origin"}
        include = [extra[column] for column in query.columns if column in extra]
        return stream_ndjson(self.snapshot, self.positions, include)

    def workbook_options(self, currency: str) -> dict[str, Any]:
        """Return the options of `xlsx_writer`: columns, time zone and a description."""
        columns = self.query.columns or (*COLUMNS, "created_at_utc")
        about = [*self._about(currency)]
        return {"columns": columns, "time_zone": self.query.time_zone, "about": about}

    def _about(self, currency: str) -> Iterator[tuple[str, str]]:
        """Yield the question, the totals and where the orders come from."""
        parameters = self.query.model_dump(exclude_none=True, exclude={"format", "include"})
        for name, value in parameters.items():
            if value:
                yield name, ", ".join(value) if isinstance(value, tuple) else value
        yield "orders", str(len(self.positions))
        for name, amount in self.amounts.items():
            yield name, f"{amount} {currency}".strip()
        yield "as_of", self.snapshot.oldest_block.value.as_of
        if self.snapshot.inconsistent:
            yield "inconsistent", "The list changed while it was read: an order may be missing."
        for entry in self.snapshot.blocks[:MAX_ABOUT_IDS]:
            if entry.value.request_id:
                yield "upstream_request_id", entry.value.request_id


async def stream_ndjson(
    snapshot: Snapshot, positions: Positions, include: Collection[str]
) -> AsyncIterator[bytes]:
    """Yield an NDJSON file of the rows at `positions`, with the members that `include` names."""
    rows, with_raw = snapshot.content.rows, "raw" in include

    def cost(position: int) -> int:
        return _rendered_bytes(rows[position], raw=with_raw)

    async for chunk in cooperative_chunks(positions, CHUNK_BYTES, cost):
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
    cost = partial(_rendered_bytes, raw=raw)
    async for chunk in cooperative_chunks(rows, CHUNK_BYTES, cost):
        for row in chunk:
            digest.update(b"%b\n%b\n" % (row.body, row.rev.encode()))
            if raw:
                digest.update(row.raw + b"\n")
    return digest.digest()


def _rendered_bytes(row: Row, *, raw: bool) -> int:
    return len(row.body) + (len(row.raw) if raw else 0)


def export_digest(content: bytes, snapshot: Snapshot, query: ExportQuery) -> bytes:
    """Return the SHA-256 of what determines an export, equal on every replica.

    `content` is the `content_digest` of the rows. The file itself is not hashed, so it is rendered
    once: an order that the filter leaves out changes the digest too.
    """
    canonical = (
        query.format,
        query.filter(),
        query.sort,
        frozenset(query.include),
        query.dialect or "spreadsheet",
        query.columns,
        query.time_zone,
    )
    digest = hashlib.sha256(content + msgspec.json.encode(canonical, order="deterministic"))
    if "origin" in query.include or "upstream_request_id" in query.columns:
        for start, entry in zip(snapshot.content.starts, snapshot.blocks, strict=True):
            digest.update(b"%d" % start + origin_json(entry.value))
    return digest.digest()


async def total_amounts(rows: Sequence[Row], positions: Positions) -> dict[str, str]:
    """Return the exact sums of the known amounts of the rows at `positions`.

    They are by status group, and that of all rows is under `TOTAL`.
    """
    sums = dict.fromkeys((TOTAL, *STATUS_GROUPS), Decimal(0))
    async for chunk in cooperative_chunks(positions):
        for position in chunk:
            row = rows[position]
            if row.amount is not None:
                for name in (TOTAL, group_of_status(row.status)):
                    sums[name] = EXACT.add(sums[name], row.amount)
    return {name: format(amount, "f") for name, amount in sums.items()}
