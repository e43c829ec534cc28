"""The key of a request head, and the lines that are cut out of it before."""

import re
from hashlib import blake2b
from typing import Final

TRACING_HEADERS: Final = (b"traceparent", b"tracestate", b"x-request-id")
"""Traced callers send other values each time, and no response depends on them but for its id."""

_VALUE: Final = rb"([!-~][ -~]{0,511})(?<! )"
TRACING_VALUE: Final = re.compile(_VALUE)
_TRACING_LINE: Final = re.compile(
    rb"\r\n(?<=[^\r\n]\r\n)([Tt]race(?:[Pp]arent|[Ss]tate)|[Xx]-[Rr]equest-[Ii][Dd]): "
    rb"%b(?=\r\n[^ \t])" % _VALUE
)
"""A line to cut out: its name in a usual spelling, and its value. It follows another line that is
not empty: it is no header before the request line, nor after the end of the head. No line follows
that continues it (RFC 9112 section 5.2)."""

TracingHeaders = dict[bytes, bytes]
Digest = blake2b


def key_of(digest: Digest, head: bytes) -> tuple[bytes, list[bytes]]:
    """Return the key of `head`, and its parts if lines were cut out of it.

    Two of three parts are the name and the value of such a line; the others are between them.
    """
    digest = digest.copy()
    parts = _TRACING_LINE.split(head)
    if len(parts) > 1 and 3 * len(cut_headers(parts)) + 1 == len(parts):  # none occurs twice
        digest.update(b"".join(parts[::3]))
        return digest.digest() + b"%d" % (len(parts) // 3), parts
    digest.update(head)
    return digest.digest(), []


def cut_headers(parts: list[bytes]) -> TracingHeaders:
    """Return the names and values of the lines that were cut out."""
    return {name.lower(): value for name, value in zip(parts[1::3], parts[2::3], strict=True)}
