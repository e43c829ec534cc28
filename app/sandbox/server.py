"""Serves a sandbox on a socket, within a running event loop."""

import socket
from typing import Final, Self

import uvicorn

from app.clock import Clock
from app.sandbox.app import Sandbox
from app.sandbox.connection import SandboxProtocol
from app.sandbox.options import ISSUER_PATH, Options

_SHUTDOWN_SECONDS: Final = 1


class SandboxServer:
    """A sandbox that listens on 127.0.0.1; with port 0 the system chooses a free one.

    A restart keeps the port, the orders and the call counts. Signal handlers and the logging
    configuration of the process stay as they are.

    async with SandboxServer(Options(orders=3), clock=SystemClock()) as server:
        ...  # server.base_url
    """

    def __init__(self, options: Options, *, clock: Clock, port: int = 0) -> None:
        self.options = options
        self.sandbox = Sandbox(options, clock=clock)
        self._port = port
        self._running: tuple[uvicorn.Server, socket.socket] | None = None

    @property
    def base_url(self) -> str:
        """The origin; with port 0 it is known after the start."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def issuer_url(self) -> str:
        """The issuer at which people sign in."""
        return f"{self.base_url}{ISSUER_PATH}"

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: the address is in use.
        """
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.sandbox,
            http=SandboxProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        config.load()
        # Not `serve()`: it would replace the signal handlers of the process.
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        self._running = server, listener

    async def stop(self) -> None:
        """Stop listening and abort every connection, those of hanging calls included."""
        if self._running is None:
            return
        server, listener = self._running
        self._running = None
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await server.shutdown(sockets=[listener])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
