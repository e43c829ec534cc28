"""Answers a repeated request head without parsing it: the response is sent again, byte for byte.

Pollers send the same bytes again and again. Parsing them and running the middleware gives the same
response each time, as long as nothing has changed that the response depends on:

    the bytes of the head              in the key of the entry
    the address of the peer            in the key of the entry
    the caller's credential            `CredentialGeneration` and the time at which it expires
    the cached data, and the time      `Replayable`, from whoever has composed the response
    the rate of the caller             counted for each request
    the second                         Date, and the headers that `Replayable` determines anew

All else follows from the head and the settings, which do not change: the route, the query, the
content coding, the outcome of If-None-Match, HEAD, the CORS headers, what is forbidden. So there is
no second copy of any rule here. The application composes a response, this module keeps the bytes
that were written to the socket, and whenever anything is different from usual, `response` returns
None and the application composes another one.

The key of an entry is a digest with a secret of this process, so that no entry has a credential and
nobody can construct a head that has the key of another. The lines of `Traceparent`, `Tracestate`
and X-Request-Id are cut out of the head first, because traced callers send other values each time,
and no response depends on them except for the request id. What is cut out must match exactly; a
line that does not, or that occurs twice, stays in the head, which then is another key.

A caller mostly sends one head on a connection. So a connection remembers the last head that was
found, credential included, and compares the bytes: that costs a tenth of a digest.

A head is a whole request, and the only one in its read: the first empty line ends it, and it has no
body (the application has answered it, and the parser waited for the next request). So it does not
matter where another server would see the end of a request (RFC 9112 section 11.2).
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.clock import Clock
from app.edge.access_log import RequestRecorder
from app.edge.auth import CredentialGeneration
from app.edge.caller_limits import CallerLimits
from app.edge.context import RequestContext
from app.request_id import adopted, mint
from app.server.replayed_response import RawHeaders, ReplayedResponse, split_head
from app.server.request_key import (
    TRACING_HEADERS,
    TRACING_VALUE,
    Digest,
    TracingHeaders,
    cut_headers,
    key_of,
)

MAX_HEAD_BYTES: Final = 4096
"""Longest request head that is remembered."""

MAX_ENTRIES: Final = 20_000
MAX_BYTES: Final = 96 * 1024 * 1024
"""Bounds of the entries. A body counts for each of them, although they share it."""

MAX_IDLE_SECONDS: Final = 300.0
"""Time without a use after which a response is forgotten: heads with an outdated `If-None-Match`
never come again."""

MAX_REFRESH_INTERVAL: Final = 1.0
"""Seconds after which an entry is checked in full even if nothing seems to have changed."""

DIGEST_BYTES: Final = 16

_END_OF_HEAD: Final = b"\r\n\r\n"

_NEVER_REPLAYED: Final = re.compile(rb"\r\n(?:connection|set-cookie|ratelimit[a-z-]*): ")
"""A line of a response that was for one request only."""


class Replay:
    """The responses that can be sent again, by the digest of their request head.

    Args:
        clock: the source of time.
        generation: that of the credentials.
        recorder: records each request.
        limits: the limits per caller.
        max_head_bytes: the longest head that the server accepts, whatever is cut out of it.
        max_entries: the number of responses that are remembered.
        max_bytes: their size.
    """

    def __init__(
        self,
        clock: Clock,
        generation: CredentialGeneration,
        recorder: RequestRecorder,
        limits: CallerLimits,
        *,
        max_head_bytes: int = MAX_HEAD_BYTES,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._clock = clock
        self._recorder = recorder
        self._limits = limits
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._secret = secrets.token_bytes(blake2b.MAX_KEY_SIZE)
        self._entries: OrderedDict[bytes, ReplayedResponse] = OrderedDict()
        self._size = 0
        self.generation = generation
        self.max_head_bytes = min(max_head_bytes, MAX_HEAD_BYTES)

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget all responses."""
        for key in list(self._entries):
            self._remove(key)

    def for_peer(self, address: str) -> "ConnectionReplay":
        """Return the replay for one connection of the peer with this address."""
        digest = blake2b(address.encode() + b"\0", digest_size=DIGEST_BYTES, key=self._secret)
        return ConnectionReplay(self, digest)

    def get(self, key: bytes) -> ReplayedResponse | None:
        """Return the entry with this key, which need not be current."""
        return self._entries.get(key)

    def store(self, key: bytes, scope: Any, tracing: TracingHeaders, written: list[bytes]) -> None:
        """Remember the response to the request of `scope`, unless it was for one request only.

        Args:
            key: that of the entry.
            scope: the request.
            tracing: those of its headers that were cut out of the key.
            written: what was written to the socket, the head first.
        """
        head, body = written[0], b"".join(written[1:])
        context: RequestContext = scope["context"]
        caller, replayable = context.caller, context.replayable
        if caller is None or replayable is None or _NEVER_REPLAYED.search(head):
            return
        # Without the headers of the request, which have the credential, and without its span.
        kept = replace(context, headers=tracing, span=None, replayable=None)
        parts, after_id = split_head(head)
        count = self._limits.counter(caller, context.status)
        now = self._clock.monotonic()
        entry = ReplayedResponse(
            key, kept, caller, replayable, parts, after_id, body, count, used_at=now
        )
        self._remove(key)
        self._entries[key] = entry
        self._size += entry.size
        while self._entries and self._has_too_many(now - MAX_IDLE_SECONDS):
            self._remove(next(iter(self._entries)))

    def _has_too_many(self, idle_since: float) -> bool:
        """Return whether the least recently used entry has to be removed."""
        return (
            len(self._entries) > self._max_entries
            or self._size > self._max_bytes
            or next(iter(self._entries.values())).used_at < idle_since
        )

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry:
            self._size -= entry.size
            entry.remove()

    def refresh(self, entry: ReplayedResponse, now: float) -> bool:
        """Determine anew what changes with time; return whether the response may be sent.

        That happens at least once a second, so it is also what counts as a use of the entry.
        """
        context = entry.context
        if context.generation != self.generation.value:
            return False
        expires_in = MAX_REFRESH_INTERVAL
        if entry.caller.expires_at is not None:
            expires_in = min(expires_in, entry.caller.expires_at - self._clock.timestamp())
        current = entry.replayable.refresh(context, now) if expires_in > 0 else None
        if current is None:
            return False
        entry.fields = current.fields
        entry.default_headers = ()
        entry.revision = entry.data.revision
        entry.until = min(current.until, now + expires_in)
        entry.used_at = now
        entry.record = self._recorder.prepare(context, context.client).add
        self._entries.move_to_end(entry.key)
        return True


class ConnectionReplay:
    """The replay for the requests of one connection, of which it remembers the last head.

    Args:
        replay: the responses of all connections.
        digest: what the heads of this peer are added to.
    """

    __slots__ = (
        "_after",
        "_before",
        "_digest",
        "_entry",
        "_head",
        "_headers",
        "_name",
        "_offered_id",
        "_replay",
    )

    def __init__(self, replay: Replay, digest: Digest) -> None:
        self._replay = replay
        self._digest = digest
        self._head = b""
        self._entry: ReplayedResponse | None = None
        self._headers: TracingHeaders = {}
        self._offered_id = ""
        # The last head around the one value that was cut out of it.
        self._before = self._name = self._after = b""

    def response(self, head: bytes, now: float, default_headers: RawHeaders) -> bytes | None:
        """Return the response to `head`, or None if the application has to compose it.

        The request is counted and recorded.

        Args:
            head: what one read has returned.
            now: when it was read, on the monotonic clock.
            default_headers: those of the server, with the Date.
        """
        replay = self._replay
        entry = self._entry if head == self._head or self._has_other_value(head) else None
        if entry is None or entry.is_removed:
            entry = self._find(head)
        if entry is None:
            return None
        if (
            now >= entry.until
            or entry.revision != entry.data.revision
            or entry.generation != replay.generation.value
        ) and not replay.refresh(entry, now):
            return None  # a new entry replaces it, or it is valid again after a failed fetch
        if entry.default_headers is not default_headers:
            entry.join(default_headers)
        if entry.count(now):
            return None  # the application rejects the request, and counts that
        request_id = self._offered_id or mint()
        entry.record(request_id, now, self._headers)
        return b"".join((entry.before_id, request_id.encode(), entry.after_id, entry.body))

    def record(self, head: bytes, cycle: RequestResponseCycle) -> None:
        """Remember the response of `cycle` once it is complete, if it may be sent again.

        Args:
            head: what one read has returned, of which nothing is left to parse.
            cycle: the one request in it, which the application has not seen yet.
        """
        if len(head) > self._replay.max_head_bytes or head.find(_END_OF_HEAD) != len(head) - len(
            _END_OF_HEAD
        ):
            return
        key, parts = key_of(self._digest, head)
        tracing = [header for header in cycle.scope["headers"] if header[0] in TRACING_HEADERS]
        if parts and len(parts) != 3 * len(tracing) + 1:
            return  # the application may use the line that was not cut out
        scope, headers = cycle.scope, dict(tracing)
        _Recording(cycle, lambda written: self._replay.store(key, scope, headers, written))

    def _find(self, head: bytes) -> ReplayedResponse | None:
        """Look `head` up by its digest, and remember it as the last one if there is an entry."""
        if len(head) > self._replay.max_head_bytes:
            return None
        key, parts = key_of(self._digest, head)
        entry = self._replay.get(key)
        if entry is not None:
            self._head, self._entry = head, entry
            self._headers = cut_headers(parts) if parts else entry.context.headers
            self._offered_id = _adopted(self._headers.get(b"x-request-id"))
            self._before = self._after = b""
            if len(parts) == 4:
                between, name, _, self._after = parts
                self._before, self._name = b"%b\r\n%b: " % (between, name), name.lower()
        return entry

    def _has_other_value(self, head: bytes) -> bool:
        """Return whether `head` is the last one with another value in the line that is cut out."""
        before, after = self._before, self._after
        if not before or not head.startswith(before) or not head.endswith(after):
            return False
        value = head[len(before) : -len(after)]
        if not TRACING_VALUE.fullmatch(value) or len(head) > self._replay.max_head_bytes:
            return False
        self._head, self._headers = head, {self._name: value}
        if self._name == b"x-request-id":
            self._offered_id = _adopted(value)
        return True


class _Recording:
    """Keeps what is written of a response that may be sent again, and stores it at the end."""

    def __init__(self, cycle: RequestResponseCycle, store: Callable[[list[bytes]], object]) -> None:
        self._cycle = cycle
        self._store = store
        self._parts: list[bytes] = []
        transport: Any = cycle.transport
        self._write = transport.write
        transport.write = self._keep
        self._on_response = cycle.on_response
        cycle.on_response = self._complete

    def _keep(self, data: bytes) -> None:
        self._write(data)
        scope: Any = self._cycle.scope
        if "context" in scope and scope["context"].replayable is not None:
            self._parts.append(data)

    def _complete(self) -> None:
        if self._parts and self._cycle.keep_alive:
            self._store(self._parts)
        self._on_response()


def _adopted(offered_id: bytes | None) -> str:
    return adopted(offered_id.decode("latin-1")) if offered_id else ""
