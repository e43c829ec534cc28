"""Header fields on the wire: one stays one."""

import pytest

from app.edge.header_lines import lines_of


def test_each_header_is_a_line() -> None:
    lines = lines_of([(b"age", b"4"), (b"link", b"<a>;\tb")])

    assert lines == b"age: 4\r\nlink: <a>;\tb\r\n"


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b", b"a\x7fb"])
def test_no_value_makes_two_headers_of_one(value: bytes) -> None:
    with pytest.raises(ValueError, match="control character"):
        lines_of([(b"x", b"y"), (b"link", value)])
