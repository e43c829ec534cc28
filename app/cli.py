"""The command line interface, in one file: commands, options, help and exit codes."""

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app import __version__
from app.clock import SystemClock
from app.commands.bundle import KEY_VARIABLE, BundleError, fetch_bundle, write_bundle
from app.commands.doctor import Check, Diagnostics, check_store
from app.commands.serve import run, serve_configured, serve_sandbox, serve_with_sandbox
from app.composition.components import create_api_key_store
from app.console import echo, echo_err, prepare_streams, write_document
from app.edge.api_keys import generate_key, key_digest
from app.logging.setup import LOGGER
from app.main import create_app
from app.sandbox.faults import KINDS, Fault
from app.sandbox.options import MAX_ORDERS, Options, UnknownOrder
from app.settings import (
    SCOPES,
    ApiKeyConfig,
    Settings,
    SettingsError,
    find_warnings,
    load,
)

_DEFAULTS = Options()
DEFAULT_URL = "http://127.0.0.1:8000"

MAX_PORT = 65_535

_SETTINGS = """Settings are ORDERS_... variables: in the environment, in .env, or in files in
ORDERS_SECRETS_DIR. .env.example describes each."""
_SERVE_NOTES = f"""Exit codes: 0 after SIGTERM or Ctrl-C, 1 if the address cannot be bound,
2 for invalid options or settings.\n\n{_SETTINGS}"""
_SANDBOX_NOTES = "Exit codes: 0 after Ctrl-C, 1 if the port cannot be bound, 2 for invalid options."
_FAULT_KINDS = "\n".join(
    f"  {name:14} {kind.description}" + (f" (VALUE: {kind.value.name})" if kind.value else "")
    for name, kind in KINDS.items()
)
_DOCTOR_NOTES = f"""Exit codes: 0 if no check found an error (warnings are possible), 1 if one did,
2 for invalid options.\n\n{_SETTINGS}"""
_OPENAPI_NOTES = "Exit codes: 0 if written or up to date, 1 if outdated, 2 for invalid options."
_BUNDLE_NOTES = f"""The API key needs the scope metrics:read. It is read from the variable
{KEY_VARIABLE}, or from a prompt in a terminal.
Exit codes: 0 if written, 1 if not, 2 for invalid options."""
_KEYS_NOTES = "Exit codes: 0 if created, 2 for invalid options."


def _parse_fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _integer(minimum: int, maximum: int, help_text: str, **options: Any) -> Any:
    """Return an option whose value is an integer in a range."""

    def parse(value: object) -> int:
        text = str(value)  # the default is a number already
        if not re.fullmatch("-?[0-9]{1,18}", text) or not minimum <= int(text) <= maximum:
            raise typer.BadParameter(f"must be an integer from {minimum} to {maximum}")
        return int(text)

    return typer.Option(parser=parse, metavar="INTEGER", help=help_text, **options)


def _parse_day(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise typer.BadParameter("must be a day, for example 2027-01-31") from None


_MAX_NUMBER = 2**31 - 1
_Orders = Annotated[int, _integer(0, MAX_ORDERS, "Number of orders.")]
_Seed = Annotated[int, _integer(-_MAX_NUMBER, _MAX_NUMBER, "Random seed of the orders.")]
_Faults = Annotated[
    list[Fault] | None,
    typer.Option(
        "--fault",
        parser=_parse_fault,
        metavar="FAULT",
        help="Fault to inject, as KIND[=VALUE][,times=N][,path=PATH]: latency=2, or"
        " status=500,times=3,path=get-orders. Repeatable. `orders-bff sandbox -h` lists the kinds.",
        show_default="none",
    ),
]


def main() -> None:
    """Run `orders-bff`."""
    prepare_streams()
    program()(prog_name="orders-bff")


def program() -> typer.Typer:
    """Return the command line interface."""
    common: dict[str, Any] = {
        # Typer's own tracebacks show local variables, which can contain the credential.
        "pretty_exceptions_enable": False,
        "no_args_is_help": True,
        "rich_markup_mode": None,
        "context_settings": {"help_option_names": ["-h", "--help"]},
    }
    commands = typer.Typer(
        name="orders-bff",
        help="A caching proxy for the order list of one GenAuth user pool.",
        epilog=_SETTINGS,
        add_completion=False,
        **common,
    )
    commands.callback()(_global_options)
    commands.command(epilog=_SERVE_NOTES)(serve)
    commands.command(epilog=f"{_SANDBOX_NOTES}\n\n\b\nKinds of faults:\n{_FAULT_KINDS}")(sandbox)
    commands.command(epilog=_DOCTOR_NOTES)(doctor)
    commands.command(epilog=_BUNDLE_NOTES)(bundle)
    commands.command(epilog=_OPENAPI_NOTES)(openapi)
    keys = typer.Typer(help="Manage API keys.", **common)
    keys.command("new", epilog=_KEYS_NOTES)(keys_new)
    commands.add_typer(keys, name="keys")
    return commands


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"orders-bff {__version__}")
        raise typer.Exit


def _global_options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None: ...


def serve(
    context: typer.Context,
    *,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on.", show_default="ORDERS_SERVER__HOST or 127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None,
        _integer(
            0,
            MAX_PORT,
            "Port to listen on; 0 for any free port.",
            show_default="ORDERS_SERVER__PORT or 8000",
        ),
    ] = None,
    with_sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox", help="Also run the embedded upstream, and use it. Needs no configuration."
        ),
    ] = False,
    orders: _Orders = _DEFAULTS.orders,
    seed: _Seed = _DEFAULTS.seed,
    faults: _Faults = None,
) -> None:
    """Run the proxy. --orders, --seed and --fault require --sandbox."""
    overrides = {"host": host, "port": port}
    server = {name: value for name, value in overrides.items() if value is not None}
    options = Options(orders=orders, seed=seed, faults=tuple(faults or ()))
    if with_sandbox:
        run(serve_with_sandbox(options, server))
    elif any(_is_given(context, name) for name in ("orders", "seed", "faults")):
        raise typer.BadParameter("--orders, --seed and --fault require --sandbox")
    else:
        run(serve_configured(server))


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def sandbox(
    *,
    port: Annotated[int, _integer(0, MAX_PORT, "Port to listen on; 0 for any free port.")] = 9090,
    orders: _Orders = _DEFAULTS.orders,
    seed: _Seed = _DEFAULTS.seed,
    token_lifetime: Annotated[
        int, _integer(1, _MAX_NUMBER, "Lifetime of a token in seconds.")
    ] = _DEFAULTS.token_lifetime_seconds,
    max_calls_per_second: Annotated[
        int, _integer(0, _MAX_NUMBER, "Respond with HTTP 429 above this rate; 0 for no limit.")
    ] = _DEFAULTS.max_calls_per_second,
    unknown_order: Annotated[
        UnknownOrder, typer.Option(help="Response for an order that does not exist.")
    ] = _DEFAULTS.unknown_order,
    faults: _Faults = None,
) -> None:
    """Run only the embedded upstream, on 127.0.0.1."""
    options = Options(
        orders=orders,
        seed=seed,
        token_lifetime_seconds=token_lifetime,
        max_calls_per_second=max_calls_per_second,
        unknown_order=unknown_order,
        faults=tuple(faults or ()),
    )
    run(serve_sandbox(options, port))


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check settings and upstream step by step, and suggest fixes."""
    # Without a handler Python prints the bare names of warnings; the checks say what is wrong.
    logging.getLogger(LOGGER).addHandler(logging.NullHandler())
    checks = asyncio.run(_run_doctor(quiet=as_json))
    ok = all(check.outcome != "error" for check in checks)
    if as_json:
        report = {"ok": ok, "checks": [asdict(check) for check in checks]}
        write_document(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    raise typer.Exit(0 if ok else 1)


def bundle(
    url: Annotated[str, typer.Option(help="Origin of the running proxy.")] = DEFAULT_URL,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write, which must not exist.",
            show_default="orders-bff-bundle-<time>.json",
        ),
    ] = None,
) -> None:
    """Write facts for a support case, without secrets and orders, to a file."""
    clock = SystemClock()
    path = output or Path(f"orders-bff-bundle-{clock.now():%Y%m%dT%H%M%SZ}.json")
    key = read_api_key(is_terminal=sys.stdin.isatty())
    raise typer.Exit(asyncio.run(_bundle(url, key, clock, path)))


async def _bundle(url: str, key: str, clock: SystemClock, path: Path) -> int:
    """Write the bundle, print the result, and return the exit code."""
    try:
        write_bundle(await fetch_bundle(url, key, clock), path)
    except BundleError as error:
        echo_err(f"No bundle: {error}")
        return 1
    echo(str(path))
    return 0


def read_api_key(*, is_terminal: bool) -> str:
    """Return the API key of the environment or of a prompt; an empty text if there is none."""
    key = os.environ.get(KEY_VARIABLE, "")
    if not key and is_terminal:
        key = typer.prompt(
            "API key (empty for none)",
            default="",
            hide_input=True,
            show_default=False,
            err=True,
        )
    return key.strip()


def openapi(
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="standard output")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the file is outdated.")
    ] = False,
) -> None:
    """Write the OpenAPI document. Needs no configuration."""
    document = create_app(Settings.for_openapi()).openapi()
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if check:
        if output is None:
            raise typer.BadParameter("--check requires --output, the file to compare with")
        if not output.is_file() or output.read_bytes() != text.encode():
            echo_err(f"{output} is outdated: run the command without --check")
            raise typer.Exit(1)
    elif output is None:
        write_document(text)
    else:
        try:
            output.write_text(text, "utf-8", newline="\n")
        except OSError as error:
            echo_err(f"Cannot write {output}: {error.strerror}")
            raise typer.Exit(1) from None


def keys_new(
    name: Annotated[str, typer.Argument(help="Name of the caller, as it appears in the log.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What the key permits: {', '.join(SCOPES)}. Repeatable.",
            show_default="orders:read",
        ),
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(
            parser=_parse_day,
            metavar="YYYY-MM-DD",
            help="Day (UTC) from whose start the key is invalid.",
            show_default="never",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="N/second|minute|hour",
            help="Requests of the caller, in place of ORDERS_CALLERS__RATE; 0 for no limit.",
            show_default="that of all callers",
        ),
    ] = None,
) -> None:
    """Create an API key, and print it once, with its configuration entry."""
    if expires and expires <= SystemClock().now():
        raise typer.BadParameter("--expires must be a day in the future")
    key = generate_key()
    try:
        entry = ApiKeyConfig.model_validate(
            {
                "name": name,
                "sha256": key_digest(key.encode()).hex(),
                "scopes": tuple(dict.fromkeys(scope or ["orders:read"])),
                "expires_at": expires,
                "rate": rate,
            }
        )
    except ValidationError:
        message = (
            f"NAME must be 1 to 64 of A-Z a-z 0-9 . _ -, SCOPE one of {', '.join(SCOPES)},"
            " and RATE a number per second, minute or hour, as 6000/minute, or 0 for no limit"
        )
        raise typer.BadParameter(message) from None
    echo("API key, shown only once, for the caller:")
    echo(f"  {key}")
    echo("Entry for ORDERS_CALLERS__API_KEYS or the API keys file:")
    echo(f"  {entry.model_dump_json(exclude_none=True)}")


async def _run_doctor(*, quiet: bool) -> list[Check]:
    checks = []
    async for check in _checks():
        checks.append(check)
        if not quiet:
            milliseconds = f"{check.seconds * 1000:.0f} ms" if check.seconds else ""
            echo(f"{check.outcome:8} {check.step:11} {milliseconds:>8}  {check.message}")
            if check.fix:
                echo(f"{'':8} {'fix':11} {'':8}  {check.fix}")
    return checks


async def _checks() -> AsyncIterator[Check]:
    fix = "see .env.example"
    clock = SystemClock()
    try:
        settings = load()
        create_api_key_store(settings, clock)
    except SettingsError as error:
        for message in error.warnings:
            yield Check("settings", "warning", message, fix)
        for message in error.messages:
            yield Check("settings", "error", message, fix)
        return
    for message in find_warnings(settings):
        yield Check("settings", "warning", message, fix)
    yield Check("settings", "ok", "valid")
    async for check in Diagnostics(settings, clock).run():
        yield check
    yield await check_store(settings, clock)
    if settings.issuers():
        # Imported only if it is used, as it takes a while.
        from app.commands.issuer_doctor import check_issuers  # noqa: PLC0415

        async for check in check_issuers(settings, clock):
            yield check
