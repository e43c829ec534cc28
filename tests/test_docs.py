"""The documentation refers to files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_source_file_named_in_a_page_exists(page: Path) -> None:
    named = set(re.findall(r"`((?:app|tests|tools|bench)/[\w./-]+)`", page.read_text("utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    packages = [path.parent.name for path in (ROOT / "app").glob("*/__init__.py")]
    assert [name for name in packages if f"{name}/" not in text] == []


@pytest.mark.parametrize("name", ["limits.md", "threat-model.md"])
def test_every_limit_and_every_threat_has_a_test_that_exists(name: str) -> None:
    text = (ROOT / "docs" / name).read_text("utf-8")
    tables = re.findall(r"^\|.* test \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert tables
    for row in "".join(tables).splitlines():
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.rpartition(" | ")[2])
        assert named, row
        for path, test in named:
            assert f"def {test}(" in (ROOT / path).read_text("utf-8"), row


def test_the_threat_model_has_a_line_for_each_of_the_owasp_risks() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    assert re.findall(r"^\| API(\d+) ", text, re.MULTILINE) == [str(n) for n in range(1, 11)]
