"""Request headers that a response depends on: Cache-Control and If-None-Match."""

import pytest

from app.cache.freshness import CacheDirective
from app.orders.responses import etag_matches, joined_header, parse_cache_control


@pytest.mark.parametrize(
    ("cache_control", "directive"),
    [
        (b"", CacheDirective.DEFAULT),
        (b"max-age=60", CacheDirective.DEFAULT),
        (b"no-cache", CacheDirective.NO_CACHE),
        (b"No-Cache, foo", CacheDirective.NO_CACHE),
        (b"max-age=0", CacheDirective.NO_CACHE),
        (b'max-age="0"', CacheDirective.NO_CACHE),
        (b"no-cache, only-if-cached", CacheDirective.ONLY_IF_CACHED),
    ],
)
def test_cache_control_is_parsed_as_a_list(cache_control: bytes, directive: CacheDirective):
    assert parse_cache_control(cache_control) is directive


def test_repeated_headers_are_joined():
    headers = [(b"cache-control", b"foo"), (b"x", b"y"), (b"cache-control", b"no-cache")]
    assert joined_header(headers, b"cache-control") == b"foo,no-cache"
    assert joined_header(headers, b"absent") == b""


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        (b"", False),
        (b'W/"abc"', True),
        (b'"abc"', True),
        (b"*", True),
        (b'"x", W/"abc"', True),
        (b'"x,y", "z"', False),
        (b"abc", False),
        (b'W/"ABC"', False),
    ],
)
def test_if_none_match_uses_weak_comparison(condition: bytes, matches: bool):
    assert etag_matches(condition, b'W/"abc"') is matches
