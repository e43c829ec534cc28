"""Where settings come from: option, environment, `.env`, secret files, in this order.

Nobody else reads the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from app.settings.errors import PREFIX, SettingsError, env_name, example_values, format_errors
from app.settings.models import Settings
from app.settings.types import is_loopback

SECRETS_DIR = "ORDERS_SECRETS_DIR"
DOTENV = Path(".env")

_WHERE_THE_UPSTREAM_IS = (
    "allow_http", "base_url", "access_key_id", "access_key_secret", "pool_id", "ca_file", "proxy",
)  # fmt: skip


Origin = dict[str, Any]
"""What one origin says: every group, each with the knobs that are set there."""


def _sorted(variables: Mapping[str, str | None]) -> Origin:
    """Variables by name, sorted into groups. An empty one is absent."""
    origin: Origin = {group: {} for group in Settings.group_names()}
    for name, value in variables.items():
        text = (value or "").strip()
        if not text or name != name.upper() or not name.startswith(PREFIX):
            continue
        group, nested, knob = name.removeprefix(PREFIX).lower().partition("__")
        if nested and group in origin:
            origin[group][knob] = text
        elif group == "name" and not nested:
            origin["name"] = text
    return origin


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Settings for `serve --sandbox`, and the variables that were set and are ignored."""

    settings: Settings
    ignored: tuple[str, ...]


def load(
    environ: Mapping[str, str] | None = None, *, dotenv: Path = DOTENV, **options: Any
) -> Settings:
    """The settings of this process.

    Args:
        environ: the environment; the process's own where none is given.
        dotenv: a file of variables, which need not exist.
        options: groups that beat every variable, as `server={"port": 9000}`.

    Raises:
        SettingsError: with every fault there is.
    """
    faults: list[str] = []
    return _judge(options, _origins(environ, dotenv, faults), faults)


def load_for_sandbox(
    upstream: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    *,
    dotenv: Path = DOTENV,
    **options: Any,
) -> SandboxSettings:
    """The settings of this process, with the embedded upstream in place of the configured one.

    Bound to loopback, callers without a key have every scope; elsewhere nothing is given away.

    Args:
        upstream: `base_url`, `access_key_id` and `access_key_secret` of the embedded upstream.
        environ: as for `load`.
        dotenv: as for `load`.
        options: as for `load`.

    Raises:
        SettingsError: with every fault there is.
    """
    faults: list[str] = []
    origins = _origins(environ, dotenv, faults)
    replaced = dict.fromkeys(_WHERE_THE_UPSTREAM_IS) | {"allow_http": False} | dict(upstream)
    options["upstream"] = options.get("upstream", {}) | replaced
    hosts = (origin.get("server", {}).get("host") for origin in (options, *origins))
    if is_loopback(next(filter(None, hosts), "127.0.0.1")):
        options["callers"] = options.get("callers", {}) | {"anonymous": True}
        options["sandbox"] = True
    return SandboxSettings(
        settings=_judge(options, origins, faults),
        ignored=tuple(
            env_name("upstream", knob)
            for knob in _WHERE_THE_UPSTREAM_IS
            if any(knob in origin["upstream"] for origin in origins)
        ),
    )


def secrets_dir(environ: Mapping[str, str] | None = None, *, dotenv: Path = DOTENV) -> Path | None:
    """The folder of secret files, if one is set. Arguments as for `load`."""
    environ = os.environ if environ is None else environ
    named = environ.get(SECRETS_DIR) or _dotenv(dotenv, []).get(SECRETS_DIR)
    return Path(named) if named else None


def _judge(options: dict[str, Any], origins: list[Origin], faults: list[str]) -> Settings:
    sources = tuple(InitSettingsSource(Settings, origin) for origin in (options, *origins))
    try:
        settings = Settings(_build_sources=(sources, {}))
    except ValidationError as error:
        told = format_errors(
            error.errors(include_url=False, include_input=False), example_values(Settings)
        )
        raise SettingsError([*faults, *told]) from None
    if faults:
        raise SettingsError(faults)
    return settings


def _origins(environ: Mapping[str, str] | None, dotenv: Path, faults: list[str]) -> list[Origin]:
    """Every origin of variables, the strongest first; what cannot be read is added to `faults`."""
    environ = os.environ if environ is None else environ
    filed = _dotenv(dotenv, faults)
    folder = secrets_dir(environ, dotenv=dotenv)
    files = _secret_files(folder, faults) if folder else {}
    return [_sorted(environ), _sorted(filed), _sorted(files)]


def _dotenv(path: Path, faults: list[str]) -> dict[str, str | None]:
    try:
        # No interpolation: a `$` in a secret is a `$`.
        return dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError):
        faults.append(f"{path.name}: cannot be read. Example: see .env.example")
        return {}


def _secret_files(folder: Path, faults: list[str]) -> dict[str, str]:
    if not folder.is_dir():
        faults.append(f"{SECRETS_DIR}: should name a folder. Example: {SECRETS_DIR}=/run/secrets")
        return {}
    values = {}
    for path in sorted(folder.glob(f"{PREFIX}*")):
        try:
            values[path.name] = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            faults.append(f"{path.name}: its file in {SECRETS_DIR} cannot be read")
    return values
