"""The upstream's row as compact JSON, and a fingerprint of the fields we know of it.

The fingerprint, `rev`, is the same in every process and release:

    the ten fields, in the order of `ORDER_FIELDS`, as a JSON array in the canonical form of
    RFC 8785, where a number is the text that was sent and an absent field is null;
    the SHA-256 of its UTF-8 bytes; the first 16 hex digits of that.
"""

import hashlib
from collections.abc import Sequence

import msgspec

# A `JsonNumber` is the one type that msgspec does not encode itself.
_compact = msgspec.json.Encoder(enc_hook=lambda number: msgspec.Raw(number.encode()))
_canonical = msgspec.json.Encoder(enc_hook=str, order="deterministic")


def compact_json(value: object) -> bytes:
    """Return an upstream value as compact JSON, each number digit for digit as it was sent.

    A value nested too deeply to be serialized becomes null, so that it costs no other row.
    """
    try:
        # A copy: the encoder returns its buffer, which is up to half as large again.
        return bytes(memoryview(_compact.encode(value)))
    except RecursionError:
        return b"null"


def fingerprint(fields: Sequence[object]) -> str:
    """Return the fingerprint of an upstream row with these fields, as of `order_fields`."""
    return hashlib.sha256(_canonical.encode(fields)).hexdigest()[:16]
