"""Order rows that break the vendor's documented format, each in one field."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

MISSING: Final = object()

MALFORMATIONS: Final[Sequence[tuple[str, object]]] = (
    ("quantity", "two"),
    ("status", "9"),
    ("orderType", "Gift"),
    ("source", "Partner"),
    ("orderNo", MISSING),
    ("goodsName", None),
    ("quantity", 3),
    ("actualAmount", 12.5),
    ("status", 2),
    ("createTime", "yesterday"),
    ("goodsUnitPrice", "1,299"),
    ("createTime", None),
)
"""The field of row `n` to replace, and its value; repeated for the rows after the last."""


def malformed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return copies of the rows, each with one malformed or missing field."""
    result = []
    for index, row in enumerate(rows):
        name, value = MALFORMATIONS[index % len(MALFORMATIONS)]
        copy = {**row, name: value}
        if value is MISSING:
            del copy[name]
        result.append(copy)
    return result
