"""One HTTP call to the upstream, bounded in time and size.

The request is built from scratch: no header of an inbound request is copied into it.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from app.certificate_errors import certificate_error_of, describe_certificate_error
from app.clock import Clock
from app.http import (
    Call,
    Client,
    HTTPError,
    PoolTimeout,
    ReadError,
    RemoteProtocolError,
    StreamError,
    Timeout,
    TimeoutException,
)
from app.upstream.breaker import Admission
from app.upstream.calls import CallLog
from app.upstream.content_coding import BodyDecoder
from app.upstream.envelope import SUCCESS, Envelope, HttpResponse, parse_envelope
from app.upstream.errors import (
    DeadlineExceeded,
    StaleConnection,
    UpstreamMalformed,
    UpstreamNotFound,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.fair_share import Operation
from app.upstream.limiter import CallStart
from app.upstream.retry import Retries

T = TypeVar("T")

FAIR_TIMEOUT_RATIO = 0.5
"""Part of READ_TIMEOUT. The timeout of a call that had less says nothing about the upstream."""

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Bytes of one response body, as received and decoded: 40 KiB for each row of a list."""

MAX_CHUNKS = 20_000
"""Pieces in which a body may be received; each one costs about 20 µs."""

CHUNKS_PER_TURN = 200
"""Pieces that are read between two turns of the event loop. One read can return more of them."""

_logger = logging.getLogger("orders_bff.upstream")


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What all calls of one request send, apart from the credential.

    The repr shows neither parameters nor the body, which may contain a credential.

    Attributes:
        deadline: on the monotonic clock; the response is complete by then.
        operation: what the call is for.
        body: sent as JSON, by POST; None for a GET.
        not_found: the error to raise if the requested object does not exist.
        known_digest: the digest of data that need not be decoded again.
    """

    path: str
    deadline: float
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    operation: Operation = Operation.LIST
    body: Mapping[str, str] | None = field(default=None, repr=False)
    not_found: type[UpstreamNotFound] | None = None
    known_digest: bytes | None = None


def operation_of(path: str) -> str:
    """Return the name of the endpoint with that path, as in logs and `/v1/status`."""
    return path.rpartition("/")[2]


class Transport:
    """Sends calls and reads their responses.

    Args:
        open_client: called once now, and again whenever the client has to be replaced.
        admission: gives each call a slot, or rejects it.
        calls: where each call is recorded.
        clock: the only source of time.
        new_retries: returns the retries of one request, given its deadline and operation.
        connect_timeout: seconds to connect.
        read_timeout: seconds between two reads of a response.
        lost_call_timeout: seconds after which a call counts as lost; far more than it may take.
    """

    def __init__(
        self,
        open_client: Callable[[], Client],
        admission: Admission,
        calls: CallLog,
        clock: Clock,
        *,
        new_retries: Callable[[float, Operation], Retries],
        connect_timeout: float,
        read_timeout: float,
        lost_call_timeout: float,
    ) -> None:
        self._open_client = open_client
        self._client = open_client()
        self._closing: set[asyncio.Task[None]] = set()
        self._admission = admission
        self._calls = calls
        self._clock = clock
        self.new_retries = new_retries
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._lost_call_timeout = lost_call_timeout

    async def send(
        self,
        request: UpstreamRequest,
        parse: Callable[[Envelope], T],
        auth_headers: Mapping[str, str] | None = None,
    ) -> T:
        """Make one call and return what `parse` returns for the envelope of its response.

        Raises:
            UpstreamError: the call failed, or `parse` raised it; the subclass is the cause.
        """
        subject = request.params.get("orderNo", "")
        async with self._admission.slot(request.deadline, request.operation, subject) as start:
            state = self._admission.state(request.operation)
            with self._calls.recording(operation_of(request.path), state) as record:
                headers = {**(auth_headers or {}), **record.trace_headers}
                response = await self._exchange(request, headers, start)
                envelope = parse_envelope(
                    response,
                    self._clock.now(),
                    not_found=request.not_found,
                    known_digest=request.known_digest,
                )
                record.request_id = envelope.request_id
                record.status_code = SUCCESS
                return parse(envelope)

    async def get_raw(self, path: str, *, deadline: float) -> HttpResponse:
        """Return the response to GET `path`, whether or not it has an envelope."""
        async with self._admission.slot(deadline) as start:
            return await self._exchange(UpstreamRequest(path, deadline), None, start)

    async def aclose(self) -> None:
        """Close all connections."""
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._client.aclose()

    async def _exchange(
        self, request: UpstreamRequest, auth_headers: Mapping[str, str] | None, start: CallStart
    ) -> HttpResponse:
        def on_send() -> None:
            start.at = self._clock.monotonic()

        on_send()  # for now: the connection may have to be opened first
        time_left = request.deadline - start.at
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
        call = Call(on_send, lambda: request.deadline - self._clock.monotonic())
        try:
            return await self._receive(client, request, auth_headers, timeout, call)
        # The causes are dropped: the library's errors may quote the request and its credential.
        except PoolTimeout:
            self._replace_client(client, "pool_timeout")
            raise DeadlineExceeded("no connection was free in time") from None
        except (TimeoutException, UpstreamTimeout):
            if read_timeout < self._read_timeout * FAIR_TIMEOUT_RATIO:
                raise DeadlineExceeded("too little time was left for the call") from None
            raise UpstreamTimeout("the upstream did not respond in time") from None
        except (HTTPError, StreamError, ssl.SSLError) as error:
            was_closed = isinstance(error, (RemoteProtocolError, ReadError))
            if call.is_reused and was_closed and not call.head_complete:
                raise StaleConnection(
                    "an idle connection was closed before it was used again"
                ) from None
            refused = certificate_error_of(error)
            if refused:
                raise UpstreamUnreachable(
                    f"the certificate of the upstream is not trusted:"
                    f" {describe_certificate_error(refused)}"
                ) from None
            name = type(error).__name__
            raise UpstreamUnreachable(f"the connection to the upstream failed ({name})") from None
        finally:
            watchdog.cancel()

    async def _receive(
        self,
        client: Client,
        request: UpstreamRequest,
        auth_headers: Mapping[str, str] | None,
        timeout: Timeout,
        call: Call,
    ) -> HttpResponse:
        async with client.stream(
            "GET" if request.body is None else "POST",
            request.path,
            params=request.params,
            headers=auth_headers,
            json=request.body,
            timeout=timeout,
            call=call,
        ) as response:
            body = await read_body(
                response.aiter_raw(),
                response.headers.get("content-encoding", ""),
                self._clock,
                deadline=request.deadline,
                on_chunk=call.on_body,
            )
            return HttpResponse(response.status_code, response.headers, body)

    def _replace_client(self, client: Client, reason: str) -> None:
        """Use a new client from now on; close this one when its other calls must have ended.

        A client has as many connections as calls may be in flight. One that has none free, or
        whose call does not return in spite of all timeouts, would serve fewer and fewer calls until
        the process restarts.
        """
        if client is not self._client:
            return
        _logger.warning("http_client_replaced", extra={"fields": {"reason": reason}})
        self._client = self._open_client()
        closing = asyncio.create_task(self._close_later(client))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_later(self, client: Client) -> None:
        try:
            await self._clock.sleep(self._lost_call_timeout)
        finally:
            await client.aclose()


async def read_body(
    chunks: AsyncIterator[bytes],
    content_encoding: str,
    clock: Clock,
    *,
    deadline: float,
    on_chunk: Callable[[], None] = lambda: None,
) -> bytes:
    """Return a response body, decoded; call `on_chunk` for each piece that was received.

    Raises:
        UpstreamMalformed: over `MAX_BODY_BYTES` or `MAX_CHUNKS`, or it cannot be decoded.
        UpstreamTimeout: the deadline passed between two chunks.
        UpstreamUnreachable: an encoded body that is incomplete.
    """
    decoder = BodyDecoder(content_encoding, MAX_BODY_BYTES)
    body = bytearray()
    count = 0
    async for chunk in chunks:
        on_chunk()
        count += 1
        if clock.monotonic() >= deadline:
            raise UpstreamTimeout("the response was not complete in time")
        if count > MAX_CHUNKS:
            raise UpstreamMalformed("the response has too many chunks")
        if count % CHUNKS_PER_TURN == 0:
            await asyncio.sleep(0)
        body += decoder.decode(chunk)
    if not decoder.is_complete():
        raise UpstreamUnreachable("the response is incomplete")
    return bytes(body)
