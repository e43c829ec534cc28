"""Numbers in responses, read leniently: `137`, `137.0` and `1.37e2` are the same, as text or not.

Nothing here computes with a number that was sent before its length has been checked.
"""

import re

from app.upstream.wire import JsonNumber

MAX_NUMBER_CHARS = 64
"""Characters of a number as it is sent, and digits before and after the point of the result."""

_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?")


def parse_decimal(value: object) -> str | None:
    """Return a number as `-?digits[.digits]`, digit for digit as it was sent, else None.

    An exponent is written out. Only a JSON number may have one, not a text.
    """
    if not isinstance(value, str) or len(value) > MAX_NUMBER_CHARS:
        return None
    match = _NUMBER.fullmatch(value)
    if not match:
        return None
    sign, integer, fraction, exponent = match.groups()
    if exponent is None:
        return str(value)
    point = len(integer) + int(exponent)
    if not isinstance(value, JsonNumber) or abs(point) > MAX_NUMBER_CHARS:
        return None
    digits = (integer + (fraction or "")).ljust(point, "0")
    if point < 1:
        digits, point = "0" * (1 - point) + digits, 1
    integer, fraction = digits[:point].lstrip("0") or "0", digits[point:]
    return f"{sign}{integer}.{fraction}" if fraction else f"{sign}{integer}"


def parse_integer(value: object, max_digits: int = 9, *, signed: bool = False) -> int | None:
    """Return a number as an integer, None if it is none, has more digits or is below zero.

    A fraction of zeros is ignored. If `signed`, the number may be negative.
    """
    integer, _, fraction = (parse_decimal(value) or "").partition(".")
    digits = integer.lstrip("-").lstrip("0") or "0"
    if not integer or fraction.strip("0") or len(digits) > max_digits:
        return None
    return int(integer) if signed or integer[0] != "-" else None
