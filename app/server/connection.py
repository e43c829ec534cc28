"""One HTTP/1.1 connection: uvicorn's protocol is one class, so its limits and timeouts are, too."""

import asyncio
import socket
import struct
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.clock import Clock
from app.server.close_delimited import CloseDelimited
from app.server.limits import Limits
from app.server.replay import ConnectionReplay, Replay
from app.server.request_head import RequestRejected, check_framing, normalize_target
from app.server.response_cycle import ResponseCycle
from app.server.shutdown import Shutdown

RECEIVE_BUFFER_BYTES: Final = 32 * 1024
"""Size of the socket's receive buffer, and so of what one read returns. Linux doubles it."""

PIECE_BYTES: Final = 4 * 1024
"""Bytes parsed at once: so much more than its limit can be stored of a head or body."""

MAX_BODY_PARTS: Final = 2000
"""Parts in which a chunked body may be parsed: they end with a chunk, a read or an empty line."""

LINGER_SECONDS: Final = 2.0
"""Time for the client to read the last response and close, before the connection is reset."""

_END_OF_HEAD: Final = b"\r\n\r\n"


class State(Enum):
    """What a connection does with its input."""

    IDLE = auto()  # between requests
    READING_HEAD = auto()
    READING_BODY = auto()
    DONE = auto()  # ignores input; the response to the last request is due
    LINGERING = auto()  # has sent its last response; ignores input (RFC 9112 section 9.6)


# Without the descriptors of the enumeration, which each request would call.
_IDLE, _READING_HEAD, _READING_BODY, _DONE, _LINGERING = State


class HttpConnection(HttpToolsProtocol):
    """One connection, from accept to close.

    One request at a time is parsed and answered. What follows it stays in a buffer and then in the
    socket, and is parsed once the response is complete. uvicorn would parse it and queue it.

    `State` describes the input. Whether a response is due is independent of it, because a response
    can be complete before the body of its request, and a client can half-close after its last
    request. There are no timers: the server calls `check_timeouts` once a second.

    Overridden methods of uvicorn 0.54, in the order of the class, and the reason:

    - `connection_made`: abort connections that there is not even room for an error for, and bound
      the receive buffer.
    - `data_received`: parse one request at a time, send a problem instead of plain text, and log no
      warning for an `Upgrade` header, which is ignored. A head that was answered before may need
      no parsing (`app.server.replay`).
    - `eof_received`: keep the connection open for the response that is due.
    - `on_message_begin`, `on_message_complete`: track the state.
    - `on_header`, `on_body`: limits.
    - `on_headers_complete`: limits, framing, absolute-form targets, 503 while there are too many
      connections (`limit_concurrency` would send plain text), and a `ResponseCycle`, which costs
      less than uvicorn's.
    - `_start_asgi_task`: half-close after the last response, and no chunks for HTTP/1.0.
    - `on_response_complete`: parse what is buffered, without a keep-alive timer per response.
    - `shutdown`: only announce it; the server closes idle connections later.

    It reads `app`, `transport`, `parser`, `flow`, `connections`, `server_state`, `client`, `url`,
    `headers`, `expect_100_continue`, `access_log` and the loggers, and sets `parser`, `cycle`,
    `scope`, `url` and `headers`. Of a `RequestResponseCycle` it reads `response_started` and
    `response_complete` and sets `transport`, `on_response`, `keep_alive`, `more_body`,
    `disconnected` and `message_event`.
    """

    def __init__(
        self,
        *args: Any,
        limits: Limits,
        clock: Clock,
        shutdown: Shutdown,
        replay: Replay | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._clock = clock
        self._shutdown = shutdown
        self._shared_replay = replay
        self._replay: ConnectionReplay | None = None
        self._has_responded = False
        self._state = _IDLE
        self._over_limit = False
        self._eof_received = False
        self._is_last = False  # whether the request being read closes the connection
        self._buffer = bytearray()  # received and not parsed
        self._parsed_end = b""  # at most the last 3 bytes parsed
        self._incomplete_bytes = 0  # parsed since the last head, body part or request
        self._header_bytes = 0
        self._content_length = 0
        self._body_bytes = 0
        self._body_parts = 0
        self._waiting_since = clock.monotonic()  # when it began to wait for the client
        self._unsent_bytes = 0
        self._write_stalled_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if self._shared_replay is not None:
            self._replay = self._shared_replay.for_peer(self.client[0] if self.client else "")
        self._over_limit = len(self.connections) > self._limits.max_connections
        if len(self.connections) > self._limits.hard_max_connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse `data`, or buffer it until the response in progress is complete."""
        replay = None
        # What is read next is the start of a request, and the response to it may be written.
        if (
            self._state is _IDLE
            and (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]
            and not (
                self._buffer
                or self._incomplete_bytes
                or self._over_limit
                or self._shutdown.started
                or self.flow.write_paused
            )
        ):
            replay = self._replay
        if replay is not None:
            now = self._clock.monotonic()
            response = replay.response(data, now, self.server_state.default_headers)
            if response is not None:
                self.transport.write(response)
                self.server_state.total_requests += 1
                self._waiting_since = now
                self._has_responded = True
                return
        if self._is_reading():
            self._buffer += data
            self._parse_buffer()
            if replay is not None and self._is_last_in_buffer():
                replay.record(data, self.cycle)
            self._finish()

    def _is_last_in_buffer(self) -> bool:
        """Return whether exactly one request has been read, and another one may follow it."""
        return self._state is State.IDLE and not self._buffer and self._is_responding()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn closes it
        """Return True to keep the connection open for the response that is due."""
        self._eof_received = True
        if self._state is _LINGERING:
            self.transport.close()
        self._finish()
        return not self.transport.is_closing()

    def on_message_begin(self) -> None:
        if self._is_responding():
            raise RequestRejected("bad_request")  # never within one piece, see `_take_piece`
        self._state = _READING_HEAD
        self._header_bytes = self._content_length = self._body_bytes = self._body_parts = 0
        self._waiting_since = self._clock.monotonic()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state is _READING_BODY:
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
        self._content_length = check_framing(method, version, self.headers, upgrade=upgrade)
        if self._content_length > self._limits.max_body_bytes:
            raise RequestRejected("request_too_large")
        self.url = normalize_target(method, version, self.url, self.headers)
        if self._over_limit and len(self.connections) > self._limits.max_connections:
            raise RequestRejected("overloaded")
        self._start_request(method, version)
        # A client that gets the response before it has sent the body it announced with Expect may
        # send it or not (RFC 9110 section 10.1.1).
        self._is_last = not self.cycle.keep_alive or b"expect" in dict(self.headers)
        self.cycle.keep_alive = not self._is_last
        self._state = _READING_BODY
        self._incomplete_bytes = 0

    def _start_request(self, method: bytes, version: str) -> None:
        """Have the application respond to the request whose head is in `scope` and `url`."""
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = target.path
        self.scope["query_string"] = target.query or b""
        self.cycle = ResponseCycle(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            version != "1.0" and self.parser.should_keep_alive(),
            self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        self._incomplete_bytes = 0
        self._body_bytes += len(body)
        self._body_parts += self._content_length == 0
        if self._body_bytes > self._limits.max_body_bytes or self._body_parts > MAX_BODY_PARTS:
            raise RequestRejected("request_too_large")
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_last and not self.parser.should_keep_alive():
            # `Connection: close` in a trailer (RFC 9110 section 6.5.1). llhttp parses nothing more.
            raise RequestRejected("bad_request")
        # A request after one that closes the connection is not processed (RFC 9112 section 9.6).
        self._state = _DONE if self._is_last else _IDLE
        self._incomplete_bytes = 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        transport = self.transport
        if cycle.scope["http_version"] == "1.0":
            app = CloseDelimited(app, cycle, self.abort)
        cycle.transport = cast(
            "asyncio.Transport",
            SimpleNamespace(
                write=transport.write, is_closing=transport.is_closing, close=self._half_close
            ),
        )
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._waiting_since = self._clock.monotonic()
        if self.transport.is_closing():
            return
        if self._buffer:
            self._parse_buffer()
        if not self._buffer:
            self.flow.resume_reading()
        self._finish()

    def shutdown(self) -> None:
        """Announce in the next response that it is the last one, if shutdown has started."""
        self._finish()

    def close_if_idle(self, since: float) -> None:
        """Close if it has been idle since `since`, counted from the start of the shutdown."""
        is_idle = self._state is _IDLE and not self._is_responding()
        if is_idle and max(self._waiting_since, self._shutdown.started_at) <= since:
            self.transport.close()

    def abort(self) -> None:
        """Close now. The client of an incomplete response sees a reset, not the end of it."""
        if self._is_responding() or self.transport.get_write_buffer_size():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def check_timeouts(self, now: float) -> None:
        """End a connection whose client has kept it waiting for too long at `now`."""
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent_bytes:
            self._unsent_bytes, self._write_stalled_since = unsent, now
        waited = now - self._waiting_since
        if unsent:
            if now - self._write_stalled_since >= self._limits.send_timeout:
                self.abort()
        elif self._state is _LINGERING:
            if waited >= LINGER_SECONDS:
                self.abort()
        elif self._state is _IDLE:
            new = self.cycle is None and not self._has_responded
            timeout = self._limits.request_timeout if new else self._limits.keep_alive_timeout
            if not self._is_responding() and waited >= timeout:
                self.transport.close()
        elif self._is_reading() and waited >= self._limits.request_timeout:
            self._reject("request_timeout")

    def _is_reading(self) -> bool:
        return self._state not in (_DONE, _LINGERING)

    def _is_responding(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _parse_buffer(self) -> None:
        """Parse until the end of a request; pause reading if something remains."""
        while self._buffer and (self._state is _READING_BODY or not self._is_responding()):
            piece = self._take_piece()
            self._incomplete_bytes += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                # Not accepted, so HTTP/1.1 continues after the request (RFC 9110 section 7.8),
                # which has no body and so ends with its head, see `check_framing`.
                self.parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError as error:
                self._reject(getattr(error.__context__, "code", "bad_request"))
            else:
                if self._incomplete_bytes:
                    self._check_incomplete_bytes()
            if not self._is_reading():
                self._buffer.clear()
        if self._buffer:
            self.flow.pause_reading()

    def _take_piece(self) -> bytes:
        """Remove and return the bytes to parse next. Nothing follows the end of a request in them.

        A head and a chunked body end with an empty line, another body at its length. Empty lines
        before a request are one piece (RFC 9112 section 2.2).
        """
        left = self._content_length - self._body_bytes
        start = self._buffer[:PIECE_BYTES]
        if self._state is _READING_BODY and left > 0:
            size, self._parsed_end = min(left, PIECE_BYTES), b""
        elif self._state is _IDLE and start[0] in b"\r\n":
            size, self._parsed_end = len(start) - len(start.lstrip(b"\r\n")), b""
        else:
            window = self._parsed_end + start
            end = window.find(_END_OF_HEAD)
            if end < 0:
                size, self._parsed_end = PIECE_BYTES, window[-len(_END_OF_HEAD) + 1 :]
            else:
                size = end + len(_END_OF_HEAD) - len(self._parsed_end)
                self._parsed_end = b""
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def _check_incomplete_bytes(self) -> None:
        """Bound what the parser stores of an unfinished head, chunk extension or trailer."""
        if self._state is _READING_HEAD and len(self.url) > self._limits.max_url_bytes:
            self._reject("uri_too_long")
        elif self._incomplete_bytes > self._limits.max_head_bytes:
            self._reject("headers_too_large")

    def _reject(self, code: str) -> None:
        """Ignore further input, and respond with the problem `code` unless a response exists."""
        if self._state is _IDLE:
            super().on_message_begin()
        elif self._state is _READING_BODY:
            if self.cycle.response_complete:
                self._half_close()
                return
            # A second response would be taken for that of the next request.
            if self.cycle.response_started:
                self._state = _DONE
                self.cycle.keep_alive = False
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._state = _DONE
        self._respond_with_problem(code)

    def _respond_with_problem(self, code: str) -> None:
        """Have the application respond, with what is known of the request in the scope."""
        has_method = self.url != b""  # it is parsed before
        self.url = self.url if self.url.startswith(b"/") else b"/"
        self.scope = {**self.scope, "problem": code}  # type: ignore[typeddict-unknown-key]
        self.cycle = cast("RequestResponseCycle", None)
        self._start_request(self.parser.get_method(), self.parser.get_http_version())
        self.cycle.keep_alive = self.cycle.more_body = False
        if not has_method:
            self.scope["method"] = ""

    def _finish(self) -> None:
        """Announce the end of the connection in the response in progress, or close if it is due."""
        ends = self._eof_received or self._shutdown.started
        if not ends or self.transport.is_closing():
            return
        if self._eof_received and self._state is _READING_BODY and not self._buffer:
            self._reject("bad_request")  # the body cannot become complete (RFC 9112 section 8)
        elif self._is_responding():
            if not self.cycle.response_started and not self._is_last:
                # Responses to what is in the buffer follow, so this one is not the last.
                self.cycle.keep_alive = bool(self._buffer)
        elif self._eof_received and not self._buffer:
            self.transport.close()

    def _half_close(self) -> None:
        """Close after the client has read the response: to close now could reset what is unread."""
        if self.transport.is_closing() or self._state is _LINGERING:
            return
        if self._eof_received:
            self.transport.close()
        else:
            self._state = _LINGERING
            self._waiting_since = self._clock.monotonic()
            self._buffer.clear()
            try:
                self.transport.write_eof()
            except OSError:  # the client has reset the connection
                self.transport.abort()
            self.flow.resume_reading()
