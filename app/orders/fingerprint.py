"""The upstream's row as compact JSON, and a fingerprint of the fields we know of it.

The fingerprint, `rev`, is the same in every process and release:

    the ten fields, in the order of `FINGERPRINT_FIELDS`, as a JSON array in the canonical form of
    RFC 8785, where a number is the text that was sent and an absent field is null;
    the SHA-256 of its UTF-8 bytes; the first 16 hex digits of that.
"""

import hashlib
import json
from typing import Any

from app.upstream.wire import JsonNumber

FINGERPRINT_FIELDS = (
    "orderNo",
    "goodsName",
    "goodsNameEn",
    "goodsUnitPrice",
    "quantity",
    "actualAmount",
    "status",
    "orderType",
    "createTime",
    "source",
)


def compact_json(value: object) -> bytes:
    """Return an upstream value as compact JSON, each number digit for digit as it was sent.

    A value nested too deeply to be serialised becomes null, so that it costs no other row.
    """
    try:
        return _json(value).encode()
    except RecursionError:
        return b"null"


def fingerprint(wire: object) -> str:
    """Return the fingerprint of an upstream row; one that is no object has no fields."""
    fields = wire if isinstance(wire, dict) else {}
    canonical = json.dumps(
        [fields.get(name) for name in FINGERPRINT_FIELDS],
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _json(value: Any) -> str:
    match value:
        case JsonNumber():
            return str(value)
        case dict():
            members = (
                f"{json.dumps(name, ensure_ascii=False)}:{_json(member)}"
                for name, member in value.items()
            )
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
