"""Sends exports as files: how many at once, from where, and at which speed at least.

A file without a content coding is rendered once into a temporary file, so its length and digest are
known before the first byte is sent, a cut file is recognized, and a slow reader keeps no order list
in memory. A file in gzip is compressed while it is sent; the chunked coding shows where it ends.
"""

import asyncio
import hashlib
import logging
import os
import sys
import zlib
from asyncio import StreamReader, StreamWriter
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import IO, Any, cast

from fastapi.responses import StreamingResponse
from pydantic_core import to_json
from starlette.types import Message, Receive, Scope, Send

from app.clock import Clock
from app.current_caller import CallerKey

READ_BYTES = 64 * 1024
"""Bytes of a file that are read and sent at once."""

MAX_MEMORY_BYTES = 1024 * 1024
"""Bytes of a file that are kept in memory instead of on disk."""

MAX_WORKBOOKS = 2
"""Workbooks that are written at once, each by a process of its own."""

MAX_WAITING = 100
"""Exports that wait for a slot."""

MAX_ERROR_CHARS = 500
"""Characters of the error output of the program that are logged, from its end."""

SEND_GRACE_SECONDS = 10.0
"""Time that every chunk has in addition, for a connection that stalls for a moment."""

_Described = tuple[AsyncIterator[bytes], dict[str, str]]
"""A file, and the headers that describe it."""

_WRITER = Path(__file__).with_name("xlsx_writer.py")

_logger = logging.getLogger("orders_bff.orders")


class TooManyExports(Exception):
    """As many exports as permitted are being rendered and sent already."""


class TemporaryFileError(Exception):
    """A temporary file cannot be written, for example because the disk is full."""


class WorkbookError(Exception):
    """The program that writes workbooks has failed."""


class ExportSlots:
    """Bounds the exports, and the workbooks among them, that are rendered and sent at once.

    One caller has at most half of them, and of the places to wait, so that its slow readers do not
    keep others from exporting.
    """

    def __init__(self, clock: Clock, max_exports: int, max_workbooks: int = MAX_WORKBOOKS) -> None:
        self._clock = clock
        self._limits = {"export": max_exports, "workbook": max_workbooks}
        self._taken: Counter[tuple[str, CallerKey]] = Counter()
        self._waiting: dict[asyncio.Future[None], CallerKey] = {}  # in order of arrival

    async def acquire(self, kind: str, caller: CallerKey, deadline: float) -> Callable[[], None]:
        """Wait for a slot for a caller, and return the function that gives it back.

        Args:
            kind: `export` or `workbook`.
            caller: the caller.
            deadline: when the caller stops waiting, on the monotonic clock.

        Raises:
            TooManyExports: none was free in time, or too many callers wait.
        """
        key = (kind, caller)
        while not self._has_room(kind, caller):
            of_caller = sum(other == caller for other in self._waiting.values())
            if len(self._waiting) >= MAX_WAITING or of_caller >= MAX_WAITING // 2:
                raise TooManyExports
            released = asyncio.get_running_loop().create_future()
            self._waiting[released] = caller
            try:
                seconds = max(deadline - self._clock.monotonic(), 0.0)
                if not await self._clock.finishes_within(released, seconds):
                    raise TooManyExports
            finally:
                del self._waiting[released]
        self._taken[key] += 1

        def release() -> None:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)

        return release

    def _has_room(self, kind: str, caller: CallerKey) -> bool:
        limit = self._limits[kind]
        taken = sum(count for (other, _), count in self._taken.items() if other == kind)
        return taken < limit and self._taken[kind, caller] < max(limit // 2, 1)


class ExportResponse(StreamingResponse):
    """Streams a file to a reader that must keep up, and then releases what the file needs.

    Args:
        chunks: the file.
        resources: closed when the response has ended, however it ended.
        min_send_rate: bytes per second. If a chunk takes longer, the response is cut off.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        resources: ExitStack,
        clock: Clock,
        *,
        min_send_rate: int,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        super().__init__(chunks, headers=headers, media_type=media_type)
        self._resources = resources
        self._clock = clock
        self._min_send_rate = min_send_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._resources:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the file, or cut it off if the reader is too slow."""

        async def send_in_time(message: Message) -> None:
            sending = asyncio.ensure_future(send(message))
            seconds = len(message.get("body", b"")) / self._min_send_rate + SEND_GRACE_SECONDS
            try:
                if not await self._clock.finishes_within(sending, seconds):
                    raise TimeoutError
            finally:
                sending.cancel()
            await sending

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            # The server closes a connection whose response is incomplete.
            _logger.warning(
                "export_cut_off", extra={"fields": {"min_send_rate": self._min_send_rate}}
            )


async def spool(
    chunks: AsyncIterator[bytes], resources: ExitStack, directory: str | None = None
) -> _Described:
    """Render `chunks` into a temporary file; return it, and the headers that describe it.

    `directory` is that of temporary files; by default that of the system.

    Raises:
        TemporaryFileError: the file cannot be written.
    """
    file = SpooledTemporaryFile(max_size=MAX_MEMORY_BYTES, dir=directory)  # noqa: SIM115  closed below
    resources.callback(_close, file)
    async for chunk in chunks:
        try:
            await asyncio.to_thread(file.write, chunk)
        except OSError as error:
            raise _temporary_file_error(str(error.strerror)) from None
    return await _open_spooled(file)


async def write_workbook(
    lines: AsyncIterator[bytes],
    options: Mapping[str, Any],
    resources: ExitStack,
    directory: str | None = None,
) -> _Described:
    """Write a workbook in a process of its own; return it, and the headers that describe it.

    Args:
        lines: the orders as NDJSON.
        options: those of `xlsx_writer.write_workbook` besides `path`.
        resources: takes over the temporary files.
        directory: that of temporary files; by default that of the system.

    Raises:
        TemporaryFileError: a file cannot be written.
        WorkbookError: the process failed for another reason.
    """
    try:
        folder = TemporaryDirectory(prefix="orders-", dir=directory, ignore_cleanup_errors=True)
    except OSError as error:
        raise _temporary_file_error(str(error.strerror)) from None
    path = Path(resources.enter_context(folder)) / "orders.xlsx"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", str(_WRITER)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    stdin, stderr = cast("StreamWriter", process.stdin), cast("StreamReader", process.stderr)
    try:
        reading = asyncio.create_task(stderr.read())
        with suppress(BrokenPipeError, ConnectionResetError):  # it has failed, see below
            stdin.write(to_json({**options, "path": str(path)}) + b"\n")
            async for chunk in lines:
                stdin.write(chunk)
                await stdin.drain()
        stdin.close()
        if await process.wait():
            reason = (await reading).decode(errors="replace").strip()[-MAX_ERROR_CHARS:]
            if process.returncode == os.EX_IOERR:
                raise _temporary_file_error(reason)
            _logger.error("workbook_failed", extra={"fields": {"reason": reason}})
            raise WorkbookError(reason)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return await _open_spooled(resources.enter_context(path.open("rb")))


async def compress_chunks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield `chunks` compressed with gzip, each in a thread: it takes milliseconds."""
    compressor = zlib.compressobj(6, wbits=zlib.MAX_WBITS + 16)
    async for chunk in chunks:
        if compressed := await asyncio.to_thread(compressor.compress, chunk):
            yield compressed
    yield compressor.flush()


def _temporary_file_error(reason: str) -> TemporaryFileError:
    """Log why a temporary file cannot be written, and return the error."""
    _logger.error("temporary_file_failed", extra={"fields": {"reason": reason}})
    return TemporaryFileError(reason)


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # what is still buffered does not fit on a full disk
        file.close()


async def _open_spooled(file: IO[bytes]) -> _Described:
    def measure() -> dict[str, str]:
        digest = hashlib.sha256()
        file.seek(0)
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
        length = file.tell()
        file.seek(0)
        encoded = b64encode(digest.digest()).decode()
        return {"Content-Length": str(length), "Repr-Digest": f"sha-256=:{encoded}:"}

    return _read(file), await asyncio.to_thread(measure)


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, READ_BYTES):
        yield chunk
