"""Texts that a reader takes for the same are the same when searched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.search_text import CHUNK_CHARS, normalized


def full_width(text: str) -> str:
    return "".join(chr(ord(char) - ord("!") + 0xFF01) for char in text)


@pytest.mark.parametrize(
    ("text", "equal"),
    [
        ("ENTERPRISE", "enterprise"),
        (full_width("ENTERPRISE"), "enterprise"),
        ("Straße", "STRASSE"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "Café"),
        ("企业版ⅲ", "企业版III"),
        ("ﬁ", "FI"),
        ("K\N{KELVIN SIGN}", "kk"),
    ],
)
def test_case_width_and_composition_make_no_difference(text: str, equal: str):
    assert normalized(text) == normalized(equal)


@given(st.text())
def test_normalizing_twice_changes_nothing(text: str):
    assert normalized(normalized(text)) == normalized(text)


def test_a_long_text_is_normalized_completely():
    assert normalized(full_width("A") * (3 * CHUNK_CHARS + 1)) == "a" * (3 * CHUNK_CHARS + 1)
