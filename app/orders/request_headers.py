"""What a caller's headers ask for: pure readers of Cache-Control and If-None-Match."""

import re
from collections.abc import Iterable

from app.cache.grace_cache import CacheDirective

_ENTITY_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MAX_AGE_0 = re.compile(rb'max-age="?0+"?')

RawHeaders = Iterable[tuple[bytes, bytes]]


def header(headers: RawHeaders, name: bytes) -> bytes:
    """All values of one header as one list (RFC 9110 §5.3); empty where there is none."""
    return b",".join(value for key, value in headers if key == name)


def parse_cache_control(cache_control: bytes) -> CacheDirective:
    """What the request's Cache-Control asks for (RFC 9111 §5.2.1).

    `only-if-cached` wins: it must launch nothing.
    """
    directives = [directive.strip().lower() for directive in cache_control.split(b",")]
    if b"only-if-cached" in directives:
        return CacheDirective.ONLY_IF_CACHED
    for directive in directives:
        if directive == b"no-cache" or _MAX_AGE_0.fullmatch(directive):
            return CacheDirective.NO_CACHE
    return CacheDirective.DEFAULT


def etag_matches(if_none_match: bytes, etag: bytes) -> bool:
    """Whether If-None-Match names `etag`, by weak comparison (RFC 9110 §13.1.2, §8.8.3.2)."""
    if not if_none_match:
        return False
    if if_none_match.strip() == b"*":
        return True
    return etag.removeprefix(b"W/") in _ENTITY_TAG.findall(if_none_match)
