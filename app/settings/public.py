"""The settings of a process as operators may see them: without secrets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from app.settings.api_keys import ApiKeysFile
from app.settings.errors import env_name
from app.settings.models import Settings
from app.settings.types import HostPort

SECRET = "(set)"  # noqa: S105  shown in place of a secret


def public_settings(settings: Settings, *, only_changed: bool = False) -> dict[str, Any]:
    """Return the settings by the names of their variables; of a secret only that it is set.

    Settings that are neither set nor have a default are left out. With `only_changed`, so are
    those at their default.
    """
    return dict(_public("", settings, only_changed=only_changed))


def secret_values(settings: Settings) -> list[str]:
    """Return the configured secrets, so that they can be removed from texts."""
    return [secret.get_secret_value() for secret in _secrets(settings)]


def _secrets(value: object) -> Iterator[SecretStr]:
    if isinstance(value, SecretStr):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _secrets(item)


def _public(group: str, model: BaseModel, *, only_changed: bool) -> Iterator[tuple[str, Any]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _public(name, value, only_changed=only_changed)
        elif value is None or field.exclude or (only_changed and value == field.default):
            continue
        else:
            is_secret = not field.repr or isinstance(value, SecretStr)
            path = (group, name) if group else (name,)
            yield env_name(*path), SECRET if is_secret and value else _json_value(value)


def _json_value(value: object) -> Any:
    if isinstance(value, HostPort):
        return str(value)
    if isinstance(value, ApiKeysFile):
        value = value.path
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple | list | set | frozenset):
        return [_json_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value
