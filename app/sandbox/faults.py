"""Faults on demand: what can be ordered, and which of it hits a call. Breaks nothing itself.

A fault is written `kind[=value][,api_code=N][,times=N][,path=P]`, or as the same names in JSON.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

GRANT: Final = "/api/v3/get-management-token"
ORDERS: Final = "/api/v3/get-orders"
DETAIL: Final = "/api/v3/get-order-detail"
PAYMENT: Final = "/api/v3/get-order-pay-detail"
EVERYWHERE: Final = (GRANT, ORDERS, DETAIL, PAYMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of fault does. One that `answers` leaves the call to no fault behind it."""

    does: str
    answers: bool = False
    paths: tuple[str, ...] = EVERYWHERE
    value: str = ""
    default: float | None = None
    least: float = 0
    most: float = 0


KINDS: Final[Mapping[str, Kind]] = {
    "latency": Kind(does="waits first", value="seconds", default=1, most=86_400),
    "revoke_tokens": Kind(does="makes all tokens issued so far invalid"),
    "arrivals": Kind(
        does="puts a new order in front",
        paths=(ORDERS,),
        value="at every Nth call",
        default=1,
        least=1,
        most=1_000_000,
    ),
    "odd_rows": Kind(does="sends rows that cannot be read as documented", paths=(ORDERS,)),
    "list_object": Kind(does="sends `list` as an object", paths=(ORDERS,)),
    "status": Kind(
        does="answers a statusCode in the envelope",
        answers=True,
        value="statusCode",
        default=500,
        least=100,
        most=999,
    ),
    "throttle": Kind(
        does="answers HTTP 429, with Retry-After if there is a value",
        answers=True,
        value="seconds",
        most=86_400,
    ),
    "html": Kind(
        does="answers the HTML page of a gateway",
        answers=True,
        value="HTTP status",
        default=502,
        least=200,
        most=599,
    ),
    "half_body": Kind(does="closes the connection within the body", answers=True),
    "reset": Kind(does="resets the connection instead of an answer", answers=True),
    "hang": Kind(does="never answers", answers=True),
}


class Fault(BaseModel):
    """One fault as ordered; what makes no sense is a `ValueError`.

    Attributes:
        kind: one of `KINDS`.
        value: what it means, its bounds and its default stand in `KINDS`.
        api_code: for `status` alone.
        times: how many calls it hits; None is until it is cleared.
        path: the one path it hits; None is all that its kind can hit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    value: float | None = None
    api_code: PositiveInt | None = None
    times: PositiveInt | None = None
    path: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        kind, path = KINDS.get(str(given.get("kind"))), given.get("path")
        filled = dict(given)
        if kind and given.get("value") is None:
            filled["value"] = kind.default
        if isinstance(path, str) and not path.startswith("/"):
            filled["path"] = f"/api/v3/{path}"
        return filled

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise ValueError(f"{self.kind!r} is not one of {', '.join(KINDS)}")
        if self.value is not None and not kind.value:
            raise ValueError(f"{self.kind} takes no value")
        if self.value is not None and not kind.least <= self.value <= kind.most:
            raise ValueError(f"{self.kind} takes {kind.least:g} to {kind.most:g} ({kind.value})")
        if self.value is not None and self.kind != "latency" and self.value % 1:
            raise ValueError(f"{self.kind} takes a whole number ({kind.value})")
        if self.api_code is not None and self.kind != "status":
            raise ValueError(f"{self.kind} takes no api_code")
        if self.path is not None and self.path not in kind.paths:
            raise ValueError(f"{self.kind} hits {', '.join(kind.paths)}, not {self.path!r}")
        return self

    @classmethod
    def read(cls, given: object) -> Self:
        """Read a fault, from a text or an object; what cannot be read is told in one line."""
        parts = given.split(",") if isinstance(given, str) else []
        pairs = [part.strip().partition("=")[::2] for part in parts]
        if pairs:
            (kind, value), *more = pairs
            pairs = [("kind", kind), *([("value", value)] if value else []), *more]
        if len(dict(pairs)) < len(pairs):
            raise ValueError(f"fault {given!r} says one thing twice")
        try:
            return cls.model_validate(dict(pairs) if pairs else given)
        except ValidationError as error:
            told = [
                ": ".join([*map(str, found["loc"]), found["msg"].removeprefix("Value error, ")])
                for found in error.errors()
            ]
            raise ValueError(f"fault {given!r}: {'; '.join(told)}") from None

    @property
    def number(self) -> int:
        """The value of a kind that has one, as the whole number it is."""
        return int(self.value or 0)


@dataclass(slots=True)
class _Standing:
    fault: Fault
    hits: int = 0

    def is_over(self) -> bool:
        return self.fault.times is not None and self.hits >= self.fault.times


class FaultDesk:
    """Which faults stand, and how often each has hit."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._standing: tuple[_Standing, ...] = ()
        self.order(faults)

    def order(self, faults: Iterable[Fault]) -> None:
        """Let these faults stand and no other; counting begins anew."""
        self._standing = tuple(_Standing(fault) for fault in faults)

    def listing(self) -> list[dict[str, object]]:
        """What stands, spent ones included, in the order in which it hits."""
        return [{**one.fault.model_dump(), "hits": one.hits} for one in self._standing]

    def take(self, path: str) -> list[tuple[Fault, int]]:
        """The faults that hit this call of `path`, each with which of its hits it is, from 1."""
        taken = []
        for one in self._standing:
            kind = KINDS[one.fault.kind]
            if one.is_over() or path not in ((one.fault.path,) if one.fault.path else kind.paths):
                continue
            one.hits += 1
            taken.append((one.fault, one.hits))
            if kind.answers:
                break
        return taken
