"""One HTTP/1.1 connection: uvicorn's protocol with limits, timeouts and problem responses."""

import asyncio
from enum import Enum, auto
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.clock import Clock
from app.server.error_responses import overloaded_app, serialize_error
from app.server.limits import Limits
from app.server.request_head import RequestRejected, check_framing, normalize_target

PARSE_CHUNK_BYTES: Final = 4 * 1024
"""Bytes parsed at once. One read can contain thousands of pipelined requests, and a parsed request
needs far more memory than its bytes."""

LINGER_SECONDS: Final = 2.0
"""Time for the client to read the last response and close, before the connection is reset."""


class State(Enum):
    """What a connection does with its input."""

    IDLE = auto()  # between requests
    READING_HEAD = auto()
    READING_BODY = auto()
    DONE = auto()  # ignores input; an error or nothing follows the responses that are due
    LINGERING = auto()  # has sent its last response; ignores input (RFC 9112 section 9.6)


class HttpConnection(HttpToolsProtocol):
    """One connection, from accept to close.

    `State` describes the input. Whether a response is due is independent of it, because requests
    can be pipelined and a client can half-close after its last request. Methods called by the
    transport and the parser only change state; `_finish` then decides whether to send an error or
    to close. There are no timers: the server calls `check_timeouts` once a second.

    Overridden methods of uvicorn 0.54, in the order of the class, and the reason:

    - `connection_made`: abort connections that there is not even room for an error for.
    - `connection_lost`: uvicorn informs only the request parsed last that the client disconnected;
      with pipelining, that one has not started.
    - `data_received`: parse in chunks, send a problem instead of plain text, and log no warning for
      an `Upgrade` header, which is ignored.
    - `eof_received`: keep the connection open for the responses that are due.
    - `on_message_begin`, `on_message_complete`: track the state.
    - `on_header`, `on_body`: limits.
    - `on_headers_complete`: limits, absolute-form targets, and 503 while there are too many
      connections (`limit_concurrency` would send plain text).
    - `on_response_complete`: parse what is buffered, without a keep-alive timer per response.
    - `shutdown`: respond to requests that have been received in part, too.

    It calls `_start_asgi_task`, reads `transport`, `parser`, `flow`, `connections`, `server_state`,
    `config.loaded_app`, `url` and `headers`, and sets `app`, `cycle`, `url` and `headers`. Of
    `pipeline` it pops requests: the next on the right, the one parsed last on the left. Of a
    `RequestResponseCycle` it reads `response_started` and `response_complete` and sets
    `keep_alive`, `disconnected` and `message_event`.
    """

    def __init__(self, *args: Any, limits: Limits, clock: Clock, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._clock = clock
        self._state = State.IDLE
        self._over_limit = False
        self._eof_received = False
        self._closing = False  # once the responses that are due have been sent
        self._running: RequestResponseCycle | None = None
        self._error: tuple[str, bool] | None = None  # problem code, and whether the method is HEAD
        self._buffer = bytearray()  # received and not parsed
        self._incomplete_bytes = 0  # parsed since the last head, body part or request
        self._header_bytes = 0
        self._body_bytes = 0
        self._waiting_since = clock.monotonic()  # when it began to wait for the client
        self._unsent_bytes = 0
        self._write_stalled_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._over_limit = len(self.connections) > self._limits.max_connections
        if len(self.connections) > self._limits.hard_max_connections:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._running is not None:
            self.cycle = self._running
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse `data`, or buffer it while a parsed request waits for its turn."""
        if self._is_reading():
            self._buffer += data
            self._parse_buffer()
            self._finish()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn closes it
        """Return True to keep the connection open for the responses that are due."""
        self._eof_received = self._closing = True
        self._finish()
        return not self.transport.is_closing()

    def on_message_begin(self) -> None:
        if self._state is State.DONE:
            raise RequestRejected("bad_request")  # ends the parsing; nothing is sent
        self._state = State.READING_HEAD
        self._header_bytes = self._body_bytes = 0
        self._waiting_since = self._clock.monotonic()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state is State.READING_BODY:
            return  # a trailer
        # llhttp does not remove trailing whitespace (RFC 9112 section 5.1).
        value = value.rstrip(b" \t")
        self._header_bytes += len(name) + len(value)
        too_many = len(self.headers) >= self._limits.max_headers
        if too_many or self._header_bytes > self._limits.max_header_bytes:
            raise RequestRejected("headers_too_large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.url) > self._limits.max_url_bytes:
            raise RequestRejected("uri_too_long")
        method, version = self.parser.get_method(), self.parser.get_http_version()
        upgrade = self.parser.should_upgrade()
        length = check_framing(method, version, self.headers, upgrade=upgrade)
        if length > self._limits.max_body_bytes:
            raise RequestRejected("request_too_large")
        self.url = normalize_target(method, version, self.url, self.headers)
        if self._over_limit:  # when it was accepted
            overloaded = len(self.connections) > self._limits.max_connections
            self.app = cast("Any", overloaded_app if overloaded else self.config.loaded_app)
        super().on_headers_complete()
        if b"expect" in dict(self.headers):
            # A client that gets the response first may send the body or not (RFC 9110 10.1.1).
            self.cycle.keep_alive = False
        self._state = State.READING_BODY
        self._incomplete_bytes = 0
        if not self.pipeline:
            self._running = self.cycle

    def on_body(self, body: bytes) -> None:
        self._incomplete_bytes = 0
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.max_body_bytes:
            raise RequestRejected("request_too_large")
        super().on_body(body)

    def on_message_complete(self) -> None:
        # A request after one that closes the connection is not processed (RFC 9112 section 9.6).
        self._state = State.IDLE if self.cycle.keep_alive else State.DONE
        self._incomplete_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._waiting_since = self._clock.monotonic()
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._running, app = self.pipeline.pop()
            self._start_asgi_task(self._running, app)
        self._parse_buffer()
        if not self.pipeline and not self._buffer:
            self.flow.resume_reading()
        self._finish()

    def shutdown(self) -> None:
        """Close once every request received, in whole or in part, has a response."""
        self._closing = True
        self._finish()

    def check_timeouts(self, now: float) -> None:
        """End a connection whose client has kept it waiting for too long at `now`."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent_bytes:
            self._unsent_bytes, self._write_stalled_since = unsent, now
        waited = now - self._waiting_since
        responding = self._is_responding()
        if unsent:
            if now - self._write_stalled_since >= self._limits.send_timeout:
                self.transport.abort()
        elif self._state is State.LINGERING:
            if waited >= LINGER_SECONDS:
                self.transport.abort()
        elif self._state is State.IDLE:
            new = self.cycle is None
            timeout = self._limits.request_timeout if new else self._limits.keep_alive_timeout
            if not responding and waited >= timeout:
                self.transport.close()
        elif waited >= self._limits.request_timeout:
            # While a request is queued, reading is paused: the client is not to blame.
            in_body = self._state is State.READING_BODY and not self.pipeline
            if in_body or not responding:
                self._reject("request_timeout")
                self._finish()

    def _is_reading(self) -> bool:
        return self._state not in (State.DONE, State.LINGERING)

    def _is_responding(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _parse_buffer(self) -> None:
        """Parse until a request is queued; pause reading if something remains."""
        while self._buffer and self._is_reading() and not self.pipeline:
            chunk = bytes(self._buffer[:PARSE_CHUNK_BYTES])
            del self._buffer[:PARSE_CHUNK_BYTES]
            self._incomplete_bytes += len(chunk)
            try:
                self.parser.feed_data(chunk)
            except httptools.HttpParserUpgrade as upgrade:
                # Not accepted, so HTTP/1.1 continues after the request (RFC 9110 section 7.8).
                # The request has no body, see `check_framing`.
                self._buffer[:0] = chunk[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError as error:
                if self._is_reading():
                    self._reject(getattr(error.__context__, "code", "bad_request"))
            else:
                self._check_incomplete_bytes()
        if not self._is_reading():
            self._buffer.clear()
        if self._buffer:
            self.flow.pause_reading()

    def _check_incomplete_bytes(self) -> None:
        """Bound what the parser stores of an unfinished head, chunk extension or trailer."""
        if self._state is State.READING_HEAD and len(self.url) > self._limits.max_url_bytes:
            self._reject("uri_too_long")
        elif self._incomplete_bytes > self._limits.max_head_bytes:
            self._reject("headers_too_large")

    def _reject(self, code: str) -> None:
        """Ignore further input, and let `_finish` send the problem `code`."""
        state, self._state = self._state, State.DONE
        self._buffer.clear()
        is_head = state is not State.IDLE and self.parser.get_method() == b"HEAD"
        self._error = (code, is_head)
        if state is not State.READING_BODY:
            return  # it never became a request of the application
        if self.pipeline:
            self.pipeline.popleft()
        elif self.cycle.response_started:
            # A second response would be taken for that of the next request.
            self._error = None
            self.cycle.keep_alive = False
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._running = None

    def _finish(self) -> None:
        """Send the error or close, if all responses before it have been sent."""
        if self.transport.is_closing():
            return
        if self._eof_received and self._state is State.READING_BODY and not self._buffer:
            self._reject("bad_request")  # the body cannot become complete (RFC 9112 section 8)
        responding = self._is_responding()
        if self._state is State.DONE:
            if not responding:
                self._send_error()
        elif self._closing and not self._buffer:
            if self._state is not State.IDLE and not self._eof_received:
                return  # the rest of the request follows
            if responding:
                self.cycle.keep_alive = False
            else:
                self.transport.close()

    def _send_error(self) -> None:
        """Send the error, if any, and half-close: to close now could reset what is unread."""
        if self._error is not None:
            code, is_head = self._error
            headers = self.server_state.default_headers
            self.transport.write(serialize_error(code, headers, is_head=is_head))
        if self._eof_received:
            self.transport.close()
        else:
            self._state = State.LINGERING
            self._waiting_since = self._clock.monotonic()
            self.transport.write_eof()
            self.flow.resume_reading()
