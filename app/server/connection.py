"""One connection: uvicorn's protocol with bounds, in one long class since uvicorn has it in one.

It reads HTTP/1.1 as RFC 9112 says and refuses what never becomes a request of ours. No timer runs
for a connection: a sweep looks at all of them once a second, so that a hit sets none. Knows no
route.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.clock import Clock
from app.server.error_responses import error_response, overloaded_app
from app.server.limits import Limits

PARSE_CHUNK_BYTES: Final = 4 * 1024
"""Bytes parsed at once: a read holds thousands of pipelined requests, and each costs far more."""

LINGER_SECONDS: Final = 2.0
"""Seconds that a caller has to hear why it was refused, before the connection is reset."""


class ConnectionSweeper:
    """Looks at every connection when it is called, which the server does once a second.

    `now` is the moment of the last look: exact enough for who waits for seconds.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self.now = clock.monotonic()

    def __call__(self, connections: set[Any]) -> None:
        self.now = self._clock.monotonic()
        for connection in tuple(connections):
            connection.look(self.now)


class Protocol(HttpToolsProtocol):
    """One connection, from the first byte to the last."""

    def __init__(self, *args: Any, sweep: ConnectionSweeper, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._has_asked = False
        self._sweep = sweep
        self._limits = sweep.limits
        self._since = sweep.now  # when the caller began to let us wait
        self._came_too_many = False
        self._in_head = True
        self._in_request = False  # some of it has come, and not all
        self._head_bytes = 0
        self._ended_a_head = False
        self._header_bytes = 0
        self._body_bytes = 0
        self._length_is_known = False
        self._unread = bytearray()
        self._answering: RequestResponseCycle | None = None
        self._refusal = ""
        self._deaf = False
        self._ended = False
        self._closing = False
        self._unsent = 0
        self._unsent_since = 0.0

    # What comes from the network

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a caller in, or end it at once where there is no room even to say no."""
        super().connection_made(transport)
        self._came_too_many = len(self.connections) > self._limits.max_connections
        if len(self.connections) > self._limits.hard_max_connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what came, a piece at a time."""
        if self._deaf:
            return
        if self._unread or len(data) > PARSE_CHUNK_BYTES:
            self._unread += data
            self._read_on()
        else:
            self._feed(data)
        if self._closing:
            self._close_when_answered()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never keeps it open
        """The caller says no more, and may still listen (RFC 9112 section 9.6)."""
        if self._in_request and not self._in_head and not self._unread:
            # Half a body is no request (section 8); half a head is not even that.
            self._refuse("bad_request")
        self._ended = True
        return self._close_when_answered()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever still answers; uvicorn tells the last alone."""
        if self._answering is not None:
            self._answering.disconnected = not self._answering.response_complete
            self._answering.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    # What comes from the parser

    def on_message_begin(self) -> None:
        """A request begins; what came with it is counted when it is parsed."""
        self._in_head = self._in_request = True
        self._head_bytes = self._header_bytes = 0
        self._since = self._sweep.now
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Keep the target; one that is too long is not worth parsing (RFC 9112 section 3)."""
        self.url += url
        if len(self.url) > self._limits.url_bytes:
            self._give_up("uri_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer comes after the question and is nobody's."""
        if self._in_head:
            name = name.lower()
            # llhttp leaves the whitespace behind a value on it (RFC 9112 section 5.1).
            value = value.rstrip(b" \t")
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self._header_bytes += len(name) + len(value)
            limits = self._limits
            if self._header_bytes > limits.header_bytes or len(self.headers) >= limits.headers:
                self._give_up("headers_too_large")
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head of a request is whole, and a question once it is understood."""
        if not self.url.startswith(b"/") or b"#" in self.url:
            self._read_target()
        super().on_headers_complete()
        self._in_head = False
        self._ended_a_head = True
        self._body_bytes = 0
        self._length_is_known = False

    def on_body(self, body: bytes) -> None:
        """Hold a body as far as one may be sent; no question needs one."""
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._give_up("request_too_large")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request has come."""
        self._in_request = False
        super().on_message_complete()

    # What comes from the server

    def on_response_complete(self) -> None:
        """Go on with what was asked behind the answered one; read again once that is little."""
        self.server_state.total_requests += 1
        self._since = self._sweep.now
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal:
            self._say_refusal()
        elif self._unread:
            self._read_on()
        if not self.pipeline and not self._unread:
            self.flow.resume_reading()
        if self._closing:
            self._close_when_answered()

    def shutdown(self) -> None:
        """Answer what has begun to come, and close."""
        self._close_when_answered()

    def look(self, now: float) -> None:
        """End what has waited too long for its caller. Times are as exact as the sweep's."""
        waited = now - self._since
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        if unsent:
            if now - self._unsent_since >= self._limits.send_timeout:
                self.transport.abort()
        elif self._deaf:
            if waited >= LINGER_SECONDS and not self._is_answering():
                self.transport.abort()
        elif self._in_request:
            # Behind others in the line it may be we who do not read.
            late = waited >= self._limits.request_timeout
            if late and not self.pipeline and not (self._in_head and self._is_answering()):
                self._refuse("request_timeout")
        elif not self._is_answering():
            # Who has never asked is given no longer than who has begun to.
            bound = self._limits.keep_alive if self._has_asked else self._limits.request_timeout
            if waited >= bound:
                self.transport.close()

    # How it is done

    def _read_on(self) -> None:
        """Parse what was read, until somebody waits in the line."""
        while self._unread and not self.pipeline and not self._deaf:
            piece = bytes(self._unread[:PARSE_CHUNK_BYTES])
            del self._unread[:PARSE_CHUNK_BYTES]
            self._feed(piece)
        if self._unread:
            self.flow.pause_reading()

    def _feed(self, data: bytes) -> None:
        self._ended_a_head = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # Not taken up, so what follows is HTTP/1.1 still (RFC 9110 section 7.8).
            self._feed(data[offer.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._refusal or "bad_request")
            return
        if not self._in_head:
            if self._in_request:
                self._judge_length()
        # A read that also holds whole requests is not the last head's alone: the next read counts.
        elif not self._ended_a_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes:
                self._refuse("headers_too_large")

    def _give_up(self, code: str) -> None:
        """Out of the parser, which would go on."""
        self._refusal = code
        raise ValueError

    def _read_target(self) -> None:
        """Make an absolute-form target what it says (RFC 9112 section 3.2.2)."""
        if self.url == b"*" and self.parser.get_method() == b"OPTIONS":
            return
        parts = urlsplit(self.url)
        plain = parts.scheme in (b"http", b"https") and parts.netloc and b"@" not in parts.netloc
        if not plain or b"#" in self.url:
            raise ValueError
        # The target's own host counts, and what the Host header says does not.
        self.headers[:] = [header for header in self.headers if header[0] != b"host"]
        self.headers.append((b"host", parts.netloc))
        self.url = (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")

    def _judge_length(self) -> None:
        """Refuse a body that says that it will be too large, before it is here."""
        if self._length_is_known:
            return
        self._length_is_known = True
        for name, value in self.headers:
            if name == b"content-length" and int(value) > self._limits.body_bytes:
                self._refuse("request_too_large")

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _refuse(self, code: str) -> None:
        """Answer with a problem once all before it is answered, and close."""
        if self._deaf or self.transport.is_closing():
            return
        self._refusal = code
        self._deaf = True
        self._unread.clear()
        own = cast("RequestResponseCycle | None", self.cycle)
        if not self._in_request or self._in_head or own is None:
            pass  # what is refused never became a question
        elif self.pipeline:
            self.pipeline.popleft()
        elif own.response_started:
            # Another answer in its midst or behind it would be taken for the next one's.
            self._refusal = ""
            own.keep_alive = False
            if own.response_complete:
                self._hang_up()
            return
        else:
            own.disconnected = True
            own.message_event.set()
            self._answering = None
        if not self._is_answering():
            self._say_refusal()

    def _say_refusal(self) -> None:
        status, headers, body = error_response(self._refusal)
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        headers = [*self.server_state.default_headers, *headers]
        lines += [name + b": " + value for name, value in headers]
        is_head = self._in_request and self.parser.get_method() == b"HEAD"
        self.transport.write(b"\r\n".join([*lines, b"", b"" if is_head else body]))
        self._hang_up()

    def _hang_up(self) -> None:
        """Say no more, and let the caller finish: a close now could reset what it has not read.

        RFC 9112 section 9.6.
        """
        self._deaf = True
        self._since = self._sweep.now
        self.transport.write_eof()
        self.flow.resume_reading()

    def _close_when_answered(self) -> bool:
        """Close once all that was asked is answered; says whether something still is to be."""
        self._closing = True
        if self._deaf:
            # It is on its way out already, and ends by itself or with the sweep.
            return self._is_answering()
        if self._unread or (self._in_request and not self._ended):
            return True
        if self._is_answering() or self.pipeline:
            self.cycle.keep_alive = False
            return True
        self.transport.close()
        return False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        self._has_asked = True
        # Who was here before is served, whoever came since.
        too_many = self._came_too_many and len(self.connections) > self._limits.max_connections
        super()._start_asgi_task(cycle, cast("Any", overloaded_app) if too_many else app)
