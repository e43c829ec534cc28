"""How the headers of a request are read."""

from app.edge.context import RequestContext, joined_header

FIRST, OTHER, SECOND = (
    (b"cache-control", b"foo"),
    (b"x", b"y"),
    (b"cache-control", b"no-cache"),
)


def values(*headers: tuple[bytes, bytes], name: bytes) -> bytes:
    context = RequestContext("id", "GET", dict(headers), 0.0)
    return joined_header({"context": context, "headers": list(headers)}, name)


def test_repeated_headers_are_joined() -> None:
    assert values(FIRST, OTHER, SECOND, name=b"cache-control") == b"foo,no-cache"
    assert values(FIRST, OTHER, SECOND, name=b"x") == b"y"
    assert values(FIRST, OTHER, SECOND, name=b"absent") == b""


def test_a_header_that_is_not_repeated_has_its_value() -> None:
    assert values(FIRST, OTHER, name=b"cache-control") == b"foo"
    assert values(FIRST, OTHER, name=b"absent") == b""
