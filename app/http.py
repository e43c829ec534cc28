"""The HTTP client. No other module imports httpx, so replacing the library changes one import."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

AsyncBaseTransport = httpx.AsyncBaseTransport
AsyncClient = httpx.AsyncClient
HTTPError = httpx.HTTPError
MockTransport = httpx.MockTransport
PoolTimeout = httpx.PoolTimeout
ReadError = httpx.ReadError
RemoteProtocolError = httpx.RemoteProtocolError
Request = httpx.Request
Response = httpx.Response
StreamError = httpx.StreamError
Timeout = httpx.Timeout
TimeoutException = httpx.TimeoutException

KEEPALIVE_SECONDS = 15.0
"""Seconds an idle connection is kept open: less than servers usually do, so that we close first."""

_VERBOSE_LOGGERS = (httpx.__name__, httpx.__name__.replace("httpx", "httpcore"))
"""They log every URL, and with it order numbers that callers chose."""


def open_client(
    base_url: str,
    *,
    max_connections: int,
    ca_file: Path | None = None,
    proxy: str | None = None,
    transport: AsyncBaseTransport | None = None,
) -> AsyncClient:
    """Return a client of one host that verifies TLS and ignores redirects, cookies and environment.

    Args:
        base_url: scheme, host and port of the upstream, and a path if it has one.
        max_connections: the size of the connection pool; callers limit their calls to it.
        ca_file: a private CA in addition to the system's.
        proxy: URL of an egress proxy.
        transport: the network; the real one by default.
    """
    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx.AsyncClient(
        base_url=base_url,
        transport=transport or _open_transport(max_connections, ca_file, proxy),
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": "orders-bff", "Accept-Encoding": "gzip"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        event_hooks={"response": [_drop_location]},
    )


def _open_transport(
    max_connections: int, ca_file: Path | None, proxy: str | None
) -> httpx.AsyncHTTPTransport:
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


class CallTrace:
    """The `trace` extension of one call: follows it, and rejects a response that is too early.

    Bytes that a server sends after a response stay in the buffer of the keep-alive connection. The
    library would take them for the response to the next request (response desynchronization), and
    one block of the list would be taken for another. Reading from the network suspends the task, so
    a response that is complete before the event loop has run once was already in the buffer.

    Args:
        on_send: called when the connection is open and the request is about to be sent.

    Attributes:
        is_reused: whether the connection had been used before; None before the first event.

    Raises:
        RemoteProtocolError: the response precedes its request; the library closes the connection.
    """

    def __init__(self, on_send: Callable[[], None]) -> None:
        self._on_send = on_send
        self._loop_ran = False
        self.is_reused: bool | None = None

    async def __call__(self, event: str, _: dict[str, Any]) -> None:
        """Receive an event of the library; the first one of a new connection is to connect."""
        if self.is_reused is None:
            self.is_reused = not event.startswith("connection.")
        if event.endswith("send_request_headers.started"):
            self._on_send()
        elif event == "http11.receive_response_headers.started":
            asyncio.get_running_loop().call_soon(self._on_loop_run)
        elif event == "http11.receive_response_headers.complete" and not self._loop_ran:
            raise RemoteProtocolError("the response was received before its request was sent")

    def _on_loop_run(self) -> None:
        self._loop_ran = True


async def _drop_location(response: Response) -> None:
    """Remove the target of a redirect: httpx parses it even if it is not followed."""
    response.headers.pop("location", None)
