"""Responses to HTTP/1.0 requests, which cannot have chunks."""

from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class CloseDelimited:
    """An application whose responses without Content-Length end with the connection.

    uvicorn would send them in chunks, which HTTP/1.0 does not have (RFC 9112 section 6.1).

    Args:
        app: the application.
        cycle: the request and its response.
        abort: resets the connection. Called if the application does not complete the response, so
            that the client does not take a part of it for the whole.
    """

    def __init__(self, app: Any, cycle: RequestResponseCycle, abort: Callable[[], None]) -> None:
        self._app = app
        self._cycle = cycle
        self._abort = abort

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle, is_delimited = self._cycle, False

        async def send_plain(message: Message) -> None:
            nonlocal is_delimited
            if message["type"] == "http.response.start":
                is_delimited = all(name != b"content-length" for name, _ in message["headers"])
                if is_delimited:
                    cycle.chunked_encoding = False
            elif is_delimited:
                # uvicorn compares the two for each part.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_plain)
        finally:
            if is_delimited and not cycle.response_complete:
                self._abort()
