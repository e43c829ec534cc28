"""Rows as the vendor's documents do not promise them: each breaks one thing. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

ABSENT: Final = object()

ODDITIES: Final[Sequence[tuple[str, object]]] = (
    ("quantity", "two"),
    ("status", "9"),
    ("orderType", "Gift"),
    ("source", "Partner"),
    ("orderNo", ABSENT),
    ("goodsName", None),
    ("quantity", 3),
    ("actualAmount", 12.5),
    ("status", 2),
    ("createTime", "yesterday"),
    ("goodsUnitPrice", "1,299"),
    ("createTime", None),
)
"""Row `n` of a page gets oddity `n`, and so around."""


def odd(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each with one thing wrong."""
    broken = []
    for index, row in enumerate(rows):
        name, value = ODDITIES[index % len(ODDITIES)]
        kept = {key: text for key, text in row.items() if key != name}
        broken.append(kept if value is ABSENT else {**kept, name: value})
    return broken
