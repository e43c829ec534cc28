"""A response that was sent, in the parts from which it can be sent again."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.edge.context import Caller, Replayable, RequestContext, Versioned

ENTRY_OVERHEAD: Final = 4000
"""Memory of an entry besides its bytes."""

_CHANGING_LINE: Final = re.compile(rb"(?<=\r\n)(age|cache-status|date|x-freshness): [^\r]*\r\n")
"""A line of the response that changes with time."""

_REQUEST_ID_LINE: Final = b"\r\nx-request-id: "

RawHeaders = Sequence[tuple[bytes, bytes]]


def split_head(head: bytes) -> tuple[list[bytes], bytes]:
    """Return the `parts` and `after_id` of a response with this head."""
    before, _, after = head.partition(_REQUEST_ID_LINE)
    parts = _CHANGING_LINE.split(before + _REQUEST_ID_LINE)
    return parts, after[after.index(b"\r\n") :]


def _record_nothing(*_: object) -> None:
    """Is replaced before the first request is recorded."""


@dataclass(slots=True, eq=False)
class ReplayedResponse:
    """A response that can be sent again.

    Attributes:
        key: that of its request head.
        context: what the access line and the metrics say about it.
        caller: to whom it may be sent.
        replayable: what it depends on.
        parts: the head up to the request id; every second part is the name of a line that changes.
        after_id: the rest of the head.
        body: the body, empty for HEAD and 304.
        count: counts a request of the caller; see `CallerLimits.counter`.
        used_at: the monotonic time at which `fields` were determined last.
        fields: the lines that change with the data and its age, as they are at present.
        until: the monotonic time at which they have to be determined again.
        revision: that of the data when they were determined.
        record: records a request; see `PreparedRecord.add`.
        before_id: `parts` as they are at present.
        default_headers: the server's headers in `before_id`, with the Date.
        is_removed: whether it may not be sent any more.
        data: that of `replayable`.
        generation: that of the credentials when the caller was authenticated.
    """

    key: bytes
    context: RequestContext
    caller: Caller
    replayable: Replayable
    parts: list[bytes]
    after_id: bytes
    body: bytes
    count: Callable[[float], float]
    used_at: float
    fields: RawHeaders = ()
    until: float = 0.0
    revision: int = -1
    record: Callable[[str, float, Mapping[bytes, bytes]], None] = _record_nothing
    before_id: bytes = b""
    default_headers: RawHeaders = ()
    is_removed: bool = False
    # Read for each request, and one attribute access away.
    data: Versioned = field(init=False)
    generation: int = field(init=False)

    def __post_init__(self) -> None:
        self.data = self.replayable.data
        self.generation = self.context.generation

    def join(self, default_headers: RawHeaders) -> None:
        """Determine `before_id` from the server's headers and the fields."""
        values = {**dict(default_headers), **dict(self.fields)}
        parts = list(self.parts)
        parts[1::2] = [b"%b: %b\r\n" % (name, values[name]) for name in parts[1::2]]
        self.before_id = b"".join(parts)
        self.default_headers = default_headers

    def remove(self) -> None:
        """Never send it again, and release its bytes: connections may still refer to it."""
        self.is_removed = True
        self.body = b""

    @property
    def size(self) -> int:
        """The memory in bytes."""
        heads = 2 * sum(map(len, self.parts)) + len(self.after_id)
        return heads + len(self.body) + ENTRY_OVERHEAD
