"""A response that was sent, in the parts from which it can be sent again."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from app.edge.context import Caller, Replayable, RequestContext

ENTRY_OVERHEAD: Final = 4000
"""Memory of an entry besides its bytes."""

_CHANGING_LINE: Final = re.compile(rb"(?<=\r\n)(age|cache-status|date|x-freshness): [^\r]*\r\n")
"""A line of the response that changes with time."""

_REQUEST_ID_LINE: Final = b"\r\nx-request-id: "

RawHeaders = Sequence[tuple[bytes, bytes]]


class Entry:
    """A response that can be sent again.

    Attributes:
        key: that of the entry.
        context: what the access line and the metrics say about it.
        generation: that of the credentials when the caller was authenticated.
        caller: to whom it may be sent.
        data: what it is made of.
        refresh: see `Replayable`.
        count: counts a request of that caller; see `CallerLimits.counter`.
        record: records a request; see `PreparedRecord.add`.
        parts: the head up to the request id; every second part is the name of a line that changes.
        before_id: those parts as they are at present.
        after_id: the rest of the head.
        body: the body, empty for HEAD and 304.
        fields: the lines that change with the data and its age, as they are at present.
        until: the monotonic time at which they have to be determined again.
        revision: that of the data when they were determined.
        default_headers: the server's headers in `before_id`, with the Date.
        used_at: the monotonic time at which they were determined last.
        is_removed: whether it may not be sent any more.
    """

    count: Callable[[float], float]
    record: Callable[[str, float, Mapping[bytes, bytes]], None]

    __slots__ = (
        "after_id",
        "before_id",
        "body",
        "caller",
        "context",
        "count",
        "data",
        "default_headers",
        "fields",
        "generation",
        "is_removed",
        "key",
        "parts",
        "record",
        "refresh",
        "revision",
        "until",
        "used_at",
    )

    def __init__(
        self,
        key: bytes,
        context: RequestContext,
        caller: Caller,
        replayable: Replayable,
        *,
        head: bytes,
        body: bytes,
        used_at: float,
    ) -> None:
        self.key = key
        self.context = context
        self.generation = context.generation
        self.caller = caller
        self.data = replayable.data
        self.refresh = replayable.refresh
        before, _, after = head.partition(_REQUEST_ID_LINE)
        self.parts = _CHANGING_LINE.split(before + _REQUEST_ID_LINE)
        self.after_id = after[after.index(b"\r\n") :]
        self.body = body
        self.before_id = b""
        self.until = 0.0
        self.used_at = used_at
        self.revision = -1
        self.fields: RawHeaders = ()
        self.default_headers: RawHeaders = ()
        self.is_removed = False

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
