"""The commands, in one file as in one `--help`: reads options, tells people, starts the rooms."""

import asyncio
import gc
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from uvicorn.loops.auto import auto_loop_factory

from app.clock import SystemClock
from app.doctor import Check, Diagnostics
from app.edge.auth import digest_of, generate_key
from app.logging import setup
from app.main import create_app, key_ring
from app.sandbox.options import Options, UnknownOrder
from app.sandbox.server import SandboxServer
from app.server.limits import limits_for_fd_limit
from app.server.server import open_server
from app.settings import (
    SCOPES,
    ApiKeyConfig,
    CredentialFiles,
    Settings,
    SettingsError,
    env_name,
    load,
    load_for_sandbox,
)

_DEFAULTS = Options()


def main() -> None:
    """What `orders-bff` runs."""
    program()()


def program() -> typer.Typer:
    """All commands."""
    # Typer's own tracebacks show local variables, and those can hold the credential.
    plain: dict[str, Any] = {"pretty_exceptions_enable": False, "no_args_is_help": True}
    commands = typer.Typer(
        name="orders-bff",
        help="A caching proxy for one GenAuth order list.",
        add_completion=False,
        **plain,
    )
    for command in (serve, sandbox, doctor, openapi):
        commands.command()(command)
    keys = typer.Typer(help="The callers' keys.", **plain)
    keys.command("new")(new)
    commands.add_typer(keys, name="keys")
    return commands


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 is one that is free.")] = None,
    with_sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Run the embedded upstream too, and ask that.")
    ] = False,
) -> None:
    """Run the proxy."""
    given = {"host": host, "port": port}
    server = {name: value for name, value in given.items() if value is not None}
    with _refusals():
        _run(_serve_sandbox(server) if with_sandbox else _serve_configured(server))


def sandbox(
    *,
    port: Annotated[int, typer.Option(help="Port; 0 is one that is free.")] = 9090,
    orders: Annotated[int, typer.Option(help="How many orders there are.")] = _DEFAULTS.orders,
    seed: Annotated[int, typer.Option(help="Which orders.")] = _DEFAULTS.seed,
    token_lifetime: Annotated[
        int, typer.Option(help="Seconds that a token lasts.")
    ] = _DEFAULTS.token_lifetime_seconds,
    max_calls_per_second: Annotated[
        int, typer.Option(help="More are HTTP 429; 0 is no limit.")
    ] = _DEFAULTS.max_calls_per_second,
    unknown_order: Annotated[
        UnknownOrder, typer.Option(help="How an order that does not exist is answered.")
    ] = _DEFAULTS.unknown_order,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="A fault, as latency=2 or status=500,times=3,path=get-orders."),
    ] = None,
) -> None:
    """Run only the embedded upstream, on loopback."""
    with _refusals():
        options = Options(
            orders=orders,
            seed=seed,
            token_lifetime_seconds=token_lifetime,
            max_calls_per_second=max_calls_per_second,
            unknown_order=unknown_order,
            faults=tuple(fault or ()),
        )
        _run(_sandbox(options, port))


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Check settings and upstream step by step; say what is wrong and how to mend it."""
    findings = asyncio.run(_examine(quiet=as_json))
    healthy = all(finding.outcome != "error" for finding in findings)
    if as_json:
        told = [
            {name: getattr(finding, name) for name in ("step", "outcome", "message", "fix")}
            for finding in findings
        ]
        typer.echo(json.dumps({"ok": healthy, "checks": told}, indent=2))
    raise typer.Exit(0 if healthy else 1)


def openapi(
    output: Annotated[Path | None, typer.Option(help="The file; else standard output.")] = None,
    check: Annotated[bool, typer.Option(help="Write nothing; fail if the file differs.")] = False,
) -> None:
    """Write the OpenAPI document; needs no configuration."""
    document = create_app(Settings.for_openapi()).openapi()
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if check:
        if output is None:
            raise typer.BadParameter("--check needs --output, the file to compare with")
        if not output.is_file() or output.read_text("utf-8") != text:
            typer.echo(f"{output} is not what the code says: run again without --check", err=True)
            raise typer.Exit(1)
    elif output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8", newline="\n")


def new(
    name: Annotated[str, typer.Argument(help="Who the key is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it may do: {', '.join(SCOPES)}.")
    ] = None,
) -> None:
    """Make a key: the key, this once, and the entry to configure."""
    key = generate_key()
    try:
        entry = ApiKeyConfig.model_validate(
            {
                "name": name,
                "sha256": digest_of(key.encode()).hex(),
                "scopes": tuple(dict.fromkeys(scope or ["orders:read"])),
            }
        )
    except ValidationError:
        told = f"NAME is 1 to 64 of A-Z a-z 0-9 . _ - and a scope one of {', '.join(SCOPES)}"
        raise typer.BadParameter(told) from None
    typer.echo("The key, for the caller. It is shown this once, and kept nowhere:")
    typer.echo(f"  {key}")
    typer.echo("The entry, for ORDERS_CALLERS__API_KEYS or the file of keys:")
    typer.echo(f"  {entry.model_dump_json(exclude_none=True)}")


async def _serve_sandbox(server: dict[str, Any]) -> None:
    async with SandboxServer(Options(), clock=SystemClock()) as upstream:
        made = load_for_sandbox(
            {
                "base_url": upstream.base_url,
                "access_key_id": upstream.options.access_key_id,
                "access_key_secret": upstream.options.access_key_secret,
            },
            server=server,
        )
        for variable in made.ignored:
            _warn(f"{variable} is set, and ignored: --sandbox brings its own upstream")
        await _serve(made.settings, {"sandbox": f"{upstream.base_url}/sandbox/faults"})


async def _serve_configured(server: dict[str, Any]) -> None:
    settings = load(server=server)
    await _serve(settings, credential_sources=CredentialFiles(server=server))


async def _serve(
    settings: Settings,
    more: Mapping[str, str] | None = None,
    *,
    credential_sources: CredentialFiles | None = None,
) -> None:
    clock = SystemClock()
    for line in settings.warnings():
        _warn(line)
    config = settings.server
    app = create_app(settings, clock=clock, credential_sources=credential_sources)
    if credential_sources and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, app.reload_credential)
    with _listening(config.host, config.port) as listener:
        setup.configure(settings.log.level, settings.log.format, sys.stdout, clock)
        # The embedded upstream has both ends of its connections here.
        limits = limits_for_fd_limit(
            app.limits, other_sockets=2 * settings.upstream.max_concurrency
        )
        if limits != app.limits:
            told = f"{limits.max_connections}: there may be no more open files"
            _warn(f"{env_name('server', 'max_connections')} counts as {told}")
        server = open_server(
            app,
            host=config.host,
            port=config.port,
            clock=clock,
            shutdown=app.shutdown,
            limits=limits,
            trusted_proxies=config.trusted_proxies,
        )
        pages = {"dashboard": "/dashboard"} if settings.sandbox else {}
        pages |= {"docs": "/docs"} if settings.docs.enabled else {}
        origin = config.public_url or _origin(config.host, listener.getsockname()[1])
        _say(f"orders-bff is at {origin}/")
        for name, path in (pages | {"orders": "/v1/orders", "ready": "/readyz"}).items():
            _say(f"  {name:9} {origin}{path}")
        for name, url in (more or {}).items():
            _say(f"  {name:9} {url}")
        # What is there at the start stays. Else each full collection looks at all of it again, and
        # that is a stall. What comes later is not frozen: a cycle among it would never be freed.
        gc.collect()
        gc.freeze()
        await server.serve(sockets=[listener])


async def _sandbox(options: Options, port: int) -> None:
    async with SandboxServer(options, clock=SystemClock(), port=port) as upstream:
        _say(f"The sandbox is at {upstream.base_url}; its faults at /sandbox/faults")
        _say(f"  ORDERS_UPSTREAM__BASE_URL={upstream.base_url}")
        _say(f"  ORDERS_UPSTREAM__ACCESS_KEY_ID={options.access_key_id}")
        _say(f"  ORDERS_UPSTREAM__ACCESS_KEY_SECRET={options.access_key_secret}")
        await asyncio.Event().wait()


async def _examine(*, quiet: bool) -> list[Check]:
    findings = []
    async for finding in _findings():
        findings.append(finding)
        if not quiet:
            typer.echo(f"{finding.outcome:8} {finding.step:11} {finding.message}")
            if finding.fix:
                typer.echo(f"{'':8} {'to mend':11} {finding.fix}")
    return findings


async def _findings() -> AsyncIterator[Check]:
    mend = "see .env.example"
    clock = SystemClock()
    try:
        settings = load()
        key_ring(settings, clock)
    except SettingsError as error:
        for line in error.messages:
            yield Check("settings", "error", line, mend)
        return
    for line in settings.warnings():
        yield Check("settings", "warning", line, mend)
    yield Check("settings", "ok", "they can be used")
    async for finding in Diagnostics(settings, clock).run():
        yield finding


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, or until Ctrl-C."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner, suppress(KeyboardInterrupt):
        runner.run(work)


@contextmanager
def _refusals() -> Iterator[None]:
    """What an operator has to mend is told in lines, without a traceback."""
    try:
        yield
    except SettingsError as error:
        _say("The settings cannot be used:")
        for line in error.messages:
            _say(f"  {line}")
        raise typer.Exit(2) from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        _say(f"Cannot listen: {error.strerror}")
        raise typer.Exit(1) from None


def _listening(host: str, port: int) -> socket.socket:
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    return socket.create_server((bare, port), family=family)


def _origin(host: str, port: int) -> str:
    """Where a browser on this machine finds us."""
    bare = host.strip("[]")
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bare, bare)  # noqa: S104 - it is replaced
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _warn(line: str) -> None:
    _say(f"warning: {line}")


def _say(line: str) -> None:
    """Tell a person; standard output is for results and log lines."""
    typer.echo(line, err=True)
