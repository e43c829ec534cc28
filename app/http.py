"""The HTTP client. No other module imports httpx, so replacing the library changes one import."""

import asyncio
import logging
import math
import selectors
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from selectors import EVENT_READ
from typing import Any, Self
from urllib.parse import urlencode

from app.clock import Clock, SystemClock

# httpx imports its command line with the package. It draws tables, and the packages for that take
# longer to import, and more memory, than the client.
_modules: dict[str, Any] = sys.modules
_modules.setdefault("httpx._main", None)

import httpx  # noqa: E402

AsyncBaseTransport = httpx.AsyncBaseTransport
HTTPError = httpx.HTTPError
InvalidURL = httpx.InvalidURL
MockTransport = httpx.MockTransport
PoolTimeout = httpx.PoolTimeout
ReadError = httpx.ReadError
RemoteProtocolError = httpx.RemoteProtocolError
Request = httpx.Request
Response = httpx.Response
StreamError = httpx.StreamError
Timeout = httpx.Timeout
TimeoutException = httpx.TimeoutException

MAX_HEAD_BYTES = 16 * 1024
"""Bytes of a response head with all interim (1xx) responses before it, of trailers, or of a chunk
extension: of everything that is received without a part of the body."""

READ_BYTES = 8192
"""Bytes per read: what they can contain, hundreds of chunks, is parsed in one go."""

MAX_REUSED_BYTES = 40 * 1024
"""Bytes of a response after which its connection is used again. A TLS stream takes 64 KiB at a time
from what the network has delivered, and decrypts records of at most 16 KiB: the end of an early
response can remain beneath it only behind 47 KiB of another one."""

KEEPALIVE_SECONDS = 15.0
"""Seconds an idle connection is kept open: less than servers usually do, so that we close first."""

_VERBOSE_LOGGERS = (httpx.__name__, httpx.__name__.replace("httpx", "httpcore"))
"""They log every URL, and with it order numbers that callers chose."""

CACHED_URLS = 2048
"""URLs that are parsed once: those of 100,000 orders."""

_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)  # Windows has the latter

_OPTIONAL_MODULE = "sniffio"
"""httpcore imports it four times in each call, to find out whether asyncio runs. If it is missing,
each import searches the file system."""


class Client:
    """Sends requests to one host; it follows no redirects and ignores cookies and environment.

    Each request is built here and handed to a transport. The library's own client would merge
    settings, cookies and URLs into it first, which costs as much as the call.

    Args:
        base_url: scheme, host and port of the host, and a path if it has one.
        transport: the network.
    """

    def __init__(self, base_url: str, transport: AsyncBaseTransport) -> None:
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self.aclose = transport.aclose

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None,
        json: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        timeout: Timeout,
        call: "Call",
    ) -> AsyncIterator[Response]:
        """Send a request with one body at most; yield the response, whose body is still to be read.

        Without a `base_url`, `path` is a URL.
        """
        query = f"?{urlencode(params)}" if params else ""
        request = httpx.Request(
            method,
            _parse_url(f"{self._base_url}{path}{query}"),
            headers={**_HEADERS, **(headers or {})},
            json=json,
            data=form,
            extensions={"timeout": timeout.as_dict()},
        )
        with call:
            response = await self._transport.handle_async_request(request)
            response.request = request
            try:
                call.on_head()
                yield response
            finally:
                await response.aclose()


# A block is requested again and again, and URLs are immutable.
_parse_url = lru_cache(CACHED_URLS)(httpx.URL)

_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip",
    "Connection": "keep-alive",
    "User-Agent": "orders-bff",
}


def open_client(
    base_url: str,
    *,
    max_connections: int,
    ca_file: Path | None = None,
    proxy: str | None = None,
    max_connection_age: float = math.inf,
    clock: Clock | None = None,
    transport: AsyncBaseTransport | None = None,
) -> Client:
    """Return a client of one host that verifies TLS.

    Args:
        base_url: scheme, host and port of the upstream, and a path if it has one.
        max_connections: the size of the connection pool; callers limit their calls to it.
        ca_file: a private CA in addition to the system's.
        proxy: URL of an egress proxy.
        max_connection_age: seconds. An older connection is closed when its call has ended, so that
            the name of the host is resolved again. No call is cut off.
        clock: measures that age; the system's by default.
        transport: the network; the real one by default.
    """
    if transport is None:
        transport = _open_transport(max_connections, ca_file, proxy)
        # httpcore accepts a network backend, but httpx has no argument to pass it on.
        pool: Any = transport._pool  # noqa: SLF001
        backend = pool._network_backend  # noqa: SLF001
        pool._network_backend = _Backend(  # noqa: SLF001
            backend, clock or SystemClock(), max_connection_age
        )
    return Client(base_url, transport)


def _open_transport(
    max_connections: int, ca_file: Path | None, proxy: str | None
) -> httpx.AsyncHTTPTransport:
    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    _modules.setdefault(_OPTIONAL_MODULE, None)  # an import of it fails at once
    tls = ssl.create_default_context()
    if ca_file:
        tls.load_verify_locations(ca_file)
    return httpx.AsyncHTTPTransport(
        verify=tls,
        proxy=proxy,
        trust_env=False,
        limits=httpx.Limits(
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
        ),
    )


class ResponseHeadTooLarge(httpx.ProtocolError):
    """More than `MAX_HEAD_BYTES` were received without a part of the body."""


class Call:
    """Follows one call on the network stream that it uses, limits it, and rejects early responses.

    Within this context manager, the streams of `_Backend` report to it.

    Limits: the library applies its read timeout to each read, so a head that arrives byte by byte,
    or interim (1xx) responses without end, would evade it. Each read ends at the deadline of the
    call at the latest, and a head has a limit.

    Early responses: bytes that a server sends after a response stay in the buffer of the keep-alive
    connection. The library would take them for the response to the next request (response
    desynchronization), and one block of the list would be taken for another. Reading from the
    network suspends the task, so a response that is complete before the event loop has run once was
    already in the buffer. Reading what the network has delivered before suspends it as well: see
    `_Stream`.

    Args:
        on_send: called when the connection is open and the request is about to be sent.
        seconds_left: returns the seconds until the deadline.

    Attributes:
        is_reused: whether the connection had been used before; None before anything was sent.
        head_complete: whether the head of the response was received.
    """

    def __init__(self, on_send: Callable[[], None], seconds_left: Callable[[], float]) -> None:
        self._on_send = on_send
        self._seconds_left = seconds_left
        self._is_sending = False
        self._loop_ran = True
        self.head_complete = False
        self._head_bytes = 0
        self.is_reused: bool | None = None

    def __enter__(self) -> Self:
        self._token = _current_call.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current_call.reset(self._token)

    def before_write(self, *, is_reused: bool) -> None:
        """Record that a part of a request is written to a connection, used before or not."""
        if self.is_reused is None:
            self.is_reused = is_reused
        if not self._is_sending:
            self._is_sending, self._loop_ran, self._head_bytes = True, False, 0
            self._on_send()

    async def read(self, stream: Any, timeout: float | None) -> bytes:
        """Read from the network stream of the call.

        Raises:
            ResponseHeadTooLarge: the head, an interim response, or trailers are too large.
        """
        if self._is_sending:
            self._is_sending = False
            asyncio.get_running_loop().call_soon(self._on_loop_run)
        if self._head_bytes >= MAX_HEAD_BYTES:
            raise ResponseHeadTooLarge("the head of the response is too large")
        if self.head_complete:
            # A TLS stream returns what it has buffered without suspending the task.
            await asyncio.sleep(0)
        left = max(self._seconds_left(), 0.0)
        data = await stream.read(READ_BYTES, left if timeout is None else min(timeout, left))
        self._head_bytes += len(data)
        return bytes(data)

    def on_head(self) -> None:
        """Record that the head of the response was received.

        Raises:
            RemoteProtocolError: it precedes its request; the connection has to be closed.
        """
        if not self._loop_ran:
            raise RemoteProtocolError("the response was received before its request was sent")
        self.head_complete = True

    def on_body(self) -> None:
        """Record that a part of the body was received."""
        self._head_bytes = 0

    def _on_loop_run(self) -> None:
        self._loop_ran = True


_current_call: ContextVar[Call] = ContextVar("current_call")


def current_call() -> Call:
    """Return the call in whose context this runs."""
    return _current_call.get()


class _Stream:
    """A network stream of httpcore that reports to the current call, which limits its reads.

    A connection is not used again if more may have been delivered than was read, of which its
    socket knows nothing: if the last read was full, or the response large.
    """

    def __init__(self, stream: Any, is_too_old: Callable[[], bool]) -> None:
        self._stream = stream
        self._is_too_old = is_too_old
        self._is_used = False
        self._bytes_read = 0
        self._may_have_more = False
        self.aclose = stream.aclose
        self._selector = _Selector()
        self._selector.register(stream.get_extra_info("socket"), EVENT_READ)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        current_call().before_write(is_reused=self._is_used)
        self._bytes_read = 0
        await self._stream.write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del max_bytes  # READ_BYTES instead
        self._is_used = True
        data = await current_call().read(self._stream, timeout)
        self._bytes_read += len(data)
        self._may_have_more = len(data) == READ_BYTES or self._bytes_read > MAX_REUSED_BYTES
        return data

    async def start_tls(self, *args: Any, **kwargs: Any) -> "_Stream":
        return _Stream(await self._stream.start_tls(*args, **kwargs), self._is_too_old)

    def get_extra_info(self, info: str) -> Any:
        """Return what the library asks for; an idle connection that is readable is not used again.

        It takes readable for closed by the server, and closes it as soon as its call has ended, or
        before the next one. Its own way to find out takes four times as long.
        """
        if info == "is_readable":
            return self._may_have_more or self._is_too_old() or bool(self._selector.select(0))
        return self._stream.get_extra_info(info)


class _Backend:
    """A network backend of httpcore that opens `_Stream`s."""

    def __init__(self, backend: Any, clock: Clock, max_age: float) -> None:
        self._backend = backend
        self._clock = clock
        self._max_age = max_age
        self.sleep = backend.sleep

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:
        old_from = self._clock.monotonic() + self._max_age
        stream = await self._backend.connect_tcp(*args, **kwargs)
        return _Stream(stream, lambda: self._clock.monotonic() >= old_from)
