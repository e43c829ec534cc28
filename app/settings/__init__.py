"""The settings of one process: their models, validation and sources.

    models    the settings by group, with defaults and bounds
    types     value types: durations, URLs, ports, networks
    api_keys  the callers' API keys, as digests
    errors    error messages: all errors at once, one line each, without values
    sources   command-line options, the environment, `.env` and secret files

`sources` is the only module of the project that reads the environment.
"""

from app.settings.api_keys import SCOPES, ApiKeyConfig, Scope, load_api_keys
from app.settings.errors import SettingsError, env_name
from app.settings.models import Settings
from app.settings.sources import CredentialFiles, load, load_for_sandbox
from app.settings.types import is_loopback

__all__ = [
    "SCOPES",
    "ApiKeyConfig",
    "CredentialFiles",
    "Scope",
    "Settings",
    "SettingsError",
    "env_name",
    "is_loopback",
    "load",
    "load_api_keys",
    "load_for_sandbox",
]
