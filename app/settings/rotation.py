"""The credential as it stands in its sources now: for a proxy that runs already.

Tells that something changed, and reads it as a start would. Tries nothing and replaces nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.settings.errors import env_name
from app.settings.sources import DOTENV, load, secrets_dir

FileState = tuple[int, int, int] | None
"""When it was written, its size and its inode; None where there is no file."""


class CredentialFiles:
    """`.env` and the files in ORDERS_SECRETS_DIR; the arguments are those of `load`."""

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, dotenv: Path = DOTENV, **options: Any
    ) -> None:
        self._environ = environ
        self._dotenv = dotenv
        self._options = options
        folder = secrets_dir(environ, dotenv=dotenv)
        config = ("access_key_id", "access_key_secret")
        self._files = [folder / env_name("upstream", knob) for knob in config] if folder else []

    def state(self) -> tuple[FileState, ...]:
        """What the secret files look like; another value says that one of them changed.

        Links are followed: orchestrators exchange a whole folder by changing one.
        """
        return tuple(_state_of(file) for file in self._files)

    def read(self) -> tuple[SecretStr, SecretStr]:
        """Access key id and secret, as a start would find them now.

        Raises:
            SettingsError: a start would be refused.
        """
        upstream = load(self._environ, dotenv=self._dotenv, **self._options).upstream
        return upstream.access_key_id, upstream.access_key_secret


def _state_of(file: Path) -> FileState:
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
