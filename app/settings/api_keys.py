"""The callers' API keys as they are configured: a digest of each key, never the key."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from app.settings.errors import describe
from app.settings.types import Name, Rate, Sha256, from_json

Scope = Literal["orders:read", "payments:read", "orders:raw", "metrics:read", "cache:purge"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class ApiKeyConfig(BaseModel):
    """One API key of a caller.

    Attributes:
        name: the caller. Two keys may have the same name, so that a key can be rotated.
        sha256: the SHA-256 of the key, in hexadecimal.
        scopes: what the caller may do.
        expires_at: when the key stops being valid.
        rate: requests in a unit of time, as `6000/minute`. Not implemented yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name
    sha256: Sha256
    scopes: tuple[Scope, ...] = Field(min_length=1)
    expires_at: AwareDatetime | None = None
    rate: Rate | None = None


def _unique(entries: tuple[ApiKeyConfig, ...]) -> tuple[ApiKeyConfig, ...]:
    if len({entry.sha256 for entry in entries}) < len(entries):
        raise ValueError("must have each sha256 once: two entries are the same key")
    return entries


ApiKeyList = Annotated[
    tuple[ApiKeyConfig, ...], BeforeValidator(from_json), AfterValidator(_unique)
]
_API_KEYS: TypeAdapter[tuple[ApiKeyConfig, ...]] = TypeAdapter(ApiKeyList)


def load_api_keys(path: Path) -> tuple[ApiKeyConfig, ...]:
    """Return the API keys in a file, which has the format of `ORDERS_CALLERS__API_KEYS`.

    Raises:
        ValueError: the file cannot be read or is invalid. The message has every error and none of
            the file's content.
    """
    try:
        return _API_KEYS.validate_python(path.read_text("utf-8"))
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        messages = "; ".join(describe(detail, 0) for detail in details)
        raise ValueError(f"the file is not valid: {messages}") from None
    except (OSError, UnicodeDecodeError):
        raise ValueError("must name a readable file") from None


def _readable(path: Path) -> Path:
    load_api_keys(path)
    return path


ApiKeysFile = Annotated[Path, AfterValidator(_readable)]
"""A file of API keys that can be read and is valid."""
