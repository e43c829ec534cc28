"""The server: uvicorn with a drain before it stops, and timeouts checked once a second."""

import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from socket import socket
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp

from app.clock import Clock
from app.server.connection import HttpConnection
from app.server.limits import Limits

_TICKS_PER_SECOND: Final = 10  # of uvicorn's main loop
_FINAL_READ_SECONDS: Final = 0.01
"""Time to read what arrived before the listener was closed."""
_FINAL_WRITE_SECONDS: Final = 0.5
"""Time to send the responses of the requests that are aborted."""

_logger = logging.getLogger("orders_bff.server")


class Shutdown:
    """Whether shutdown has started, and how much time is left for it.

    Shared by readiness, the server and the closing of resources.

    Args:
        clock: the source of time.
        drain_delay: seconds after the start in which connections are still accepted, so that load
            balancers notice that readiness fails.
        drain_timeout: seconds after that for accepted requests to complete.
    """

    def __init__(self, clock: Clock, *, drain_delay: float, drain_timeout: float) -> None:
        self._clock = clock
        self._delay = drain_delay
        self._timeout = drain_timeout
        self._stop_accepting_at = inf

    @property
    def started(self) -> bool:
        return self._stop_accepting_at < inf

    def start(self) -> None:
        """Start shutdown, once. Safe to call from a signal handler."""
        if not self.started:
            self._stop_accepting_at = self._clock.monotonic() + self._delay

    def should_stop_accepting(self) -> bool:
        """Return whether the drain delay is over."""
        return self._clock.monotonic() >= self._stop_accepting_at

    def seconds_left(self) -> float:
        """Return the seconds left to complete requests: before the start, the full timeout."""
        drained = max(0.0, self._clock.monotonic() - self._stop_accepting_at)
        return max(0.0, self._timeout - drained)


class Server(uvicorn.Server):
    """A server that shuts down gracefully.

    The first SIGTERM or SIGINT starts the shutdown: readiness fails; after the drain delay no
    connection is accepted, and the accepted requests have the drain timeout to complete. Then the
    process exits with 0. The second signal terminates it immediately.

    Overridden methods of uvicorn 0.54, and the reason:

    - `handle_exit`: uvicorn raises the signal again at the end, so that the exit code is not 0.
    - `on_tick`: checks timeouts, and delays the shutdown.
    - `shutdown`: reads what has arrived before connections count as idle, waits as long as
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
        self._shutdown_logged = False

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
            self._log_shutdown_started()
        return should_exit or self._shutdown.should_stop_accepting()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop accepting, complete or abort the accepted requests, and close the application."""
        self._shutdown.start()
        self._log_shutdown_started()
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self._clock.sleep(_FINAL_READ_SECONDS)
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await self._wait_until_idle(self._shutdown.seconds_left())
        aborted = tuple(self.server_state.tasks)
        for task in aborted:
            task.cancel()
        await self._wait_until_idle(_FINAL_WRITE_SECONDS)
        for connection in self._connections():
            connection.transport.abort()
        await self.lifespan.shutdown()
        _logger.info("shutdown_complete", extra={"fields": {"aborted_requests": len(aborted)}})

    async def _wait_until_idle(self, seconds: float) -> None:
        """Wait at most `seconds` until no connection and no request is left."""
        deadline = self._clock.monotonic() + seconds
        state = self.server_state
        while (state.connections or state.tasks) and self._clock.monotonic() < deadline:
            seconds_left = deadline - self._clock.monotonic()
            await self._clock.sleep(min(1 / _TICKS_PER_SECOND, seconds_left))
            self._check_timeouts()

    def _check_timeouts(self) -> None:
        now = self._clock.monotonic()
        for connection in self._connections():
            connection.check_timeouts(now)

    def _connections(self) -> tuple[HttpConnection, ...]:
        return cast("tuple[HttpConnection, ...]", tuple(self.server_state.connections))

    def _log_shutdown_started(self) -> None:
        if self._shutdown_logged:
            return
        self._shutdown_logged = True
        state = self.server_state
        fields = {"connections": len(state.connections), "requests": len(state.tasks)}
        _logger.info("shutdown_started", extra={"fields": fields})


def open_server(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    clock: Clock,
    shutdown: Shutdown,
    limits: Limits,
    trusted_proxies: Sequence[str] = (),
    raise_signal: Callable[[int], None] = signal.raise_signal,
) -> Server:
    """Return a server of `app` that has not been started; port 0 is any free one.

    Signals start `shutdown`; at the second one `raise_signal` terminates the process. The headers
    X-Forwarded-For and X-Forwarded-Proto are used if they come from `trusted_proxies`.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=cast("Any", partial(HttpConnection, limits=limits, clock=clock)),
        ws="none",
        loop="auto",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        workers=1,  # the default reads the environment
    )
    return Server(config, shutdown=shutdown, clock=clock, raise_signal=raise_signal)
