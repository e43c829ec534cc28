"""If-None-Match, as RFC 9110 section 13.1.2 defines it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.edge.entity_tags import MAX_BYTES, etag_matches


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        (b"", False),
        (b'W/"abc"', True),
        (b'"abc"', True),
        (b"*", True),
        (b" * ", True),
        (b'"x", W/"abc"', True),
        (b'"x","abc"', True),
        (b' , "x" ,, \t"abc", ', True),
        (b'"x,y", "z"', False),
        (b'W/"ABC"', False),
    ],
)
def test_tags_are_compared_weakly(condition: bytes, *, matches: bool):
    assert etag_matches(condition, b'W/"abc"') is matches


@pytest.mark.parametrize(
    "condition",
    [
        b"abc",
        b'zzzW/"abc"',
        b'w/"abc"',
        b'W/ "abc"',
        b'W/abc, "abc"',
        b'"abc" "x"',
        b'"abc',
        b'"x", abc, "abc"',
        b'*, "abc"',
        b'"abc", *',
        b"*,*",
        b'"abc"-gzip',
        b'"a bc", "abc"',
        b'"\x7f", "abc"',
        b'x="abc"',
        b";",
    ],
)
def test_a_header_that_is_no_list_of_tags_is_ignored(condition: bytes):
    assert not etag_matches(condition, b'W/"abc"')


@pytest.mark.parametrize("suffix", [b"-gzip", b"--gzip", b";gzip", b"-br", b"--br", b"-zstd"])
def test_the_suffix_of_a_compressing_proxy_is_ignored(suffix: bytes):
    assert etag_matches(b'W/"abc%b"' % suffix, b'W/"abc"')
    assert etag_matches(b'"x", "abc%b"' % suffix, b'W/"abc"')
    assert not etag_matches(b'"abc%b-x"' % suffix, b'W/"abc"')


@given(st.text('W/"*, a', max_size=30).map(str.encode))
def test_any_header_can_be_read(condition: bytes):
    etag_matches(condition, b'W/"a"')


def test_a_very_long_header_is_ignored():
    tags = b'"x",' * (MAX_BYTES // 4 - 2)
    assert etag_matches(tags + b'"abc"', b'W/"abc"')
    assert not etag_matches(tags + b'"x",' + b'"abc"', b'W/"abc"')
