"""ASGI applications to put behind a middleware, a client in front of it, and captured logs."""

import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.access_log import AccessLog
from app.edge.api_keys import ApiKeyStore
from app.edge.auth import HeaderCredentials
from app.edge.context import RequestContext, context_of
from app.logging import setup
from tests.support.clock import ManualClock

NO_CREDENTIALS = HeaderCredentials(ApiKeyStore((), ManualClock()))
"""Accepts no credential."""


class RecordingApp:
    """An application that answers 200 and records the requests that reach it."""

    def __init__(
        self, body: bytes = b"body", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.contexts: list[RequestContext] = []
        self.methods: list[str] = []
        self._body = body
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        self.contexts.append(context_of(scope))
        self.methods.append(scope["method"])
        headers = [*self._headers, (b"content-length", b"%d" % len(self._body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


async def request(
    app: ASGIApp,
    path: str = "/v1/orders",
    *,
    method: str = "GET",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    clock: ManualClock | None = None,
) -> httpx.Response:
    """Return the response of `app` behind the access log."""
    transport = httpx.ASGITransport(AccessLog(app, clock or ManualClock()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, headers=headers)


class LogOutput:
    """The log written so far."""

    def __init__(self, stream: io.StringIO, handler: logging.Handler) -> None:
        self._stream = stream
        self._handler = handler

    def text(self) -> str:
        """Return everything written, buffered lines included."""
        self._handler.flush()
        return self._stream.getvalue()

    def take(self) -> str:
        """Return what was written since the last call."""
        text = self.text()
        self._stream.seek(0)
        self._stream.truncate()
        return text

    def lines(self) -> list[dict[str, Any]]:
        """Return the parsed JSON of each line."""
        return [json.loads(line) for line in self.text().splitlines()]


@contextmanager
def logging_to(
    layout: Literal["auto", "json", "text"] = "json",
    *,
    level: str = "info",
    clock: ManualClock | None = None,
    stream: io.StringIO | None = None,
    secrets: Iterable[str] = (),
) -> Iterator[LogOutput]:
    """Configure logging as the program does, until the end of the block."""
    stream = stream or io.StringIO()
    logger = logging.getLogger(setup.LOGGER)
    level_before = logger.level
    handler = setup.configure(level, layout, stream, clock or ManualClock(), secrets=secrets)
    try:
        yield LogOutput(stream, handler)
    finally:
        logging.getLogger().removeHandler(handler)
        # Otherwise the test runner would capture every later line.
        logger.setLevel(level_before)


def failing(error: Callable[[], BaseException], *, after_start: bool = False) -> ASGIApp:
    """Return an application that raises, before or after its response has started."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error()

    return app
