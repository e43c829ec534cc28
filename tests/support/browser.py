"""Debian's Chromium, what a page in it asks for and complains about, and servers to visit."""

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

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
"""The last of them lets nothing leave this machine."""

MISSING = f"there is no {CHROMIUM}: apt-get install chromium"


def is_missing() -> bool:
    """Whether there is no browser, and need not be: where everything has to hold, there must."""
    return not Path(CHROMIUM).exists() and os.environ.get("CI") != "true"


@dataclass
class Visit:
    """One page, and all that it complained about.

    Chromium writes a line for each answer that is no success; those with a status in `wanted` are
    what the test is about.
    """

    page: Page
    wanted: set[int] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def watch(self) -> None:
        """Note complaints, and whatever is asked for."""
        self.page.on("pageerror", lambda error: self.complain(str(error)))
        self.page.on("console", self._heard)
        await self.page.expose_function("complain", self.complain)
        await self.page.add_init_script(
            "addEventListener('securitypolicyviolation', e => "
            "complain(`${e.violatedDirective}: ${e.blockedURI}`))"
        )
        self.page.on("request", self._noticed)

    def complain(self, text: str) -> None:
        """Note what ought not to be."""
        self.complaints.append(text)

    def _heard(self, said: ConsoleMessage) -> None:
        status = re.search(r"the server responded with a status of (\d+)", said.text)
        wanted = status is not None and int(status[1]) in self.wanted
        if said.type in {"error", "warning"} and not wanted:
            self.complain(said.text)

    def _noticed(self, request: Request) -> None:
        # Only noted: to hold requests up would switch off the browser's cache, and its 304s.
        self.asked.append(request.url)
        if urlsplit(request.url).hostname not in {"127.0.0.1", None}:
            self.complain(f"wanted {request.url}")


def under(prefix: str, app: ASGIApp) -> ASGIApp:
    """`app` behind a reverse proxy that cuts `prefix` off and tells nobody."""

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(prefix), scope["path"]
            scope = dict(scope, path=scope["path"].removeprefix(prefix))
        await app(scope, receive, send)

    return behind


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """`app` on a free port of this machine: its origin."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    clock = SystemClock()
    leaving = Shutdown(clock, delay=0, drain=1)
    server = open_server(app, host=host, port=port, clock=clock, leaving=leaving)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving
