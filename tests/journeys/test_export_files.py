"""Exports as files: complete or recognisably cut, few at once, and for readers that keep up."""

import asyncio
import base64
import hashlib
import io
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from starlette.types import Message

from app.clock import SystemClock
from app.orders.export_file import (
    MAX_MEMORY_BYTES,
    MAX_WAITING,
    READ_BYTES,
    SEND_GRACE_SECONDS,
    ExportSlots,
    TemporaryFileError,
    TooManyExports,
    WorkbookError,
    spool,
    write_workbook,
)
from app.sandbox.options import Options
from tests.support.clock import ManualClock, settle
from tests.support.proxy import Proxy, problem

PATH = "/v1/orders/export"
CSV = f"{PATH}?format=csv&dialect=plain"


@pytest.fixture
def proxy() -> Proxy:
    return Proxy(sandbox=True, server={"max_exports": 1, "min_send_rate": 1000})


class SlowReader:
    """A client that takes one message of a response and then nothing, until it is released."""

    def __init__(self, proxy: Proxy, query: str, *, accept_encoding: str = "identity") -> None:
        self._released = asyncio.Event()
        self.started = asyncio.Event()
        self.messages: list[Message] = []
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost"), (b"accept-encoding", accept_encoding.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        self.task = asyncio.create_task(proxy.app(scope, self._receive, self._send))

    def release(self) -> None:
        """Take all that follows."""
        self._released.set()

    async def _receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.body":
            # Not at the start of the response: a thread may still be working on the first chunk.
            self.started.set()
            await self._released.wait()


async def test_a_plain_file_states_its_length_and_digest(proxy: Proxy):
    response = await proxy.get(CSV, Accept_Encoding="identity")
    digest = base64.b64encode(hashlib.sha256(response.content).digest()).decode()
    assert response.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert response.headers["content-length"] == str(len(response.content))
    assert "content-encoding" not in response.headers


async def test_a_compressed_file_is_the_same_file(proxy: Proxy):
    plain = await proxy.get(CSV, Accept_Encoding="identity")
    compressed = await proxy.get(CSV, Accept_Encoding="gzip")
    assert compressed.headers["content-encoding"] == "gzip"
    assert not {"content-length", "repr-digest"} & compressed.headers.keys()
    assert compressed.content == plain.content
    assert compressed.headers["etag"] == plain.headers["etag"]


async def test_control_totals_are_those_of_the_orders_in_the_file(proxy: Proxy):
    response = await proxy.get(f"{PATH}?format=ndjson&status=paid")
    orders = [json.loads(line) for line in response.content.splitlines()]
    amounts = [Decimal(order.get("actual_amount", "0")) for order in orders]
    assert response.headers["x-total-count"] == str(len(orders))
    assert Decimal(response.headers["x-total-amount"]) == sum(amounts)


@pytest.mark.parametrize("file_format", ["csv", "ndjson", "xlsx"])
async def test_a_head_request_renders_no_file(proxy: Proxy, file_format: str):
    response = await proxy.get(f"{PATH}?format={file_format}", method="HEAD")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["x-total-count"] == "137"
    assert not {"content-length", "repr-digest"} & response.headers.keys()


async def test_a_workbook_has_all_orders_and_is_not_compressed_again(proxy: Proxy):
    response = await proxy.get(f"{PATH}?format=xlsx&time_zone=Asia/Shanghai&columns=order_no")
    assert response.headers["content-length"] == str(len(response.content))
    assert "content-encoding" not in response.headers
    assert response.headers["content-disposition"].endswith('.xlsx"')
    with ZipFile(io.BytesIO(response.content)) as workbook:
        orders, about = (workbook.read(f"xl/worksheets/sheet{at}.xml") for at in (1, 2))
    assert orders.count(b"<row ") == 138
    assert b"Asia/Shanghai" in about


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("format=xlsx&dialect=plain", "dialect"),
        ("format=ndjson&dialect=plain", "dialect"),
        ("format=csv&dialect=excel", "dialect"),
        ("format=ndjson&columns=rev", "columns"),
        ("format=csv&columns=rev&columns=rev", "columns"),
        ("format=csv&columns=price", "columns"),
        ("format=xlsx&include=rev", "format"),
    ],
)
async def test_a_parameter_that_the_format_does_not_have_is_reported(
    proxy: Proxy, query: str, parameter: str
):
    response = await proxy.get(f"{PATH}?{query}")
    assert [error["parameter"] for error in problem(response)["errors"]] == [parameter]


async def test_exports_at_once_are_bounded(proxy: Proxy):
    reader = SlowReader(proxy, "format=csv")
    await reader.started.wait()
    waiting = asyncio.ensure_future(proxy.get(CSV))
    await settle()
    assert (await proxy.get(CSV, method="HEAD")).status_code == 200
    await proxy.clock.advance(proxy.settings.upstream.deadline)
    refused = await waiting
    assert (refused.status_code, problem(refused)["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    reader.release()
    await reader.task
    assert reader.messages[-1]["more_body"] is False
    assert (await proxy.get(CSV)).status_code == 200


async def test_an_export_waits_until_another_one_has_been_sent(proxy: Proxy):
    reader = SlowReader(proxy, "format=csv")
    await reader.started.wait()
    waiting = [asyncio.ensure_future(proxy.get(CSV)) for _ in range(3)]
    await settle()
    reader.release()
    assert [response.status_code for response in await asyncio.gather(*waiting)] == [200] * 3


async def test_a_reader_that_takes_too_little_is_cut_off(proxy: Proxy):
    for accept_encoding in ("identity", "gzip"):
        reader = SlowReader(proxy, "format=csv", accept_encoding=accept_encoding)
        await reader.started.wait()
        await settle()
        await proxy.clock.advance(READ_BYTES / 1000 + SEND_GRACE_SECONDS)
        await reader.task
        assert reader.messages[-1]["more_body"] is True  # so the connection cannot be used again
    assert (await proxy.get(CSV)).status_code == 200


async def try_acquire(slots: ExportSlots, kind: str, caller: str) -> Callable[[], None] | None:
    """Return what gives the slot back, None if there is none now."""
    try:
        return await slots.acquire(kind, (caller,), 0.0)
    except TooManyExports:
        return None


async def test_workbooks_are_bounded_more_closely_than_exports():
    slots = ExportSlots(SystemClock(), 3)
    release = await try_acquire(slots, "workbook", "first")
    assert release
    assert await try_acquire(slots, "workbook", "second")
    assert await try_acquire(slots, "workbook", "third") is None
    assert await try_acquire(slots, "export", "third")
    release()
    assert await try_acquire(slots, "workbook", "third")


async def test_one_caller_has_at_most_half_of_the_exports():
    slots = ExportSlots(SystemClock(), 5)
    release = await try_acquire(slots, "export", "greedy")
    assert release
    assert await try_acquire(slots, "export", "greedy")
    assert await try_acquire(slots, "export", "greedy") is None
    assert await try_acquire(slots, "export", "other")
    release()
    assert await try_acquire(slots, "export", "greedy")
    assert await try_acquire(slots, "export", "third")
    assert await try_acquire(slots, "export", "fourth")
    assert await try_acquire(slots, "export", "fifth") is None


async def test_the_number_of_exports_that_wait_is_bounded():
    clock = ManualClock()
    slots = ExportSlots(clock, 1)
    release = await slots.acquire("export", ("reader",), 0.0)
    waiting = [
        asyncio.ensure_future(slots.acquire("export", (f"caller-{number}",), clock.monotonic() + 8))
        for number in range(MAX_WAITING)
    ]
    await settle()
    with pytest.raises(TooManyExports):
        await slots.acquire("export", ("one too many",), clock.monotonic() + 8)
    release()
    release_next = await waiting[0]  # in order of arrival
    await settle()
    assert [task.done() for task in waiting[1:]] == [False] * (MAX_WAITING - 1)
    release_next()
    for task in waiting[1:]:
        (await task)()


async def test_one_caller_has_at_most_half_of_the_places_to_wait():
    clock = ManualClock()
    slots = ExportSlots(clock, 1)
    await slots.acquire("export", ("reader",), 0.0)
    waiting = [
        asyncio.ensure_future(slots.acquire("export", ("greedy",), clock.monotonic() + 8))
        for _ in range(MAX_WAITING // 2)
    ]
    await settle()
    with pytest.raises(TooManyExports):
        await slots.acquire("export", ("greedy",), clock.monotonic() + 8)
    other = asyncio.ensure_future(slots.acquire("export", ("other",), clock.monotonic() + 8))
    await settle()
    assert not other.done()
    await clock.advance(8)
    results = await asyncio.gather(*waiting, other, return_exceptions=True)
    assert {type(result) for result in results} == {TooManyExports}


async def test_two_exports_that_end_at_once_make_room_for_two():
    clock = ManualClock()
    slots = ExportSlots(clock, 2)
    releases = [await slots.acquire("export", (f"reader-{number}",), 0.0) for number in range(2)]
    waiting = [
        asyncio.ensure_future(slots.acquire("export", (f"caller-{number}",), clock.monotonic() + 8))
        for number in range(2)
    ]
    await settle()
    for release in releases:
        release()
    await settle()
    assert [task.done() for task in waiting] == [True, True]


async def _lines(*lines: bytes) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


async def test_a_workbook_that_cannot_be_written_is_an_error_with_the_reason():
    options = {"columns": ["order_no"], "time_zone": "Nowhere/Land", "about": []}
    with ExitStack() as resources, pytest.raises(WorkbookError, match="Nowhere"):
        await write_workbook(_lines(*[b"{}\n" * 100_000] * 3), options, resources)


async def test_a_file_that_cannot_be_written_is_logged_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with ExitStack() as resources, pytest.raises(TemporaryFileError, match="No such file"):
        await spool(_lines(b"x" * MAX_MEMORY_BYTES, b"x"), resources, str(tmp_path / "missing"))
    with ExitStack() as resources, pytest.raises(TemporaryFileError, match="No such file"):
        await write_workbook(_lines(), {}, resources, str(tmp_path / "missing"))
    assert [record.message for record in caplog.records] == ["temporary_file_failed"] * 2


async def test_a_full_disk_while_a_workbook_is_written_is_logged_without_a_traceback(
    tmp_path: Path,
):
    def remove_folders() -> None:
        for folder in tmp_path.iterdir():
            shutil.rmtree(folder)

    async def lines() -> AsyncIterator[bytes]:
        remove_folders()
        yield b"{}\n"

    options = {"columns": ["order_no"], "time_zone": "UTC", "about": []}
    with ExitStack() as resources, pytest.raises(TemporaryFileError) as raised:
        await write_workbook(lines(), options, resources, str(tmp_path))
    assert "No such file or directory" in str(raised.value)
    assert "Traceback" not in str(raised.value)


async def test_a_cancelled_workbook_leaves_no_process():
    async def endless() -> AsyncIterator[bytes]:
        started.set()
        await asyncio.Event().wait()
        yield b""

    started = asyncio.Event()
    options = {"columns": ["order_no"], "time_zone": "UTC", "about": []}
    with ExitStack() as resources:
        task = asyncio.create_task(write_workbook(endless(), options, resources))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.without_coverage
async def test_a_large_file_is_sent_in_pieces():
    proxy = Proxy(Options(orders=3000), sandbox=True, upstream={"max_rate": 1000})
    reader = SlowReader(proxy, "format=csv")
    reader.release()
    await reader.task
    sizes = [len(message.get("body", b"")) for message in reader.messages[1:]]
    assert sizes[0] == READ_BYTES
    assert sum(sizes) > 3 * READ_BYTES
