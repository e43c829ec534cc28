"""The sandbox on a socket, in a loop that runs already. Touches no signal and no logging set-up."""

import socket
from types import TracebackType
from typing import Final, Self

import uvicorn

from app.clock import Clock
from app.sandbox.app import Sandbox, create_sandbox
from app.sandbox.connection import SandboxProtocol
from app.sandbox.options import Options

_GRACE_SECONDS: Final = 1


class SandboxServer:
    """A sandbox that answers on `host` and `port`; port 0 is one that is free.

    Stopped and started again it keeps its port, its orders and its counts.

    async with SandboxServer(Options(orders=3), clock=SystemClock()) as server:
        ...  # server.base_url
    """

    def __init__(
        self, options: Options, *, clock: Clock, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.options = options
        self.sandbox: Sandbox = create_sandbox(options, clock=clock)
        self._host, self._port = host, port
        self._running: tuple[uvicorn.Server, socket.socket] | None = None

    @property
    def base_url(self) -> str:
        """Where it answers once it is started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen; an address that is taken is an `OSError`."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family)
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
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        config.load()
        # Not `serve()`: it takes the process's signals, which belong to whoever started us.
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        self._running = server, listener

    async def stop(self) -> None:
        """Stop listening and end every connection, hanging ones too."""
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
