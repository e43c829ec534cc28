"""The problem types, which are defined in `problems.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

_NO_ACTION = "Nothing, as long as it is rare. Contact a caller that does this constantly."


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What all problems with one code have in common (RFC 9457 section 4).

    Attributes:
        status: the HTTP status.
        title: a short summary, the same for every occurrence.
        retryable: whether the same request may succeed later.
        owner: who can remove the cause: `caller`, `operator` or `upstream`.
        detail: the default of a problem's `detail`.
        meaning: what happened; for the page `/problems/<code>`, like the next two.
        caller: what the caller can do.
        operator: what the operator of the proxy can do.
        example: members of the OpenAPI example that a problem has only in some cases.
    """

    status: int
    title: str
    retryable: bool
    owner: str
    detail: str
    meaning: str
    caller: str
    operator: str = _NO_ACTION
    example: Mapping[str, Any] = field(default_factory=dict)


def _load() -> Mapping[str, ProblemType]:
    tables = tomllib.loads((Path(__file__).parent / "problems.toml").read_text("utf-8"))
    return MappingProxyType({code: ProblemType(**_joined(table)) for code, table in tables.items()})


def _joined(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table with the line breaks of its texts removed."""
    return {
        name: " ".join(value.split()) if isinstance(value, str) else value
        for name, value in table.items()
    }


PROBLEM_TYPES = _load()
"""The problem types by code."""
