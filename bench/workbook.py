"""What an export costs: the CPU time and memory of the process that writes a workbook, and sizes.

`python -m bench.workbook [ORDERS]`
"""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from io import BytesIO
from zipfile import ZipFile
from zoneinfo import ZoneInfo

from app.cache.grace_cache import Entry
from app.clock import SystemClock
from app.orders.blocks import Block
from app.orders.export import Export
from app.orders.export_file import write_workbook
from app.orders.export_query import ExportQuery
from app.orders.mapping import map_order
from app.orders.snapshot import Content, Snapshot
from app.sandbox.order_store import OrderStore

ORDERS = 100_000


def snapshot_of(orders: int) -> Snapshot:
    """Return a list of invented orders."""
    store = OrderStore(orders=orders, seed=7, clock=SystemClock())
    zone = ZoneInfo("Asia/Shanghai")
    rows = tuple(map_order(order, zone) for order in store.rows(0, orders))
    block = Block(0, rows, orders, as_of="", request_id=None, sandbox=True)
    entry = Entry(block, 0.0, 1)
    return Snapshot(Content(rows, (0,)), (entry,), entry, contradictory=False, generation=1)


async def read(chunks: AsyncIterator[bytes]) -> bytes:
    """Return a whole file."""
    return b"".join([chunk async for chunk in chunks])


async def measure(orders: int) -> None:
    """Write one file of each format, and print what it costs."""
    snapshot = snapshot_of(orders)

    def export(file_format: str) -> Export:
        query = ExportQuery.model_validate({"format": file_format})
        return Export(query, snapshot, range(orders), {})

    for file_format in ("csv", "ndjson"):
        size = len(await read(export(file_format).lines()))
        print(f"{file_format}: {size / orders:.0f} bytes per order")
    with ExitStack() as resources:
        workbook = export("xlsx")
        options = workbook.workbook_options("CNY")
        chunks, _ = await write_workbook(workbook.lines(), options, resources)
        content = await read(chunks)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unpacked = sum(member.file_size for member in ZipFile(BytesIO(content)).infolist())
    print(
        f"xlsx: {orders:,} orders in {used.ru_utime + used.ru_stime:.1f} s of CPU time, "
        f"{len(content) / orders:.0f} bytes per order, {unpacked / orders:.0f} while it is written"
    )


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS))
