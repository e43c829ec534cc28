"""Exports opened in LibreOffice: every order number, amount and time is still the same."""

import asyncio
import csv
import io
import json
import os
import shutil
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from app.clock import SystemClock
from app.orders.export import Export
from app.orders.export_file import write_workbook
from app.orders.export_query import ExportQuery
from app.orders.mapping import Row, map_order
from app.orders.timestamps import parse_timestamp_ns
from app.sandbox.order_store import OrderStore
from tests.orders.test_csv_export import unguard
from tests.orders.test_export import SHANGHAI, chunks_of, snapshot

OFFICE = shutil.which("soffice")

pytestmark = pytest.mark.skipif(
    OFFICE is None and os.environ.get("CI") != "true",
    reason="there is no LibreOffice: apt-get install libreoffice-calc",
)

ORDERS = 20_000 if os.environ.get("CI") == "true" else 2_000
CSV_FILTER = "44,34,76,1"  # comma, quote, UTF-8, from the first line


async def open_and_save(file: Path, *arguments: str) -> list[dict[str, str]]:
    """Open `file` in LibreOffice, save it as CSV as shown on the screen, and return its lines."""
    target = file.parent / "saved"
    process = await asyncio.create_subprocess_exec(
        OFFICE or "soffice",
        "--headless",
        f"-env:UserInstallation={(file.parent / 'profile').as_uri()}",
        *arguments,
        *("--convert-to", f"csv:Text - txt - csv (StarCalc):{CSV_FILTER}", "--outdir", str(target)),
        str(file),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    text = (target / file.with_suffix(".csv").name).read_text("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    store = OrderStore(orders=ORDERS, seed=7, clock=SystemClock())
    return [map_order(order, SHANGHAI) for order in store.rows(0, ORDERS)]


def export(rows: list[Row], file_format: str) -> Export:
    query = ExportQuery.model_validate({"format": file_format, "time_zone": "Asia/Shanghai"})
    return Export(query, snapshot(*rows), range(len(rows)), {})


def known(row: Row, field: str) -> str:
    """Return a field of the order, empty if it is unknown."""
    return str(json.loads(row.body).get(field, ""))


async def test_a_csv_file_survives(rows: list[Row], tmp_path: Path):
    file = tmp_path / "orders.csv"
    file.write_bytes(b"".join(await chunks_of(export(rows, "csv").lines())))
    lines = await open_and_save(file, f"--infilter=CSV:{CSV_FILTER}")
    assert len(lines) == ORDERS
    for line, row in zip(lines, rows, strict=True):
        assert unguard(line["order_no"]) == row.order_no
        assert (Decimal(line["actual_amount"]) if line["actual_amount"] else None) == row.amount
        assert line["created_at"] == known(row, "created_at")


async def test_a_workbook_survives(rows: list[Row], tmp_path: Path):
    file = tmp_path / "orders.xlsx"
    workbook = export(rows, "xlsx")
    with ExitStack() as resources:
        options = workbook.workbook_options("CNY")
        chunks, _ = await write_workbook(workbook.lines(), options, resources)
        file.write_bytes(b"".join(await chunks_of(chunks)))
    lines = await open_and_save(file)
    assert len(lines) == ORDERS
    for line, row in zip(lines, rows, strict=True):
        assert line["order_no"] == row.order_no
        assert line["actual_amount"] == known(row, "actual_amount")
        assert line["created_at_utc"] == known(row, "created_at")
        shown = line["created_at (Asia/Shanghai)"].replace(" ", "T")
        assert (parse_timestamp_ns(f"{shown}+08:00") if shown else None) == row.created_ns
