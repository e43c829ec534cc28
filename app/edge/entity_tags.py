"""The condition If-None-Match (RFC 9110 section 13.1.2)."""

import re

_TAG = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"'
_LIST = re.compile(rb"[ \t]*+(?:%b)?[ \t]*+(?:,[ \t]*+(?:%b)?[ \t]*+)*+" % (_TAG, _TAG))
"""A list of entity tags (section 8.8.3), in which members may be empty (section 5.6.1)."""

_OPAQUE_TAG = re.compile(rb'"([\x21\x23-\x7e\x80-\xff]*+)"')
_SUFFIXES = (
    b"",
    *(mark + coding for mark in (b"-", b"--", b";") for coding in (b"gzip", b"br", b"zstd")),
)
"""What proxies that compress the response add to the tag."""

MAX_BYTES = 8192
"""Longest header that is read."""


def etag_matches(if_none_match: bytes, etag: bytes) -> bool:
    """Return whether If-None-Match lists `etag`, or is `*`, so that the response is a 304.

    Tags are compared weakly (section 8.8.3.2). A header that is invalid or very long is ignored.

    Args:
        if_none_match: all values of the header, joined with commas; empty if absent.
        etag: the entity tag of the response.
    """
    if not if_none_match:
        return False
    if if_none_match.strip(b" \t") == b"*":
        return True
    if len(if_none_match) > MAX_BYTES or not _LIST.fullmatch(if_none_match):
        return False
    opaque = etag.removeprefix(b"W/").strip(b'"')
    tags = _OPAQUE_TAG.findall(if_none_match)
    return not {opaque + suffix for suffix in _SUFFIXES}.isdisjoint(tags)
