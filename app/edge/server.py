"""The server: uvicorn, with its own answers in our words. Knows no route."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app import request_id
from app.edge.problem_kinds import PROBLEM_KINDS
from app.edge.problems import MEDIA_TYPE, Problem, body_of, headers_of


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
    return PROBLEM_KINDS[code].status, raw, body


async def _overloaded(_scope: Scope, _receive: Receive, send: Send) -> None:
    status, headers, body = _answer("overloaded")
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol; what it answers itself is a problem like any other."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the parser's words are not ours
        """Answer what is no HTTP, and close."""
        status, headers, body = _answer("bad_request")
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
        max_connections: one more is answered 503.
        drain: seconds that accepted requests have to end when the server is told to.
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
        limit_concurrency=max_connections,
        timeout_graceful_shutdown=max(1, round(drain)),
    )
