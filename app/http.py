"""The one door to the HTTP client library: to change the library, change the import below."""

import asyncio
import logging
import ssl
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
"""Seconds an idle connection is kept: less than servers commonly do, so that we close first."""

_TALKATIVE = (httpx.__name__, httpx.__name__.replace("httpx", "httpcore"))
"""Loggers that tell each URL, and in it the order number that a caller chose."""


def open_client(
    base_url: str,
    *,
    max_connections: int,
    ca_file: Path | None = None,
    proxy: str | None = None,
    transport: AsyncBaseTransport | None = None,
) -> AsyncClient:
    """A client of one host: TLS verified, no redirect followed, nothing taken from the environment.

    Args:
        base_url: scheme, host and port of the upstream.
        max_connections: connections at most; callers bound their calls to the same number.
        ca_file: a private CA, beside the system's.
        proxy: the way out, if there is one.
        transport: the network; the real one where none is given.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx.AsyncClient(
        base_url=base_url,
        transport=transport or _network(max_connections, ca_file, proxy),
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": "orders-bff", "Accept-Encoding": "gzip"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        event_hooks={"response": [_forget_elsewhere]},
    )


def _network(
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


class AnswerAfterQuestion:
    """Follows one call, as its `trace` extension, and refuses an answer older than its question.

    What comes behind an answer, unasked, stays with the kept connection: the library would take
    it for the answer to the next question, and one block of the list for another. To read from
    the network is to let the loop turn; an answer without a turn was there before.

    Raises:
        RemoteProtocolError: such an answer; the library closes the connection.
    """

    def __init__(self) -> None:
        self._turned = False

    async def __call__(self, event: str, _: dict[str, Any]) -> None:
        """Told by the library when each step of the call starts and ends."""
        if event == "http11.receive_response_headers.started":
            asyncio.get_running_loop().call_soon(self._turn)
        elif event == "http11.receive_response_headers.complete" and not self._turned:
            raise RemoteProtocolError("an answer that was there before its question")

    def _turn(self) -> None:
        self._turned = True


async def _forget_elsewhere(response: Response) -> None:
    """Drop where a redirect points: httpx reads it without following, and may fail on it."""
    response.headers.pop("location", None)
