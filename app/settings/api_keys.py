"""The callers' keys as they are configured: digests, never keys. Knows no request."""

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

from app.settings.errors import build_openapi
from app.settings.types import Rate, from_json

Scope = Literal["orders:read", "payments:read", "orders:raw", "metrics:read", "cache:purge"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class ApiKeyConfig(BaseModel):
    """One key of one caller. A name may occur twice: that is how a key is rotated."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hex of the SHA-256 of the key."""
    scopes: tuple[Scope, ...] = Field(min_length=1)
    expires_at: AwareDatetime | None = None
    rate: Rate | None = None


def _each_key_once(entries: tuple[ApiKeyConfig, ...]) -> tuple[ApiKeyConfig, ...]:
    if len({entry.sha256 for entry in entries}) < len(entries):
        raise ValueError("should have each sha256 once: two entries are the same key")
    return entries


ApiKeyList = Annotated[
    tuple[ApiKeyConfig, ...], BeforeValidator(from_json), AfterValidator(_each_key_once)
]
_ENTRIES: TypeAdapter[tuple[ApiKeyConfig, ...]] = TypeAdapter(ApiKeyList)


def load_api_keys(path: Path) -> tuple[ApiKeyConfig, ...]:
    """The entries of a file that holds what `ORDERS_CALLERS__API_KEYS` would.

    Raises:
        ValueError: with every fault of the file, and nothing of what it holds.
    """
    try:
        return _ENTRIES.validate_python(path.read_text("utf-8"))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        told = "; ".join(build_openapi(fault, 0) for fault in faults)
        raise ValueError(f"names a file with faults: {told}") from None
    except (OSError, UnicodeDecodeError):
        raise ValueError("should name a file that can be read") from None


def _with_entries(path: Path) -> Path:
    load_api_keys(path)
    return path


KeysFile = Annotated[Path, AfterValidator(_with_entries)]
