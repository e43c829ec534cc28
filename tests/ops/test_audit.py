"""An audit that could not be made does not pass for one that found nothing."""

from typing import Any

import pytest

from tools.audit import report

CLEAN = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-2026-0001"}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "if_possible", "code", "text"),
    [
        ([CLEAN], False, 0, "1 of 1 packages audited, 0 vulnerable"),
        ([CLEAN, VULNERABLE], True, 1, "b 2: CVE-2026-0001"),
        ([CLEAN, SKIPPED], True, 1, "c: not audited"),
        ([SKIPPED], True, 0, "Nothing was audited"),
        ([SKIPPED], False, 1, "Nothing was audited"),
        ([], True, 0, "Nothing was audited"),
    ],
    ids=["clean", "vulnerable", "in part", "unreachable", "unreachable and required", "failed"],
)
def test_the_result_of_an_audit(
    packages: list[dict[str, Any]],
    if_possible: bool,
    code: int,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(packages, if_possible=if_possible) == code
    assert text in capsys.readouterr().out
