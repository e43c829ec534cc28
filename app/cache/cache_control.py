"""Parses Cache-Control in requests (RFC 9111 section 5.2.1, RFC 5861 section 4)."""

import math
import re

from app.cache.freshness import CacheDirective

MAX_BYTES = 2048
"""Bytes of Cache-Control that are read."""

MAX_SECONDS = 2**31
"""A greater number counts as this one (RFC 9111 section 1.2.2)."""

_MEMBER = re.compile(rb'(?:[^",]++|"(?:[^"\\]|\\.)*+"?+)++', re.DOTALL)
"""A member of the list; a comma within quotes does not end it."""

_DIRECTIVE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+(?:=[ \t]*+(.*))?", re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_DIGITS = re.compile(rb"[0-9]+")


def parse_cache_control(cache_control: bytes) -> CacheDirective:
    """Return the directives in all values of the header, joined with commas.

    Unknown directives are ignored. Of a directive that occurs twice the first counts, and an
    invalid number is the strictest one (RFC 9111 section 4.2.1). An invalid `stale-if-error` is
    ignored: it must not turn an answer into an error.
    """
    arguments: dict[bytes, bytes | None] = {}
    for member in _MEMBER.findall(cache_control[:MAX_BYTES]):
        if match := _DIRECTIVE.fullmatch(member.strip()):
            arguments.setdefault(match[1].lower(), match[2])
    return CacheDirective(
        no_cache=b"no-cache" in arguments,
        max_age=_seconds(arguments, b"max-age", invalid=0),
        min_fresh=_seconds(arguments, b"min-fresh", invalid=math.inf),
        max_stale=_seconds(arguments, b"max-stale", invalid=0, without=math.inf),
        stale_if_error=_seconds(arguments, b"stale-if-error", invalid=None),
        only_if_cached=b"only-if-cached" in arguments,
    )


def _seconds(
    arguments: dict[bytes, bytes | None],
    name: bytes,
    *,
    invalid: float | None,
    without: float | None = None,
) -> float | None:
    """Return the argument of a directive: None if it is absent, `without` if it has no argument."""
    if name not in arguments:
        return None
    text = arguments[name]
    if text is None:
        return invalid if without is None else without
    if quoted := _QUOTED.fullmatch(text):
        text = _ESCAPED.sub(rb"\1", quoted[1])
    if not _DIGITS.fullmatch(text):
        return invalid
    digits = text.lstrip(b"0")  # int() rejects thousands of digits
    return MAX_SECONDS if len(digits) > 10 else min(int(digits or b"0"), MAX_SECONDS)
