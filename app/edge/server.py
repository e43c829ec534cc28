"""The server: uvicorn, with its own answers in our words. Knows no route."""

import logging
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app import request_id
from app.edge.access_log import VARY, is_versioned
from app.edge.hosts import LARGEST_HEADERS, LONGEST_TARGET
from app.edge.problem_kinds import PROBLEM_KINDS
from app.edge.problems import MEDIA_TYPE, Problem, body_of, headers_of

LARGEST_HEAD = LARGEST_HEADERS + LONGEST_TARGET
"""Bytes of a request that we hold while its headers still come in."""

_logger = logging.getLogger("orders_bff.server")


def _answer(code: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """A problem for a request that never got as far as our own layers."""
    problem = Problem(code, PROBLEM_KINDS[code].detail)
    own = request_id.adopt_or_mint(None)
    body = body_of(problem, own)
    headers = headers_of(problem) | {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Request-Id": own,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    status = problem.kind.status
    facts = {"request_id": own, "route": "unmatched", "status": status, "problem": code}
    _logger.info("request", extra={"facts": facts})
    return status, raw, body


async def _overloaded(scope: Scope, _receive: Receive, send: Send) -> None:
    status, headers, body = _answer("overloaded")
    if is_versioned(scope["path"]):
        headers.append(VARY)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol; what it answers itself is a problem like any other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = True
        self._ended_a_head = False

    def data_received(self, data: bytes) -> None:
        """Parse what came; the parser itself would hold headers without end."""
        self._ended_a_head = False
        super().data_received(data)
        # A read that also holds whole requests is not the last head's alone: the next read counts.
        if not self._in_head or self._ended_a_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse("headers_too_large")

    def on_message_begin(self) -> None:
        """A request begins; what came with it is counted when it is parsed."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head of a request is whole."""
        self._in_head = False
        self._ended_a_head = True
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer comes after the question and is nobody's."""
        if self._in_head:
            super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the parser's words are not ours
        """Answer what is no HTTP, and close."""
        self._refuse("bad_request")

    def _unsupported_upgrade_warning(self) -> None:
        # Anyone can offer to upgrade, and some clients always do: it is not worth a line.
        return

    def _refuse(self, code: str) -> None:
        under_way = cast("RequestResponseCycle | None", self.cycle)
        if under_way is not None and not under_way.response_complete:
            # The answer to an earlier request is still to come: ours would land in its midst.
            under_way.disconnected = True
            self.transport.close()
            return
        status, headers, body = _answer(code)
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # Any other application than ours is uvicorn's own refusal: over the limit of connections.
        ours: Any = app if app is self.app else _overloaded
        super()._start_asgi_task(cycle, ours)


def server_config(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    max_connections: int,
    drain: float,
    trusted_proxies: Sequence[str] = (),
) -> uvicorn.Config:
    """How to serve `app`.

    Args:
        app: the proxy.
        host: the address to listen on.
        port: 0 for any that is free.
        max_connections: one more is answered 503, and closed.
        drain: seconds that accepted requests have to end when the server is told to, rounded up.
        trusted_proxies: addresses whose X-Forwarded-For and -Proto are believed.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        loop="auto",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        limit_concurrency=max_connections + 1,  # uvicorn refuses the one that reaches it
        timeout_graceful_shutdown=math.ceil(drain),
        workers=1,  # unset, uvicorn would read the environment
    )
