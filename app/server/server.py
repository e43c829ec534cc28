"""The server: uvicorn with a drain before it stops, and timeouts checked once a second."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from socket import socket
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp

from app.clock import Clock
from app.server.connection import HttpConnection
from app.server.limits import Limits
from app.server.replay import Replay
from app.server.shutdown import Shutdown

_TICKS_PER_SECOND: Final = 10  # of uvicorn's main loop
IDLE_CLOSE_SECONDS: Final = 1.0
"""Time for a client to use an idle connection once more after the shutdown has started. The
response then announces that the connection closes; closed without it, a request could be lost."""
_FINAL_READ_SECONDS: Final = 0.01
"""Time for the event loop to set up the connections that were accepted last."""
_FINAL_WRITE_SECONDS: Final = 0.5
"""Time to send the responses of the requests that are aborted."""

_logger = logging.getLogger("orders_bff.server")


class Server(uvicorn.Server):
    """A server that shuts down gracefully.

    The first SIGTERM or SIGINT starts the shutdown: readiness fails, and each response closes its
    connection. After the drain delay no connection is accepted, connections that stay idle are
    closed, and the accepted requests have the drain timeout to complete. Then the process exits
    with 0. The second signal terminates it immediately.

    Overridden methods of uvicorn 0.54, and the reason:

    - `handle_exit`: uvicorn raises the signal again at the end, so that the exit code is not 0.
    - `on_tick`: checks timeouts, and delays the shutdown.
    - `shutdown`: accepts the connections that wait, closes idle ones last, waits as long as
      `Shutdown` says on an injected clock, and waits for the responses of aborted requests.

    It reads `servers`, `lifespan` and `server_state`.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        shutdown: Shutdown,
        clock: Clock,
        raise_signal: Callable[[int], None],
    ) -> None:
        super().__init__(config)
        self._shutdown = shutdown
        self._clock = clock
        self._raise_signal = raise_signal
        self._shutdown_announced = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the shutdown, or terminate the process if it has started."""
        del frame
        if self._shutdown.started:
            # With the default action, this also ends an event loop that hangs.
            signal.signal(sig, signal.SIG_DFL)
            self._raise_signal(sig)
        self._shutdown.start()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop accepting connections; called ten times a second."""
        should_exit = await super().on_tick(counter)
        if counter % _TICKS_PER_SECOND == 0:
            self._check_timeouts()
        if self._shutdown.started:
            self._announce_shutdown()
        return should_exit or self._shutdown.should_stop_accepting()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop accepting, complete or abort the accepted requests, and close the application."""
        self._shutdown.start()
        self._announce_shutdown()
        # Closing a listener resets the connections in its queue.
        accepted = [
            connection for listener in sockets or () for connection in _accept_all(listener)
        ]
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        loop = asyncio.get_running_loop()
        for waiting in accepted:
            await loop.connect_accepted_socket(self._create_connection, waiting)
        await self._clock.sleep(_FINAL_READ_SECONDS)
        await self._wait_until_closed(self._shutdown.seconds_left())
        for connection in self._connections():
            connection.close_if_idle(self._clock.monotonic())
        aborted = tuple(self.server_state.tasks)
        for task in aborted:
            task.cancel()
        await self._wait_until_closed(_FINAL_WRITE_SECONDS)
        for connection in self._connections():
            connection.abort()
        await self.lifespan.shutdown()
        self._log("shutdown_complete", aborted_requests=len(aborted))

    def _create_connection(self) -> HttpConnection:
        """Return the protocol of a new connection, as uvicorn does for those that it accepts."""
        create = cast("Callable[..., HttpConnection]", self.config.http_protocol_class)
        state = self.lifespan.state
        return create(config=self.config, server_state=self.server_state, app_state=state)

    async def _wait_until_closed(self, seconds: float) -> None:
        """Wait at most `seconds` until no connection and no request is left; close idle ones."""
        deadline = self._clock.monotonic() + seconds
        state = self.server_state
        while (state.connections or state.tasks) and self._clock.monotonic() < deadline:
            seconds_left = deadline - self._clock.monotonic()
            await self._clock.sleep(min(1 / _TICKS_PER_SECOND, seconds_left))
            self._check_timeouts()
            # The event loop reads what has arrived meanwhile: such a connection is not idle.
            await asyncio.sleep(0)
            for connection in self._connections():
                connection.close_if_idle(self._clock.monotonic() - IDLE_CLOSE_SECONDS)

    def _check_timeouts(self) -> None:
        now = self._clock.monotonic()
        for connection in self._connections():
            connection.check_timeouts(now)

    def _connections(self) -> tuple[HttpConnection, ...]:
        return cast("tuple[HttpConnection, ...]", tuple(self.server_state.connections))

    def _announce_shutdown(self) -> None:
        if self._shutdown_announced:
            return
        self._shutdown_announced = True
        for connection in self._connections():
            connection.shutdown()
        state = self.server_state
        self._log("shutdown_started", connections=len(state.connections), requests=len(state.tasks))

    def _log(self, event: str, **fields: int) -> None:
        _logger.info(event, extra={"fields": fields})


class SideServer(Server):
    """A server of another application beside the main one, which it starts and ends with.

    It leaves signals to the main one (`capture_signals` of uvicorn), and logs no shutdown.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def _log(self, event: str, **fields: int) -> None:
        pass


def _accept_all(listener: socket) -> Iterator[socket]:
    """Yield the connections that wait in the queue of a listener that does not block."""
    with suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


def open_server(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    shutdown: Shutdown,
    limits: Limits,
    replay: Replay | None = None,
    raise_signal: Callable[[int], None] = signal.raise_signal,
    server_class: type[Server] = Server,
) -> Server:
    """Return a server of `app` that has not been started; port 0 is any free one.

    Signals start `shutdown`; at the second one `raise_signal` terminates the process. With
    `SideServer` the application gets no lifespan events. With `replay`, repeated request heads are
    answered from it. The time is that of `shutdown`, which is the application's.
    """
    clock = shutdown.clock
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=cast(
            "Any",
            partial(HttpConnection, limits=limits, clock=clock, shutdown=shutdown, replay=replay),
        ),
        ws="none",
        loop="auto",
        lifespan="off" if server_class is SideServer else "on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # see app/edge/client_address.py
        workers=1,  # the default reads the environment
    )
    return server_class(config, shutdown=shutdown, clock=clock, raise_signal=raise_signal)
