"""Loads settings from given variables, without the environment and `.env` of the test run."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings, SettingsError, load

NO_FILE = Path("/missing/.env")
CANARY = "canary-7f3a"
REQUIRED = {
    "ORDERS_UPSTREAM__ACCESS_KEY_ID": "id",
    "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "secret",
    "ORDERS_CALLERS__ANONYMOUS": "true",
}
ENTRY: dict[str, Any] = {"name": "dashboard", "sha256": "a" * 64, "scopes": ["orders:read"]}


def settings_of(**more: str) -> Settings:
    """Return the settings of an environment with these variables, named without `ORDERS_`."""
    return load(
        REQUIRED | {f"ORDERS_{name}": value for name, value in more.items()}, dotenv=NO_FILE
    )


def errors_of(**more: str) -> tuple[str, ...]:
    """Return the errors of an environment with these variables, named without `ORDERS_`."""
    with pytest.raises(SettingsError) as raised:
        settings_of(**more)
    return raised.value.messages


def api_keys(*changes: dict[str, Any]) -> str:
    """Return a list of API keys, each with the changes to an entry that is valid."""
    return json.dumps([ENTRY | each for each in changes])


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text, "utf-8")
    return path
