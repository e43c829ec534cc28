"""The callers' API keys as they are configured: a digest of each key, never the key."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
)

from app.settings.errors import describe
from app.settings.files import UnreadableFile, read_text, within_timeout
from app.settings.types import Name, Rate, Sha256, from_json

Scope = Literal["orders:read", "payments:read", "orders:raw", "metrics:read", "cache:purge"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


def _not_empty(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    # `min_length` would be another error of a list whose only scope is unknown.
    if not scopes:
        raise ValueError("must not be empty")
    return scopes


Scopes = Annotated[tuple[Scope, ...], AfterValidator(_not_empty)]
"""Scopes, at least one."""


def _date_and_time(value: object) -> object:
    """Return `value`; pydantic would take a number for seconds since 1970, and 20300101, too."""
    if isinstance(value, str | int | float) and not re.match("[0-9]{4}-[0-9]{2}-", str(value)):
        raise ValueError("must be a date and time with a time zone, as 2027-01-31T00:00:00Z")
    return value


class ApiKeyConfig(BaseModel):
    """One API key of a caller.

    Attributes:
        name: the caller. Two keys may have the same name, so that a key can be rotated.
        sha256: the SHA-256 of the key, in hexadecimal.
        scopes: what the caller may do.
        expires_at: when the key stops being valid.
        rate: requests in a unit of time, as `6000/minute`, in place of that of all callers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name
    sha256: Sha256
    scopes: Scopes
    expires_at: Annotated[AwareDatetime | None, BeforeValidator(_date_and_time)] = None
    rate: Rate | None = None


def require_unique(entries: tuple[ApiKeyConfig, ...]) -> tuple[ApiKeyConfig, ...]:
    """Return `entries`.

    Raises:
        ValueError: two of them are the same key, perhaps with different scopes.
    """
    if len({entry.sha256 for entry in entries}) < len(entries):
        raise ValueError("must have each sha256 once: two entries are the same key")
    return entries


ApiKeyList = Annotated[
    tuple[ApiKeyConfig, ...], BeforeValidator(from_json), AfterValidator(require_unique)
]
_API_KEYS: TypeAdapter[tuple[ApiKeyConfig, ...]] = TypeAdapter(ApiKeyList)


@dataclass(frozen=True, slots=True)
class ApiKeysFile:
    """A file of API keys, and the entries that were read at the start."""

    path: Path
    entries: tuple[ApiKeyConfig, ...]


def load_api_keys(path: Path) -> tuple[ApiKeyConfig, ...]:
    """Return the API keys in a file, which has the format of `ORDERS_CALLERS__API_KEYS`.

    Raises:
        ValueError: the file cannot be read or is invalid. The message has every error and none of
            the file's content.
    """
    try:
        return _API_KEYS.validate_python(read_text(path))
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        messages = "; ".join(describe(detail, 0) for detail in details)
        raise ValueError(f"the file is not valid: {messages}") from None
    except UnreadableFile as error:
        raise ValueError(f"the file {error}") from None


def _load_file(path: object) -> object:
    if not isinstance(path, str | Path):
        return path
    return ApiKeysFile(Path(path), within_timeout(partial(load_api_keys, Path(path))))


LoadedApiKeysFile = Annotated[ApiKeysFile, BeforeValidator(_load_file)]
"""A file of API keys that can be read and is valid."""
