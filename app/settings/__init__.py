"""The settings of one process: their models, validation and sources.

    models    the settings by group, with defaults and bounds
    types     value types: durations, URLs, ports, networks, currencies
    api_keys  the callers' API keys, as digests
    checks    combinations of settings that cannot work or have no effect
    errors    error messages: all errors at once, one line each, without secrets
    names     names that are no setting, and the nearest one
    sources   the environment, `.env` and secret files
    files     reading small regular files within a bounded time
    loading   all of it together
    public    the settings without secrets, for operators

`loading` is the only module of the project that reads settings from the environment.
"""

from app.settings.api_keys import (
    SCOPES,
    ApiKeyConfig,
    Scope,
    load_api_keys,
    require_unique,
)
from app.settings.checks import find_warnings
from app.settings.errors import SettingsError, env_name
from app.settings.loading import CredentialFiles, load, load_for_sandbox
from app.settings.models import Settings
from app.settings.public import public_settings, secret_values
from app.settings.types import is_loopback

__all__ = [
    "SCOPES",
    "ApiKeyConfig",
    "CredentialFiles",
    "Scope",
    "Settings",
    "SettingsError",
    "env_name",
    "find_warnings",
    "is_loopback",
    "load",
    "load_api_keys",
    "load_for_sandbox",
    "public_settings",
    "require_unique",
    "secret_values",
]
