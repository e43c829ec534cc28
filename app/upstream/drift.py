"""What upstream responses contain beyond the known schema: found, counted, each kind logged once.

A kind is described by what it is, where, and the name and type of what is new, never by a value.
Field names are the upstream's choice and could be personal data used as keys, so only those that
look like names are logged.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass

from app.upstream.wire import JsonNumber

MAX_KINDS = 200
"""Kinds that are counted separately, and kinds of one response; further ones count as `OTHER`."""

MAX_NEW_FIELDS = 50
"""New fields of one object that are reported by name."""

MAX_NAME_CHARS = 40

_NAME = re.compile(r"(?!.*[0-9]{4})[A-Za-z_][A-Za-z0-9_]*")
_TYPES: Mapping[type, str] = {
    JsonNumber: "number",
    str: "text",
    bool: "boolean",
    list: "list",
    dict: "object",
    type(None): "null",
}
_SCALARS = frozenset({str, JsonNumber, type(None)})
"""Types that a known field may have, interchangeably."""

_logger = logging.getLogger("orders_bff.upstream")


@dataclass(frozen=True, slots=True, order=True)
class DriftKind:
    """One kind of drift.

    Attributes:
        what: a fixed term: `new field`, `changed type`, `unknown value`, `unparsed value`, ...
        where: the object it was found in: `envelope`, `list`, `order`, `payment`.
        name: the field, if it is about one.
        type: the JSON type that was sent.
    """

    what: str
    where: str
    name: str = ""
    type: str = ""

    def __str__(self) -> str:
        name = f": {self.name}" if self.name else ""
        type_ = f" ({self.type})" if self.type else ""
        return f"{self.what} ({self.where}){name}{type_}"


OTHER = DriftKind("other drift", "anywhere")


def new_fields(where: str, sent: Mapping[str, object], known: Collection[str]) -> set[DriftKind]:
    """Return a kind for each field of `sent` that is not in `known`, at most `MAX_NEW_FIELDS`."""
    names = [name for name in sent if name not in known]
    kinds = {
        DriftKind("new field", where, _shown(name), _type_name(sent[name]))
        for name in names[:MAX_NEW_FIELDS]
    }
    return kinds | {OTHER} if len(names) > MAX_NEW_FIELDS else kinds


def find_drift(where: str, sent: object, known: Collection[str]) -> set[DriftKind]:
    """Return the drift in an object whose known fields are text or numbers."""
    if not isinstance(sent, dict):
        return {DriftKind("changed type", where, "", _type_name(sent))}
    changed = {
        DriftKind("changed type", where, name, _type_name(value))
        for name, value in sent.items()
        if type(value) not in _SCALARS and name in known
    }
    return changed | new_fields(where, sent, known)


def log_drift(kind: DriftKind) -> None:
    """Log a kind of drift for the operator."""
    fields = {name: value for name, value in asdict(kind).items() if value}
    _logger.warning("upstream_schema_drift", extra={"fields": fields})


class Drift:
    """Counts the kinds of drift seen, and calls `on_new` with each that is new."""

    def __init__(self, on_new: Callable[[DriftKind], None] = log_drift) -> None:
        self._on_new = on_new
        self._counter: Counter[DriftKind] = Counter()

    @property
    def counts(self) -> tuple[tuple[DriftKind, int], ...]:
        """Each kind, and the number of responses that it was in."""
        return tuple(sorted(self._counter.items()))

    def report(self, kinds: Iterable[DriftKind]) -> bool:
        """Count the kinds that were found in one response; return whether there were any."""
        distinct: set[DriftKind] = set()
        for kind in kinds:
            if len(distinct) == MAX_KINDS:
                distinct.add(OTHER)
                break
            distinct.add(kind)
        for found in sorted(distinct):
            is_countable = found in self._counter or len(self._counter) < MAX_KINDS
            kind = found if is_countable else OTHER
            if kind not in self._counter:
                self._on_new(kind)
            self._counter[kind] += 1
        return bool(distinct)


def _shown(name: str) -> str:
    is_short = len(name) <= MAX_NAME_CHARS
    return name if is_short and _NAME.fullmatch(name) else "(not shown)"


def _type_name(value: object) -> str:
    return _TYPES.get(type(value), "unknown")
