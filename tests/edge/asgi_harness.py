"""Layers of the door with something behind them, a client in front, and their log lines."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from app.edge.access_log import AccessLog
from app.edge.context import RequestContext, context_of
from app.logging import setup
from tests.support.clock import ManualClock


class Behind:
    """What stands behind the layer under test: answers, and remembers who came."""

    def __init__(
        self, body: bytes = b"behind", headers: tuple[tuple[bytes, bytes], ...] = ()
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


async def ask(
    layer: ASGIApp,
    path: str = "/v1/orders",
    *,
    method: str = "GET",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    clock: ManualClock | None = None,
) -> httpx.Response:
    """The answer of `layer`, with the outermost layer around it."""
    transport = httpx.ASGITransport(AccessLog(layer, clock or ManualClock()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, headers=headers)


class Lines:
    """What was written so far."""

    def __init__(self, stream: io.StringIO, handler: logging.Handler) -> None:
        self._stream = stream
        self._handler = handler

    def text(self) -> str:
        """As it stands in the stream a moment later."""
        self._handler.flush()
        return self._stream.getvalue()

    def facts(self) -> list[dict[str, Any]]:
        """One object per line."""
        return [json.loads(line) for line in self.text().splitlines()]


@contextmanager
def logging_to(
    layout: Literal["auto", "json", "text"] = "json",
    *,
    level: str = "info",
    clock: ManualClock | None = None,
    stream: io.StringIO | None = None,
) -> Iterator[Lines]:
    """Logging as the program sets it up, until the end of the block."""
    stream = stream or io.StringIO()
    ours, before = logging.getLogger(setup.LOGGER), logging.getLogger(setup.LOGGER).level
    handler = setup.configure(level, layout, stream, clock or ManualClock())
    try:
        yield Lines(stream, handler)
    finally:
        logging.getLogger().removeHandler(handler)
        # What nobody reads any more is not written: the test runner would hold each line.
        ours.setLevel(before)


def failing(error: Callable[[], BaseException], *, after_start: bool = False) -> ASGIApp:
    """An application that fails, before or after its answer has started."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error()

    return app
