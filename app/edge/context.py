"""The notes of one exchange: what each layer learnt, for the others and for the access line."""

from dataclasses import dataclass
from typing import cast

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `kind` says how we know: `key`, `anonymous`."""

    name: str
    kind: str
    scopes: frozenset[str]


@dataclass(slots=True)
class RequestContext:
    """One request and its answer, from the first byte we saw to the last we sent.

    Written by the layer that learns a thing, read by the access log when the answer is sent.
    `headers` holds the last value of each request header, names in lower case; `route` is a
    template, never a path that a caller chose.
    """

    request_id: str
    method: str
    headers: dict[bytes, bytes]
    started_at: float
    route: str = ""
    caller: Caller | None = None
    status: int = 0
    outcome: str = ""
    freshness: str = ""
    age: int | None = None
    waited_seconds: float = 0.0
    upstream_request_ids: tuple[str, ...] = ()
    problem: str = ""


def context_of(scope: Scope) -> RequestContext:
    """The notes of the exchange that `scope` belongs to."""
    return cast("RequestContext", scope["context"])
