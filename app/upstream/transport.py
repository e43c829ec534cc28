"""One HTTP call to the upstream, bounded in time and size.

The request is built from scratch: no header of an inbound request is copied into it.
"""

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.clock import Clock
from app.http import (
    AsyncClient,
    DesyncGuard,
    HTTPError,
    PoolTimeout,
    ReadError,
    RemoteProtocolError,
    StreamError,
    Timeout,
    TimeoutException,
)
from app.upstream.admission import Admission
from app.upstream.envelope import Envelope, HttpResponse, parse_envelope
from app.upstream.errors import (
    DeadlineExceeded,
    StaleConnection,
    UpstreamError,
    UpstreamMalformed,
    UpstreamNotFound,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.rate import CallStart
from app.upstream.retry import Retries, RetryPolicy

FAIR_TIMEOUT_RATIO = 0.5
"""Part of READ_TIMEOUT: if our deadline left a call less, its timeout says nothing about the
upstream."""

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Bytes of one response body, decoded."""

_GZIP = 16 + zlib.MAX_WBITS

_logger = logging.getLogger("orders_bff.upstream")


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What one call sends. Contains a credential, so its repr shows only method and path."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, str] | None = field(default=None, repr=False)


class Transport:
    """Sends calls and reads their responses.

    Args:
        open_client: opens an HTTP client.
        admission: gives each call a slot, or rejects it.
        retry_policy: when to repeat a call.
        clock: the only source of time.
        connect_timeout: seconds to connect.
        read_timeout: seconds between two reads of a response.
        lost_call_timeout: seconds after which a call counts as lost; far more than it may take.
    """

    def __init__(
        self,
        open_client: Callable[[], AsyncClient],
        admission: Admission,
        retry_policy: RetryPolicy,
        clock: Clock,
        *,
        connect_timeout: float,
        read_timeout: float,
        lost_call_timeout: float,
    ) -> None:
        self._open_client = open_client
        self._client = open_client()
        self._closing: set[asyncio.Task[None]] = set()
        self._admission = admission
        self._retry_policy = retry_policy
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._lost_call_timeout = lost_call_timeout

    def new_retries(self, deadline: float) -> Retries:
        """Return the retries of one request, whose first attempt goes out now."""
        return Retries(self._retry_policy, deadline)

    async def send(
        self,
        request: UpstreamRequest,
        *,
        deadline: float,
        not_found: type[UpstreamNotFound] | None = None,
    ) -> Envelope:
        """Make one call and return the envelope of its response.

        Args:
            request: what is sent.
            deadline: on the monotonic clock; the response is complete by then.
            not_found: the error to raise if the requested object does not exist.

        Raises:
            UpstreamError: the call failed; the subclass is the cause.
        """
        async with self._admission.slot(deadline) as start:
            response = await self._exchange(request, start, deadline)
            return parse_envelope(response, self._clock.now(), not_found=not_found)

    async def get_raw(self, path: str, *, deadline: float) -> HttpResponse:
        """Return the response to GET `path`, whether or not it has an envelope."""
        async with self._admission.slot(deadline) as start:
            return await self._exchange(UpstreamRequest("GET", path), start, deadline)

    async def aclose(self) -> None:
        """Close all connections."""
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._client.aclose()

    async def _exchange(
        self, request: UpstreamRequest, start: CallStart, deadline: float
    ) -> HttpResponse:
        start.at = self._clock.monotonic()
        time_left = deadline - start.at
        if time_left <= 0:
            raise DeadlineExceeded("no time was left for the call")
        # The call ends by its own timeouts and is never cancelled: a cancelled call can leave its
        # slot in the connection pool taken (encode/httpcore#1093).
        read_timeout = min(self._read_timeout, time_left)
        timeout = Timeout(
            connect=min(self._connect_timeout, time_left),
            read=read_timeout,
            write=read_timeout,
            pool=time_left,
        )
        client = self._client
        lost = partial(self._replace_client, client, "lost_call")
        watchdog = self._clock.call_later(self._lost_call_timeout, lost)
        trace = _CallTrace(start, self._clock)
        try:
            async with client.stream(
                request.method,
                request.path,
                params=request.params,
                headers=request.headers,
                json=request.body,
                timeout=timeout,
                extensions={"trace": trace},
            ) as response:
                trace.has_response = True
                coding = response.headers.get("content-encoding", "").strip().lower()
                body = await read_body(response.aiter_raw(), coding, self._clock, deadline=deadline)
                return HttpResponse(response.status_code, response.headers, body)
        # The causes are dropped: the library's errors may quote the request and its credential.
        except PoolTimeout:
            self._replace_client(client, "pool_timeout")
            raise DeadlineExceeded("no connection was free in time") from None
        except (TimeoutException, UpstreamTimeout):
            raise self._timeout_error(read_timeout) from None
        except (HTTPError, StreamError, ssl.SSLError) as error:
            raise trace.to_error(error) from None
        finally:
            watchdog.cancel()

    def _timeout_error(self, read_timeout: float) -> UpstreamTimeout:
        if read_timeout < self._read_timeout * FAIR_TIMEOUT_RATIO:
            return DeadlineExceeded("too little time was left for the call")
        return UpstreamTimeout("the upstream did not respond in time")

    def _replace_client(self, client: AsyncClient, reason: str) -> None:
        """Use a new client from now on; close this one when its other calls must have ended.

        A client has as many connections as calls may be in flight. One that has none free, or
        whose call does not return (headers that arrive one byte at a time evade every timeout),
        would serve fewer and fewer calls until the process restarts.
        """
        if client is not self._client:
            return
        _logger.warning("http_client_replaced", extra={"fields": {"reason": reason}})
        self._client = self._open_client()
        closing = asyncio.create_task(self._close_later(client))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_later(self, client: AsyncClient) -> None:
        try:
            await self._clock.sleep(self._lost_call_timeout)
        finally:
            await client.aclose()


class _CallTrace(DesyncGuard):
    """Follows one call: when its request was sent, and whether its connection was reused."""

    def __init__(self, start: CallStart, clock: Clock) -> None:
        super().__init__()
        self._start = start
        self._clock = clock
        self._is_reused: bool | None = None
        self.has_response = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Receive an event of the HTTP library; the first one of a new connection is to connect."""
        if self._is_reused is None:
            self._is_reused = not event.startswith("connection.")
        if event.endswith("send_request_headers.started"):
            self._start.at = self._clock.monotonic()
        await super().__call__(event, info)

    def to_error(self, error: Exception) -> UpstreamError:
        """Return our error for the library's `error` that ended the call."""
        was_closed = isinstance(error, (RemoteProtocolError, ReadError)) and not self.has_response
        if self._is_reused and was_closed:
            return StaleConnection("an idle connection was closed before it was used again")
        return UpstreamUnreachable(
            f"the connection to the upstream failed ({type(error).__name__})"
        )


async def read_body(
    chunks: AsyncIterator[bytes], coding: str, clock: Clock, *, deadline: float
) -> bytes:
    """Return a response body, decoded.

    Args:
        chunks: the body as received.
        coding: its Content-Encoding, in lower case.
        clock: the only source of time.
        deadline: on the monotonic clock.

    Raises:
        UpstreamMalformed: over `MAX_BODY_BYTES`, not valid gzip, or in another content coding.
        UpstreamTimeout: the deadline passed between two chunks.
        UpstreamUnreachable: a gzip body that is incomplete.
    """
    if coding not in ("", "identity", "gzip"):
        raise UpstreamMalformed("the response has a content coding that was not accepted")
    decoder = zlib.decompressobj(_GZIP) if coding == "gzip" else None
    body = bytearray()
    received_any = False
    async for chunk in chunks:
        received_any = True
        if clock.monotonic() >= deadline:
            raise UpstreamTimeout("the response was not complete in time")
        # Decode no more than may be kept: a small chunk can expand to a thousand times its size.
        body += _decode(decoder, chunk, MAX_BODY_BYTES + 1 - len(body)) if decoder else chunk
        if decoder and decoder.unused_data:
            raise UpstreamMalformed("the response has data after the end of its gzip stream")
        if len(body) > MAX_BODY_BYTES:
            raise UpstreamMalformed("the response is larger than 8 MiB")
    if decoder and received_any and not decoder.eof:
        raise UpstreamUnreachable("the response is incomplete")
    return bytes(body)


def _decode(decoder: "zlib._Decompress", chunk: bytes, max_length: int) -> bytes:
    try:
        return decoder.decompress(chunk, max_length)
    except zlib.error:
        raise UpstreamMalformed("the response is not valid gzip") from None
