"""Debian's Chromium: pages that record their errors and requests, and servers to open in them."""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Page, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.clock import SystemClock
from app.server.server import open_server
from app.server.shutdown import Shutdown
from tests.support.limits import default_limits

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
"""The last argument blocks every host but this one."""

SKIP_REASON = f"there is no {CHROMIUM}: apt-get install chromium"


def should_skip() -> bool:
    """Return whether to skip browser tests: there is no Chromium, and this is not CI."""
    return not Path(CHROMIUM).exists() and os.environ.get("CI") != "true"


@dataclass
class MonitoredPage:
    """A browser page that records what goes wrong in it.

    Attributes:
        page: the page.
        expected_statuses: error statuses that the test provokes; they are not recorded.
        errors: exceptions, console errors and warnings, CSP violations, requests to other hosts.
        requested_urls: every URL that the page requested.
    """

    page: Page
    expected_statuses: set[int] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    requested_urls: list[str] = field(default_factory=list)

    async def start_recording(self) -> None:
        """Record errors and requests from now on."""
        self.page.on("pageerror", lambda error: self._record_error(str(error)))
        self.page.on("console", self._on_console)
        await self.page.expose_function("recordError", self._record_error)
        await self.page.add_init_script(
            "addEventListener('securitypolicyviolation', e => "
            "recordError(`${e.violatedDirective}: ${e.blockedURI}`))"
        )
        self.page.on("request", self._on_request)

    def _record_error(self, text: str) -> None:
        self.errors.append(text)

    def _on_console(self, message: ConsoleMessage) -> None:
        status = re.search(r"the server responded with a status of (\d+)", message.text)
        expected = status is not None and int(status[1]) in self.expected_statuses
        if message.type in {"error", "warning"} and not expected:
            self._record_error(message.text)

    def _on_request(self, request: Request) -> None:
        # Intercepting requests would disable the browser's cache, and with it the 304s.
        self.requested_urls.append(request.url)
        if urlsplit(request.url).hostname not in {"127.0.0.1", None}:
            self._record_error(f"request to another host: {request.url}")


def strip_prefix(prefix: str, app: ASGIApp) -> ASGIApp:
    """Return `app` behind a reverse proxy that strips `prefix` and sends no X-Forwarded-Prefix."""

    async def reverse_proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(prefix), scope["path"]
            scope = dict(scope, path=scope["path"].removeprefix(prefix))
        await app(scope, receive, send)

    return reverse_proxy


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve `app` on a free port of loopback; yield its origin."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    shutdown = Shutdown(SystemClock(), drain_delay=0, drain_timeout=1)
    server = open_server(app, host=host, port=port, shutdown=shutdown, limits=default_limits())
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task
