"""Output of the commands in any encoding, and with streams that are closed or full."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.console import printable

REPOSITORY = Path(__file__).parent.parent


def run(
    *command: str, redirection: str = "", **environ: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run the program with a redirection of the shell, in a directory without `.env`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORDERS_")}
    script = f'exec "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "app", *command],  # noqa: S607
        env=clean | {"PYTHONPATH": str(REPOSITORY)} | environ,
        cwd=REPOSITORY / "docs",
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.without_coverage
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_document_is_utf_8_in_any_encoding(encoding: str) -> None:
    document = run("openapi", PYTHONIOENCODING=encoding)
    assert document.stdout == (REPOSITORY / "openapi" / "openapi.json").read_bytes()
    report = run("doctor", "--json", PYTHONIOENCODING=encoding, ORDERS_NAME="bestellungen ü")
    assert "bestellungen ü" in json.loads(report.stdout)["checks"][0]["message"]


@pytest.mark.without_coverage
@pytest.mark.parametrize(("encoding", "expected"), [("ascii", b"'d??'"), ("latin-1", b"'d\xfc?'")])
def test_people_get_a_question_mark_for_a_character_that_the_terminal_lacks(
    encoding: str, expected: bytes
) -> None:
    result = run("doctor", ORDERS_NAME="dü订", PYTHONIOENCODING=encoding)
    assert expected in result.stdout
    assert result.stderr == b""


@pytest.mark.without_coverage
def test_a_locale_without_an_encoding_causes_no_traceback() -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert run("doctor", ORDERS_NAME="dü订", **locale).stderr == b""


@pytest.mark.without_coverage
def test_doctor_prints_no_log_lines(tmp_path: Path) -> None:
    file = tmp_path / "damaged.sqlite"
    file.write_text("no database", "utf-8")
    result = run(
        "doctor",
        ORDERS_UPSTREAM__BASE_URL="http://127.0.0.1:1",
        ORDERS_UPSTREAM__ACCESS_KEY_ID="id",
        ORDERS_UPSTREAM__ACCESS_KEY_SECRET="secret",
        ORDERS_CALLERS__ANONYMOUS="true",
        ORDERS_CACHE__URL=f"sqlite://{file}",
    )
    assert b"sqlite: can be written and read" in result.stdout
    assert result.stderr == b""


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_do_not_change_what_a_command_does(redirection: str) -> None:
    assert run("serve", redirection=redirection).returncode == 2


@pytest.mark.parametrize("command", [("openapi",), ("doctor",)])
def test_output_that_cannot_be_written_is_an_error_without_a_traceback(
    command: tuple[str, ...],
) -> None:
    result = run(*command, redirection=">/dev/full")
    assert result.returncode == 1
    assert result.stderr == b"Cannot write to standard output: No space left on device\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    result = run("openapi", redirection="| true")
    assert (result.stdout, result.stderr) == (b"", b"")


def test_messages_that_cannot_be_written_are_dropped() -> None:
    assert run("serve", redirection="2>/dev/full").returncode == 2


def test_control_and_bidirectional_characters_are_escaped_and_others_are_not() -> None:
    assert printable("a\x1b[2J\u202eb\x7f\x9b\r\n") == "a\\x1b[2J\\u202eb\\x7f\\x9b\\r\\n"
    assert printable("订单 ü €") == "订单 ü €"
