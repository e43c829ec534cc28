"""The condition If-None-Match (RFC 9110 section 13.1.2)."""

import re

_TAG = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"'
_LIST = re.compile(rb"[ \t]*+(?:%b)?[ \t]*+(?:,[ \t]*+(?:%b)?[ \t]*+)*+" % (_TAG, _TAG))
"""A list of entity tags (section 8.8.3), in which members may be empty (section 5.6.1)."""

_OPAQUE_TAG = re.compile(rb'"([\x21\x23-\x7e\x80-\xff]*+)"')
_CODING_SUFFIX = re.compile(rb"(?:-|--|;)(?:gzip|br|zstd)\Z")
"""Added to the tag by proxies that compress the response."""


def etag_matches(if_none_match: bytes, etag: bytes) -> bool:
    """Return whether If-None-Match lists `etag`, or is `*`, so that the response is a 304.

    Tags are compared weakly (section 8.8.3.2). A header that is not valid is ignored.

    Args:
        if_none_match: all values of the header, joined with commas; empty if absent.
        etag: the entity tag of the response.
    """
    if if_none_match.strip(b" \t") == b"*":
        return True
    if not if_none_match or not _LIST.fullmatch(if_none_match):
        return False
    opaque = etag.removeprefix(b"W/").strip(b'"')
    return any(_CODING_SUFFIX.sub(b"", tag) == opaque for tag in _OPAQUE_TAG.findall(if_none_match))
