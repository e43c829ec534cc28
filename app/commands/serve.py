"""Runs the proxy or the sandbox: settings, sockets, log setup, messages and exit codes at start."""

import asyncio
import gc
import logging
import platform
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import typer
from uvicorn.loops.auto import auto_loop_factory

from app import __version__
from app.clock import SystemClock
from app.console import echo_err
from app.logging import setup, uncaught
from app.main import App, create_app
from app.sandbox.options import CLIENT_ID, CLIENT_SECRET, ROLE, Options
from app.sandbox.server import SandboxServer
from app.server.limits import limits_for_fd_limit, metrics_limits
from app.server.server import SideServer, open_server
from app.settings import (
    SCOPES,
    CredentialFiles,
    Settings,
    SettingsError,
    env_name,
    find_warnings,
    load,
    load_for_sandbox,
    public_settings,
    secret_values,
)

_logger = logging.getLogger("orders_bff.server")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run `coroutine` until it ends, or until Ctrl-C."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner, suppress(KeyboardInterrupt):
        runner.run(coroutine)


async def serve_with_sandbox(options: Options, server: dict[str, Any]) -> None:
    """Run the proxy with an embedded upstream.

    The `server` settings have precedence over those of all other sources.
    """
    async with _sandbox_server(options, port=0) as upstream:
        with _configuration_errors():
            settings = load_for_sandbox(
                {
                    "base_url": upstream.base_url,
                    "access_key_id": options.access_key_id,
                    "access_key_secret": options.access_key_secret,
                },
                login=_sandbox_login(upstream.issuer_url),
                server=server,
            )
        await _serve(settings, sandbox_url=f"{upstream.base_url}/sandbox/faults")


def _sandbox_login(issuer: str) -> dict[str, Any]:
    """Return the settings of sign-in at the embedded issuer; a restart ends all sessions."""
    grant = {"issuer": issuer, "claim": "roles", "value": ROLE, "scopes": SCOPES}
    return {
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "cookie_secrets": [secrets.token_urlsafe(32)],
        "grants": [grant],
    }


async def serve_configured(server: dict[str, Any]) -> None:
    """Run the proxy with the configured upstream; `server` as for `serve_with_sandbox`."""
    with _configuration_errors():
        settings = load(server=server)
        credential_files = CredentialFiles()
    await _serve(settings, credential_files=credential_files)


async def _serve(
    settings: Settings,
    *,
    sandbox_url: str | None = None,
    credential_files: CredentialFiles | None = None,
) -> None:
    clock = SystemClock()
    for message in find_warnings(settings):
        _warn(message)
    config = settings.server
    with _configuration_errors():
        app = create_app(settings, clock=clock, credential_files=credential_files)
    if credential_files and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, app.reload_credential)
    with _bind(config.host, config.port) as listener, _bind_metrics(settings) as metrics_listener:
        setup.configure(
            settings.log.level,
            settings.log.format,
            sys.stdout,
            clock,
            secrets=secret_values(settings),
        )
        uncaught.install()
        # With the embedded upstream, both ends of its connections are in this process.
        other_sockets = 2 * settings.upstream.max_concurrency
        if metrics_listener:
            other_sockets += metrics_limits(app.limits).hard_max_connections + 1
        limits = limits_for_fd_limit(app.limits, other_sockets=other_sockets)
        if limits != app.limits:
            variable = env_name("server", "max_connections")
            _warn(f"{variable} is reduced to {limits.max_connections} by the limit of open files")
        server = open_server(
            app,
            host=config.host,
            port=config.port,
            shutdown=app.shutdown,
            limits=limits,
            replay=app.replay,
        )
        # From here on a signal is a shutdown, also before the server has started.
        with server.capture_signals():
            _print_urls(settings, listener.getsockname()[1], sandbox_url, metrics_listener)
            # Objects that exist now live until exit. Frozen, they are not scanned by each full
            # collection, which would stall all requests. Later objects are still collected. A
            # collection now would take as long, and find next to nothing.
            gc.freeze()
            _log_start(settings)
            async with _serving_metrics(app, metrics_listener):
                await server.serve(sockets=[listener])


def _log_start(settings: Settings) -> None:
    fields = {
        "version": __version__,
        "python": platform.python_version(),
        "settings": public_settings(settings),
    }
    _logger.info("server_starting", extra={"fields": fields})


@asynccontextmanager
async def _serving_metrics(app: App, listener: socket.socket | None) -> AsyncIterator[None]:
    """Serve metrics on a listener of their own, until the end of the shutdown of the proxy."""
    if listener is None:
        yield
        return
    host, port = listener.getsockname()[:2]
    server = open_server(
        app.metrics,
        host=host,
        port=port,
        shutdown=app.shutdown,
        limits=metrics_limits(app.limits),
        server_class=SideServer,
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        app.shutdown.start()  # also if the proxy has not started
        await serving


def _print_urls(
    settings: Settings,
    port: int,
    sandbox_url: str | None,
    metrics_listener: socket.socket | None,
) -> None:
    origin = settings.server.public_url or local_origin(settings.server.host, port)
    metrics_url = None
    if metrics_listener:
        metrics_url = f"{local_origin(*metrics_listener.getsockname()[:2])}/metrics"
    echo_err(f"orders-bff is running at {origin}/")
    urls = {
        "dashboard": f"{origin}/dashboard" if settings.dashboard.enabled else None,
        "sign-in": f"{origin}/auth/login" if settings.login.issuer else None,
        "docs": f"{origin}/docs" if settings.docs.enabled else None,
        "orders": f"{origin}/v1/orders",
        "readiness": f"{origin}/readyz",
        "metrics": metrics_url,
        "sandbox": sandbox_url,
    }
    for name, url in urls.items():
        if url:
            echo_err(f"  {name:9} {url}")


async def serve_sandbox(options: Options, port: int) -> None:
    """Run only the embedded upstream."""
    async with _sandbox_server(options, port) as server:
        echo_err(f"The sandbox is running at {server.base_url}")
        echo_err(f"  faults    {server.base_url}/sandbox/faults")
        echo_err("To use it as the upstream, set:")
        echo_err(f"  ORDERS_UPSTREAM__BASE_URL={server.base_url}")
        echo_err(f"  ORDERS_UPSTREAM__ACCESS_KEY_ID={options.access_key_id}")
        echo_err(f"  ORDERS_UPSTREAM__ACCESS_KEY_SECRET={options.access_key_secret}")
        await asyncio.Event().wait()


@asynccontextmanager
async def _sandbox_server(options: Options, port: int) -> AsyncIterator[SandboxServer]:
    server = SandboxServer(options, clock=SystemClock(), port=port)
    with _bind_errors("127.0.0.1", port):
        await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextmanager
def _configuration_errors() -> Iterator[None]:
    """Print the warnings and messages of a `SettingsError`, and exit with 2."""
    try:
        yield
    except SettingsError as error:
        for warning in error.warnings:
            _warn(warning)
        echo_err("Invalid configuration:")
        for message in error.messages:
            echo_err(f"  {message}")
        raise typer.Exit(2) from None


@contextmanager
def _bind_errors(host: str, port: int) -> Iterator[None]:
    """Print an `OSError` raised on binding a socket, and exit with 1."""
    try:
        yield
    except OSError as error:
        # `socket.create_server` appends the address in its own form.
        reason = str(error.strerror).partition(" (while ")[0]
        echo_err(f"Cannot listen on {_authority(host, port)}: {reason}")
        raise typer.Exit(1) from None


def _bind(host: str, port: int) -> socket.socket:
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with _bind_errors(host, port):
        return socket.create_server((address, port), family=family)


@contextmanager
def _bind_metrics(settings: Settings) -> Iterator[socket.socket | None]:
    """Yield the listener for metrics, None if none is configured."""
    if settings.metrics.listen is None:
        yield None
        return
    with _bind(*settings.metrics.listen) as listener:
        yield listener


def local_origin(host: str, port: int) -> str:
    """Return the origin that a browser on this machine can open."""
    address = host.strip("[]")
    any_address = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound to
    address = any_address.get(address, address)
    return f"http://{_authority(address, port)}"


def _authority(host: str, port: int) -> str:
    address = host.strip("[]")
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _warn(message: str) -> None:
    echo_err(f"warning: {message}")
