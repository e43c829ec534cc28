"""The server: uvicorn, which looks after its connections and leaves well. Knows no route."""

import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial
from socket import socket
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp

from app.clock import Clock
from app.server.connection import ConnectionSweeper, Protocol
from app.server.limits import Limits
from app.server.shutdown import Shutdown

_TICKS_A_SECOND: Final = 10
_LAST_LOOK: Final = 0.01
"""Seconds that the loop has to read what came before the door was closed."""
_LAST_WORDS: Final = 0.5
"""Seconds that the server has to tell those it cuts off."""

_logger = logging.getLogger("orders_bff.server")


class Server(uvicorn.Server):
    """Serves until it is told to leave.

    The first SIGTERM or SIGINT begins the leaving: readiness says no; after the delay nobody more
    is let in, and what was accepted is answered, within the drain. The second ends the process.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        sweep: ConnectionSweeper,
        leaving: Shutdown,
        clock: Clock,
        raise_signal: Callable[[int], None],
    ) -> None:
        super().__init__(config)
        self._sweep = sweep
        self._leaving = leaving
        self._clock = clock
        self._raise_signal = raise_signal
        self._has_told = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal. uvicorn would raise it again at the end; who leaves when told exits 0."""
        del frame
        if self._leaving.started:
            # Whatever keeps us, it keeps us no longer: not a loop that hangs either.
            signal.signal(sig, signal.SIG_DFL)
            self._raise_signal(sig)
        self._leaving.start()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: is it time to go? And once a second, look after the connections."""
        over = await super().on_tick(counter)
        if counter % _TICKS_A_SECOND == 0:
            self._sweep(self.server_state.connections)
        if self._leaving.started:
            self._tell()
        return over or self._leaving.should_stop_accepting()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let nobody more in, answer what was accepted, and end the flights."""
        self._leaving.start()
        self._tell()
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        # What has come already is read before anyone is taken for idle.
        await self._clock.sleep(_LAST_LOOK)
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await self._empty(self._leaving.seconds_left)
        cut_off = tuple(self.server_state.tasks)
        for task in cut_off:
            task.cancel()
        until = self._clock.monotonic() + _LAST_WORDS
        await self._empty(lambda: until - self._clock.monotonic())
        for connection in tuple(self.server_state.connections):
            cast("Protocol", connection).transport.abort()
        await self.lifespan.shutdown()
        _logger.info("left", extra={"fields": {"cut_off": len(cut_off)}})

    async def _empty(self, seconds_left: Callable[[], float]) -> None:
        """Wait until nobody is here any more."""
        state = self.server_state
        while (state.connections or state.tasks) and seconds_left() > 0:
            await self._clock.sleep(min(1 / _TICKS_A_SECOND, seconds_left()))
            self._sweep(state.connections)

    def _tell(self) -> None:
        if self._has_told:
            return
        self._has_told = True
        facts = {
            "connections": len(self.server_state.connections),
            "requests": len(self.server_state.tasks),
        }
        _logger.info("leaving", extra={"fields": facts})


def open_server(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    clock: Clock,
    leaving: Shutdown,
    limits: Limits | None = None,
    trusted_proxies: Sequence[str] = (),
    raise_signal: Callable[[int], None] = signal.raise_signal,
) -> Server:
    """A server of `app`, not started yet.

    Args:
        app: the proxy.
        host: the address to listen on.
        port: 0 for any that is free.
        clock: time.
        leaving: what is told once the server leaves.
        limits: what one caller may take; the defaults where none are given.
        trusted_proxies: addresses whose X-Forwarded-For and -Proto are believed.
        raise_signal: what ends the process at the second signal.
    """
    sweep = ConnectionSweeper(limits or Limits(), clock)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=cast("Any", partial(Protocol, sweep=sweep)),
        ws="none",
        loop="auto",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        workers=1,  # unset, uvicorn would read the environment
    )
    return Server(config, sweep=sweep, leaving=leaving, clock=clock, raise_signal=raise_signal)
