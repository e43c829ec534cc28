"""Every knob, and where its value comes from: the only reader of the environment.

    values    what a value may look like
    keys      the callers' keys, as they are configured
    knobs     the settings, group by group, with default and bounds
    faults    how what is wrong is told: every fault at once, and no value
    load      option > environment > `.env` > files in ORDERS_SECRETS_DIR
    rotation  the credential as it stands there now

Knows nothing of what the rooms do with a value. Imported by cli and main alone.
"""

from app.settings.api_keys import SCOPES, KeyEntry, Scope, read_entries
from app.settings.errors import SettingsError, variable
from app.settings.models import Settings
from app.settings.rotation import CredentialSources
from app.settings.sources import ForSandbox, load, load_for_sandbox
from app.settings.types import is_loopback

__all__ = [
    "SCOPES",
    "CredentialSources",
    "ForSandbox",
    "KeyEntry",
    "Scope",
    "Settings",
    "SettingsError",
    "is_loopback",
    "load",
    "load_for_sandbox",
    "read_entries",
    "variable",
]
