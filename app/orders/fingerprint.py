"""The upstream's row as it was sent, and the fingerprint of what we know of it. Pure.

The fingerprint, `rev`, is the same everywhere and always:

    the ten fields, in the order of `FIELDS`, as a JSON array in the canonical form of RFC 8785;
    a number stands as the text that it was sent as, absent as null;
    the SHA-256 of its UTF-8 bytes; of that the first 16 hex digits.
"""

import hashlib
import json
from typing import Any

from app.upstream.wire import JsonNumber

FIELDS = (
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


def compact_json(sent: object) -> bytes:
    """What was sent, as compact JSON: each number digit for digit.

    What nests so deep that it can be read and not written is null: it costs no other row.
    """
    try:
        return _json(sent).encode()
    except RecursionError:
        return b"null"


def fingerprint(sent: object) -> str:
    """The fingerprint of the ten known fields of a row."""
    known = sent if isinstance(sent, dict) else {}
    canonical = json.dumps(
        [known.get(field) for field in FIELDS],
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
                f"{json.dumps(key, ensure_ascii=False)}:{_json(one)}" for key, one in value.items()
            )
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
