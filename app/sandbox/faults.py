"""Injected faults: their kinds, their syntax, and the matching of faults to calls.

The syntax is `kind[=value][,api_code=N][,times=N][,path=P]`, or a JSON object with these keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PositiveInt,
    ValidationError,
    model_validator,
)

TOKEN: Final = "/api/v3/get-management-token"  # noqa: S105 - a path
ORDERS: Final = "/api/v3/get-orders"
DETAIL: Final = "/api/v3/get-order-detail"
PAYMENT: Final = "/api/v3/get-order-pay-detail"
ALL_PATHS: Final = (TOKEN, ORDERS, DETAIL, PAYMENT)


@dataclass(frozen=True, slots=True)
class ValueRange:
    """What the value of a fault means, its bounds, inclusive, and the default."""

    name: str
    least: float
    greatest: float
    default: float | None = None


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        terminal: whether the fault ends the call, so that no later fault applies to it.
        value: None if the kind takes no value.
        paths: the paths it can apply to.
    """

    description: str
    _: KW_ONLY
    terminal: bool = False
    value: ValueRange | None = None
    paths: tuple[str, ...] = ALL_PATHS


KINDS: Final[Mapping[str, FaultKind]] = {
    "latency": FaultKind("delays the response", value=ValueRange("seconds", 0, 86_400, default=1)),
    "revoke_tokens": FaultKind("invalidates all tokens issued so far"),
    "arrivals": FaultKind(
        "adds a new order at the start of the list",
        value=ValueRange("at every Nth call", 1, 1_000_000, default=1),
        paths=(ORDERS,),
    ),
    "odd_rows": FaultKind("sends malformed rows", paths=(ORDERS,)),
    "list_object": FaultKind("sends `list` as an object", paths=(ORDERS,)),
    "status": FaultKind(
        "responds with a statusCode in the envelope",
        terminal=True,
        value=ValueRange("statusCode", 100, 999, default=500),
    ),
    "throttle": FaultKind(
        "responds with HTTP 429, and with Retry-After if there is a value",
        terminal=True,
        value=ValueRange("seconds", 0, 86_400),
    ),
    "html": FaultKind(
        "responds with the HTML page of a gateway",
        terminal=True,
        value=ValueRange("HTTP status", 200, 599, default=502),
    ),
    "half_body": FaultKind("closes the connection within the body", terminal=True),
    "reset": FaultKind("resets the connection", terminal=True),
    "hang": FaultKind("never responds", terminal=True),
}


def _full_path(path: str) -> str:
    return path if path.startswith("/") else f"/api/v3/{path}"


class Fault(BaseModel):
    """One injected fault.

    Attributes:
        kind: a key of `KINDS`.
        value: its meaning, bounds and default are in `KINDS`.
        api_code: `apiCode` of the envelope; only for the kind `status`.
        times: the number of calls it applies to; None means until it is cleared.
        path: the only path it applies to, with or without `/api/v3/`; None means all paths of its
            kind.

    Raises:
        ValueError: the fault is invalid.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    value: float | None = None
    api_code: PositiveInt | None = None
    times: PositiveInt | None = None
    path: Annotated[str, AfterValidator(_full_path)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _apply_default_value(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("value") is None:
            kind = KINDS.get(str(data.get("kind")))
            return {**data, "value": kind.value.default if kind and kind.value else None}
        return data

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise ValueError(f"{self.kind!r} is not one of {', '.join(KINDS)}")
        if self.value is not None:
            if kind.value is None:
                raise ValueError(f"{self.kind} takes no value")
            name, least, greatest = kind.value.name, kind.value.least, kind.value.greatest
            if not least <= self.value <= greatest:
                bounds = f"{least:g} to {greatest:g}"
                raise ValueError(f"the value of {self.kind} must be {bounds} ({name})")
            if self.kind != "latency" and self.value % 1:
                raise ValueError(f"the value of {self.kind} must be an integer ({name})")
        if self.api_code is not None and self.kind != "status":
            raise ValueError(f"{self.kind} takes no api_code")
        if self.path is not None and self.path not in kind.paths:
            raise ValueError(f"{self.kind} applies to {', '.join(kind.paths)}, not {self.path!r}")
        return self

    @classmethod
    def parse(cls, source: object) -> Self:
        """Return the fault that a string or a JSON object describes.

        Raises:
            ValueError: the fault is invalid; the message is one line.
        """
        data = source
        if isinstance(source, str):
            first, *rest = (part.strip().partition("=")[::2] for part in source.split(","))
            pairs = [("kind", first[0]), *([("value", first[1])] if first[1] else []), *rest]
            data = dict(pairs)
            if len(data) < len(pairs):
                raise ValueError(f"fault {source!r}: a key is repeated")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            messages = [
                ": ".join([*map(str, one["loc"]), one["msg"].removeprefix("Value error, ")])
                for one in error.errors()
            ]
            raise ValueError(f"fault {source!r}: {'; '.join(messages)}") from None

    @property
    def int_value(self) -> int:
        """The value as an integer; 0 if there is none."""
        return int(self.value or 0)


@dataclass(slots=True)
class ActiveFault:
    """A fault, and the number of calls it has hit."""

    fault: Fault
    hits: int = 0

    def matches(self, path: str) -> bool:
        fault = self.fault
        paths = KINDS[fault.kind].paths if fault.path is None else (fault.path,)
        return path in paths and (fault.times is None or self.hits < fault.times)


class FaultRegistry:
    """The active faults, and how many calls each has hit."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Replace all faults, and reset the hit counts."""
        self._faults = [ActiveFault(fault) for fault in faults]

    def to_dicts(self) -> list[dict[str, object]]:
        """Return all faults with their hits, exhausted ones included, in order of application."""
        return [{**active.fault.model_dump(), "hits": active.hits} for active in self._faults]

    def match(self, path: str) -> list[ActiveFault]:
        """Return the faults that apply to a call of `path`, and count the hits.

        A terminal fault is always the last of the list.
        """
        matching = []
        for active in self._faults:
            if active.matches(path):
                active.hits += 1
                matching.append(active)
                if KINDS[active.fault.kind].terminal:
                    break
        return matching
