"""Where settings are read: options, then the environment, `.env` and secret files.

An earlier source has precedence. No other module reads the environment.

pydantic-settings' `EnvSettingsSource` turns variables into groups of values. Its sources for `.env`
and secret files are not used: the first expands `${…}` in values; the second reads every file in
the directory, skips links that lead out of it, and fails at the first file that it cannot read.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource

from app.settings.errors import PREFIX, SettingsError, env_name, example_values, format_errors
from app.settings.models import Settings
from app.settings.types import is_loopback

SECRETS_DIR = "ORDERS_SECRETS_DIR"
DOTENV = Path(".env")

_UPSTREAM_ADDRESS_FIELDS = (
    "allow_http", "base_url", "access_key_id", "access_key_secret", "pool_id", "ca_file", "proxy",
)  # fmt: skip


def load(
    environ: Mapping[str, str] | None = None, *, dotenv: Path = DOTENV, **options: Any
) -> Settings:
    """Return the settings of this process.

    Args:
        environ: the environment; by default that of the process.
        dotenv: the `.env` file, which need not exist.
        options: values with precedence over all variables, as `server={"port": 9000}`.

    Raises:
        SettingsError: with every error there is.
    """
    return _validate(_read(environ, dotenv), options)


def load_for_sandbox(
    upstream: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    *,
    dotenv: Path = DOTENV,
    **options: Any,
) -> Settings:
    """Return the settings of this process with the embedded upstream instead of the configured one.

    On a loopback address callers have every scope without a key; elsewhere they need one as usual.
    `upstream` has `base_url`, `access_key_id` and `access_key_secret` of the embedded upstream. The
    other arguments are those of `load`.

    Raises:
        SettingsError: with every error there is.
    """
    read = _read(environ, dotenv)
    replaced = dict.fromkeys(_UPSTREAM_ADDRESS_FIELDS) | {"allow_http": False} | dict(upstream)
    ignored = [name for name in _UPSTREAM_ADDRESS_FIELDS if name in read.values["upstream"]]
    options["upstream"] = options.get("upstream", {}) | replaced
    options["ignored"] = tuple(env_name("upstream", name) for name in ignored)
    server = read.values["server"] | options.get("server", {})
    if is_loopback(server.get("host", "127.0.0.1")):
        options["callers"] = options.get("callers", {}) | {"anonymous": True}
        options["sandbox"] = True
    return _validate(read, options)


class CredentialFiles:
    """The sources of the upstream credential, for reading it again while the proxy runs.

    The arguments are those of `load`. `paths` are the files in `ORDERS_SECRETS_DIR` that have the
    credential; they need not exist.
    """

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, dotenv: Path = DOTENV, **options: Any
    ) -> None:
        self._load = partial(load, environ, dotenv=dotenv, **options)
        directory = _read(environ, dotenv).secrets_dir
        names = (env_name("upstream", name) for name in ("access_key_id", "access_key_secret"))
        self.paths = tuple(directory / name for name in names) if directory else ()

    def read(self) -> tuple[SecretStr, SecretStr]:
        """Return access key id and secret as a start would read them now.

        Raises:
            SettingsError: the settings are invalid now.
        """
        upstream = self._load().upstream
        return upstream.access_key_id, upstream.access_key_secret


@dataclass(frozen=True, slots=True)
class _Read:
    """The values by group, the directory of secret files, and the errors of the sources."""

    values: dict[str, Any]
    secrets_dir: Path | None
    errors: list[str]


def _read(environ: Mapping[str, str] | None, dotenv: Path) -> _Read:
    environ = os.environ if environ is None else environ
    errors: list[str] = []
    from_dotenv = _read_dotenv(dotenv, errors)
    named = environ.get(SECRETS_DIR) or from_dotenv.get(SECRETS_DIR)
    secrets_dir = Path(named) if named else None
    from_files = _read_secret_files(secrets_dir, errors) if secrets_dir else {}
    variables: dict[str, str] = {}
    for source in (from_files, from_dotenv, environ):
        # An empty variable is not set, so it does not replace that of another source.
        variables |= {name: text for name in source if (text := (source[name] or "").strip())}
    return _Read(_by_group(variables), secrets_dir, errors)


def _read_dotenv(path: Path, errors: list[str]) -> Mapping[str, str | None]:
    try:
        return dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError):
        errors.append(f"{path.name}: cannot be read. Example: see .env.example")
        return {}


def _read_secret_files(directory: Path, errors: list[str]) -> Mapping[str, str]:
    if not directory.is_dir():
        errors.append(f"{SECRETS_DIR}: must name a directory. Example: {SECRETS_DIR}=/run/secrets")
        return {}
    texts = {}
    for path in sorted(directory.glob(f"{PREFIX}*")):
        try:
            texts[path.name] = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            errors.append(f"{path.name}: its file in {SECRETS_DIR} cannot be read")
    return texts


def _by_group(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the values by group: `ORDERS_CACHE__TTL` becomes `{"cache": {"ttl": …}}`.

    A group is there if none of its variables is set, too. Names that are neither a setting nor in a
    group are left out: Kubernetes injects `ORDERS_PORT` and the like for a service called `orders`.
    """
    known = example_values(Settings)
    prefixes = tuple(env_name(group, "") for group in Settings.group_names())
    source = EnvSettingsSource(Settings)
    source.env_vars = {
        name.lower(): text
        for name, text in variables.items()
        if name == name.upper() and (name in known or name.startswith(prefixes))
    }
    return {group: {} for group in Settings.group_names()} | source()


def _validate(read: _Read, options: Mapping[str, Any]) -> Settings:
    values = read.values | {
        name: read.values[name] | value if isinstance(value, dict) else value
        for name, value in options.items()
    }
    try:
        settings = Settings(**values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        messages = format_errors(details, example_values(Settings))
        raise SettingsError([*read.errors, *messages]) from None
    if read.errors:
        raise SettingsError(read.errors)
    return settings
