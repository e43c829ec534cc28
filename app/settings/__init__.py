"""Every knob, and where its value comes from: the only reader of the environment.

    values    what a value may look like
    keys      the callers' keys, as they are configured
    knobs     the settings, group by group, with default and bounds
    faults    how what is wrong is told: every fault at once, and no value
    load      option > environment > `.env` > files in ORDERS_SECRETS_DIR
    rotation  the credential as it stands there now

Knows nothing of what the rooms do with a value. Imported by cli and main alone.
"""

from app.settings.api_keys import SCOPES, ApiKeyConfig, Scope, load_api_keys
from app.settings.errors import SettingsError, env_name
from app.settings.models import Settings
from app.settings.rotation import CredentialFiles
from app.settings.sources import SandboxSettings, load, load_for_sandbox
from app.settings.types import is_loopback

__all__ = [
    "SCOPES",
    "ApiKeyConfig",
    "CredentialFiles",
    "SandboxSettings",
    "Scope",
    "Settings",
    "SettingsError",
    "env_name",
    "is_loopback",
    "load",
    "load_api_keys",
    "load_for_sandbox",
]
