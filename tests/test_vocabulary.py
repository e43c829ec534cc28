"""Which names tools/vocabulary.py looks at, and which of their words it rejects."""

import pytest

from tools.vocabulary import names_in_javascript, names_in_python, rejected_words

PYTHON = """
import json as json_module

class Page:
    limit: int = 10

    def load(self, offset, *others, **more):
        self.total = offset
        try:
            first, *rest = [found for found in others]
        except OSError as error:
            return more["key"].attribute
        match rest:
            case [one, *remaining]:
                pass
"""


def test_all_names_that_python_code_defines_are_checked() -> None:
    assert {name for _, name in names_in_python(PYTHON)} == {
        *("json_module", "Page", "limit", "load", "self", "offset", "others", "more", "total"),
        *("first", "rest", "found", "error", "one", "remaining"),
    }


def test_identifiers_of_javascript_are_checked_but_not_comments_and_strings() -> None:
    code = "// comment\nconst name = 'text' + `template`;\n/* block\n */ load(name);\n"
    found = [(line, name) for line, name in names_in_javascript(code) if name != "const"]
    assert found == [(2, "name"), (4, "load"), (4, "name")]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("held", ["held"]),
        ("held_pages", ["held"]),
        ("HeldPage", ["held"]),
        ("pageHeld", ["held"]),
        ("MAX_HELD", ["held"]),
        ("test_a_caller_is_told_what_it_asked", ["told", "asked"]),
        ("wholesale", []),
        ("HTTPError", []),
    ],
)
def test_a_name_is_rejected_for_each_word_that_is_not_in_the_vocabulary(
    name: str, words: list[str]
) -> None:
    assert rejected_words(name) == words
