"""What the upstream answers outside what we know: found purely, counted, told once a kind.

A kind is told by what it is, where, and the name and type of what is new, never by a value. A
name comes from the upstream, so it is told only if it looks like one: a key may be a person.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app.upstream.wire import JsonNumber

MAX_KINDS = 200
"""Kinds that are told apart; what comes after them is counted together."""

_NAME = re.compile(r"(?!.*[0-9]{4})[A-Za-z_][A-Za-z0-9_]{0,39}")
_TYPES: Mapping[type, str] = {
    JsonNumber: "number",
    str: "text",
    bool: "boolean",
    list: "list",
    dict: "object",
    type(None): "null",
}
_PLAIN = (str, JsonNumber, type(None))
"""What every field we know is sent as, each in place of the other."""

_logger = logging.getLogger("orders_bff.upstream")


@dataclass(frozen=True, slots=True, order=True)
class DriftKind:
    """One kind of drift.

    Attributes:
        what: `new field`, `changed type`, `unknown value`, `unparsed value` and the like.
        where: of what: `envelope`, `list`, `order`, `payment`.
        name: the field, if it is about one.
        type: what was sent there, as JSON calls it.
    """

    what: str
    where: str
    name: str = ""
    type: str = ""

    def __str__(self) -> str:
        named = f": {self.name}" if self.name else ""
        typed = f" ({self.type})" if self.type else ""
        return f"{self.what} ({self.where}){named}{typed}"


OTHERS = DriftKind("other drift", "anywhere")


def new_fields(where: str, sent: Mapping[str, object], known: frozenset[str]) -> set[DriftKind]:
    """The fields of an object that we do not know."""
    return {
        DriftKind("new field", where, _name_of(name), _type_of(sent[name]))
        for name in sent.keys() - known
    }


def find_drift(where: str, sent: object, known: frozenset[str]) -> set[DriftKind]:
    """What is new in an object whose fields are text or numbers: others, or of another type."""
    if not isinstance(sent, dict):
        return {DriftKind("changed type", where, "", _type_of(sent))}
    changed = {
        DriftKind("changed type", where, name, _type_of(value))
        for name, value in sent.items()
        if type(value) not in _PLAIN and name in known
    }
    return changed | new_fields(where, sent, known)


def log_drift(kind: DriftKind) -> None:
    """Tell an operator."""
    facts = {"what": kind.what, "where": kind.where, "name": kind.name, "type": kind.type}
    told = {name: fact for name, fact in facts.items() if fact}
    _logger.warning("drift", extra={"fields": told})


class Drift:
    """The kinds of drift seen by this process, and in how many answers each was.

    Args:
        tell: told each kind when it is seen for the first time.
    """

    def __init__(self, tell: Callable[[DriftKind], None] = log_drift) -> None:
        self._tell = tell
        self._seen: Counter[DriftKind] = Counter()

    @property
    def counts(self) -> tuple[tuple[DriftKind, int], ...]:
        """Each kind, and in how many answers it was; as of now, and never edited."""
        return tuple(sorted(self._seen.items()))

    def report(self, kinds: Iterable[DriftKind]) -> None:
        """Count what was found in one answer."""
        for found in sorted(set(kinds)):
            room = found in self._seen or len(self._seen) < MAX_KINDS
            kind = found if room else OTHERS
            if kind not in self._seen:
                self._tell(kind)
            self._seen[kind] += 1


def _type_of(value: object) -> str:
    return _TYPES.get(type(value), "unknown")


def _name_of(name: str) -> str:
    return name if _NAME.fullmatch(name) else "(not shown)"
