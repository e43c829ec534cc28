"""Loads the settings: reads all sources, validates, and reports all errors together.

Options have precedence over the environment, that over `.env`, that over secret files.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from app.settings.checks import find_conflicts
from app.settings.errors import ErrorFormatter, SettingsError, Variable, env_name, example_values
from app.settings.files import READ_TIMEOUT
from app.settings.models import Login, Settings, Upstream
from app.settings.names import Names
from app.settings.sources import SECRETS_DIR, SourceReader
from app.settings.types import is_loopback

DOTENV = Path(".env")
SANDBOX_CURRENCY = "CNY"
"""Of the invented orders, unless one is configured."""

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
    return _Loader(environ, dotenv).validate(options)


def load_for_sandbox(
    upstream: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    *,
    dotenv: Path = DOTENV,
    login: Mapping[str, Any] | None = None,
    **options: Any,
) -> Settings:
    """Return the settings of this process with the embedded upstream instead of the configured one.

    The currency is CNY and the dashboard is enabled, unless that is configured. On a loopback
    address callers have every scope without a key, and people can sign in at the embedded issuer;
    elsewhere callers need a credential as usual. The issuer is not used with a `PUBLIC_URL` of
    another machine, which could not reach it.

    Args:
        upstream: `base_url`, `access_key_id` and `access_key_secret` of the embedded upstream.
        environ: as for `load`, like the other arguments.
        dotenv: see there.
        login: the settings of the embedded issuer: all of the group `login`, and `grants`.
        options: see there.

    Raises:
        SettingsError: with every error there is.
    """
    loader = _Loader(environ, dotenv)
    currency = loader.values["upstream"].get("currency") or SANDBOX_CURRENCY
    replaced = dict.fromkeys(_UPSTREAM_ADDRESS_FIELDS) | {"allow_http": False} | dict(upstream)
    loader.ignore("upstream", replaced, "--sandbox uses the embedded upstream")
    options["upstream"] = {"currency": currency} | options.get("upstream", {}) | replaced
    options["dashboard"] = {"enabled": True} | loader.values["dashboard"]
    server = loader.values["server"] | options.get("server", {})
    if is_loopback(server.get("host", "127.0.0.1")):
        loader.ignore("callers", ("anonymous",), "--sandbox grants every scope without a key")
        options["callers"] = options.get("callers", {}) | {"anonymous": True}
        options["sandbox"] = True
        public_host = urlsplit(server.get("public_url") or "http://localhost").hostname or ""
        if login is not None and is_loopback(public_host):
            reason = "--sandbox uses the embedded issuer"
            loader.ignore("login", Login.model_fields, reason)
            loader.ignore("callers", ("grants",), reason)
            options["login"] = {name: login[name] for name in login.keys() - {"grants"}}
            options["callers"] |= {"grants": login["grants"]}
    return loader.validate(options)


class CredentialFiles:
    """The sources of the upstream credential, for reading it again while the proxy runs.

    The arguments are those of `load`. `paths` are the files in `ORDERS_SECRETS_DIR` that have the
    credential; they need not exist.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, *, dotenv: Path = DOTENV) -> None:
        self._load = partial(_Loader, environ, dotenv, timeout=None)
        directory = _Loader(environ, dotenv).secrets_dir
        names = (env_name("upstream", name) for name in ("access_key_id", "access_key_secret"))
        self.paths = tuple(directory / name for name in names) if directory else ()

    def read(self) -> tuple[SecretStr, SecretStr]:
        """Return access key id and secret as a start would read them now.

        A hung mount blocks it. Other settings are not validated: they take effect at a start only.

        Raises:
            SettingsError: the credential cannot be read, or is invalid.
        """
        upstream = self._load().validate_credential()
        return upstream.access_key_id, upstream.access_key_secret


class _Loader:
    """The variables of all sources, and what is wrong with the sources.

    Attributes:
        values: the texts of the variables by group.
        secrets_dir: the directory of secret files.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None,
        dotenv: Path,
        *,
        timeout: float | None = READ_TIMEOUT,
    ) -> None:
        reader = SourceReader(_names(), timeout)
        self._variables = reader.read(os.environ if environ is None else environ, dotenv)
        self._source_errors = reader.errors
        self._warnings = reader.warnings
        self.secrets_dir = reader.secrets_dir
        self.values = _by_group({name: text for name, (text, _) in self._variables.items()})

    def ignore(self, group: str, fields: Collection[str], reason: str) -> None:
        """Remove the variables of some fields, with a warning for each that is set."""
        for field in fields:
            self.values[group].pop(field, None)
            name = env_name(group, field)
            if variable := self._variables.pop(name, None):
                self._warnings.append(f"{name} ({variable.origin}) is ignored: {reason}")

    def validate(self, options: Mapping[str, Any]) -> Settings:
        """Return the settings.

        Raises:
            SettingsError: with every error of the sources, of single settings, and of combinations.
        """
        groups = {
            name: self.values[name] | options.get(name, {}) for name in Settings.group_names()
        }
        values = self.values | dict(options) | groups | {"source_warnings": tuple(self._warnings)}
        formatter = self._formatter(options)
        messages = [message for _, message in self._source_errors]
        invalid = {name for name, _ in self._source_errors}
        try:
            settings = Settings(**values)
        except ValidationError as error:
            details = error.errors(include_url=False)
            messages += self._format(details, formatter)
            invalid |= {env_name(*map(str, each["loc"][:2])) for each in details}
            # The combinations of the other settings are checked, too.
            settings = Settings(**_without(values, invalid))
        messages += [
            formatter.format(conflict.variables[0], conflict.message)
            for conflict in find_conflicts(settings)
            if invalid.isdisjoint(conflict.variables)
        ]
        if messages:
            raise SettingsError(tuple(dict.fromkeys(messages)), self._warnings) from None
        return settings

    def validate_credential(self) -> Upstream:
        """Return the access key in a group of settings that are defaults otherwise.

        Raises:
            SettingsError: it is invalid, or one of its sources cannot be read.
        """
        fields = ("access_key_id", "access_key_secret")
        names = {SECRETS_DIR, DOTENV.name, *(env_name("upstream", field) for field in fields)}
        messages = [message for name, message in self._source_errors if name in names]
        values = {name: self.values["upstream"].get(name) for name in fields}
        try:
            upstream = Upstream.model_validate({k: v for k, v in values.items() if v is not None})
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in details:
                detail["loc"] = ("upstream", *detail["loc"])
            messages += self._format(details, self._formatter({}))
        if messages:
            raise SettingsError(messages) from None
        return upstream

    def _format(self, details: list[ErrorDetails], formatter: ErrorFormatter) -> Iterator[str]:
        """Yield the messages; what could not be read is not reported as missing."""
        unread = {name for name, _ in self._source_errors}
        for detail in details:
            if detail["type"] != "missing" or env_name(*map(str, detail["loc"])) not in unread:
                yield formatter.format_validation_error(detail)

    def _formatter(self, options: Mapping[str, Any]) -> ErrorFormatter:
        given = {
            env_name(group, name): Variable(str(value), "command line")
            for group, values in options.items()
            if isinstance(values, dict)
            for name, value in values.items()
        }
        return ErrorFormatter(Settings, self._variables | given)


@cache
def _names() -> Names:
    groups = [env_name(group, "") for group in Settings.group_names()]
    return Names((*example_values(Settings), SECRETS_DIR), groups)


def _by_group(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the texts by group: `ORDERS_CACHE__TTL` becomes `{"cache": {"ttl": …}}`.

    A group is there if none of its variables is set, too.
    """
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): text for name, text in texts.items()}
    return {group: {} for group in Settings.group_names()} | source()


def _without(values: Mapping[str, Any], invalid: Collection[str]) -> dict[str, Any]:
    """Return `values` without `invalid` variables, and with a placeholder for the credential."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            kept[name] = {
                key: text for key, text in value.items() if env_name(name, key) not in invalid
            }
        elif env_name(name) not in invalid:
            kept[name] = value
    kept["upstream"] = {"access_key_id": "none", "access_key_secret": "none"} | kept["upstream"]
    return kept
