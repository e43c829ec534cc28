"""Credentials are removed from lines, wherever they come from."""

import io
import logging

import pytest

from app.logging.redaction import REDACTED, Redaction
from app.logging.uncaught import log_exception, log_thread_exception, log_unraisable
from tests.edge.asgi_harness import logging_to

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
CONFIGURED = 'a"secret\\with-quotes'


@pytest.mark.parametrize(
    "text",
    [
        "obff_0123456789abcdefghij",
        JWT,
        f"Bearer {JWT}",
        "Authorization: bearer opaque-token-0123456789",
        "Basic dXNlcjpwYXNzd29yZA==",
        "redis://user:password@cache/0",
    ],
)
def test_credentials_of_known_forms_are_removed(text: str):
    redacted = Redaction().apply(f"before {text} after")
    assert REDACTED in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    for part in (JWT, "obff_0", "opaque-token", "dXNl", "password"):
        assert part not in redacted


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/orders 200",
        "934108e5-9fbf-4d24-8da1-c330328abd6c",
        "http://127.0.0.1:8000/docs",
        "202209251234224",
        '{"event":"request","route":"/v1/orders/{order_no}"}',
    ],
)
def test_other_texts_stay_as_they_are(text: str):
    assert Redaction([CONFIGURED]).apply(text) == text


def test_a_configured_secret_is_removed_in_plain_and_as_json_escapes_it():
    redaction = Redaction([CONFIGURED, "secret-one", "secret-one-longer"])
    assert redaction.apply(f"x {CONFIGURED} y") == f"x {REDACTED} y"
    assert redaction.apply(r"x a\"secret\\with-quotes y") == f"x {REDACTED} y"
    assert redaction.apply("secret-one-longer") == REDACTED


def test_a_short_secret_is_not_searched_for():
    assert Redaction(["id"]).apply("valid") == "valid"


@pytest.mark.parametrize("layout", ["json", "text"])
def test_a_library_cannot_log_a_secret(layout):
    with logging_to(layout, secrets=["canary-secret-1234"]) as log:
        logging.getLogger("some.library").error("sent %s to %s", "canary-secret-1234", JWT)
    assert "canary" not in log.text()
    assert JWT not in log.text()
    assert REDACTED in log.text()


def test_exceptions_that_nothing_handles_are_logged_without_their_messages():
    error = RuntimeError("canary-in-a-message")

    class Failure:
        exc_type, exc_value, exc_traceback = RuntimeError, error, None

    class Unknown:
        exc_type, exc_value, exc_traceback = RuntimeError, None, None

    with logging_to() as log:
        log_exception(RuntimeError, error, None)
        log_exception(KeyboardInterrupt, KeyboardInterrupt(), None)
        log_unraisable(Failure)  # type: ignore[arg-type]
        log_thread_exception(Unknown)  # type: ignore[arg-type]
    assert [(line["event"], line["error"]) for line in log.lines()] == [
        ("unhandled_exception", "RuntimeError")
    ] * 3
    assert "canary" not in log.text()


def test_the_stream_of_the_log_is_all_that_is_written_to(capsys: pytest.CaptureFixture[str]):
    with logging_to(stream=io.StringIO()):
        logging.getLogger("some.library").error("x")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
