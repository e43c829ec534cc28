"""API keys in a variable and in a file."""

import codecs
import os
from pathlib import Path
from typing import Any

import pytest

from app.settings import load_api_keys
from tests.settings.support import CANARY, api_keys, errors_of, settings_of, write


def test_an_api_key_is_enough_authentication() -> None:
    entry = {"expires_at": "2027-01-01T00:00:00Z", "rate": "10/second"}
    settings = settings_of(CALLERS__ANONYMOUS="false", CALLERS__API_KEYS=api_keys(entry))
    (key,) = settings.callers.api_keys
    assert (key.name, key.scopes, key.rate) == ("dashboard", ("orders:read",), "10/second")
    assert settings.anonymous_scopes() == ()


def test_anonymous_callers_may_only_read_orders() -> None:
    assert settings_of().anonymous_scopes() == ("orders:read",)


def test_a_file_of_api_keys_is_enough_authentication(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", api_keys({"sha256": "b" * 64}))
    settings = settings_of(CALLERS__ANONYMOUS="false", CALLERS__API_KEYS_FILE=str(path))
    assert settings.callers.api_keys_file is not None
    assert settings.callers.api_keys_file.path == path
    assert [entry.sha256[0] for entry in settings.api_keys()] == ["b"]
    assert load_api_keys(path) == settings.api_keys()


def test_a_file_of_api_keys_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(codecs.BOM_UTF8 + api_keys({}).encode().replace(b" ", b"\r\n"))
    assert len(load_api_keys(path)) == 1


def test_a_name_may_occur_twice_but_a_digest_only_once() -> None:
    twice = api_keys({}, {"sha256": "b" * 64})
    assert len(settings_of(CALLERS__API_KEYS=twice).callers.api_keys) == 2
    (error,) = errors_of(CALLERS__API_KEYS=api_keys({}, {"name": "other"}))
    assert "two entries are the same key" in error


def test_a_digest_occurs_only_once_in_the_list_and_the_file(tmp_path: Path) -> None:
    file = str(write(tmp_path / "keys.json", api_keys({"scopes": ["payments:read"]})))
    (error,) = errors_of(CALLERS__API_KEYS=api_keys({}), CALLERS__API_KEYS_FILE=file)
    expected = "must not have a key that ORDERS_CALLERS__API_KEYS has, too"
    assert error.startswith(f"ORDERS_CALLERS__API_KEYS_FILE (environment): {expected}")


def test_an_entry_with_a_field_twice_is_an_error(tmp_path: Path) -> None:
    text = api_keys({}).replace("[{", '[{"scopes": ["orders:raw"], ')
    message = "must not have the same field twice in an entry"
    (error,) = errors_of(CALLERS__API_KEYS=text)
    assert error.startswith(f"ORDERS_CALLERS__API_KEYS (environment): {message}")
    (from_file,) = errors_of(CALLERS__API_KEYS_FILE=str(write(tmp_path / "keys.json", text)))
    assert f": the file is not valid: {message}" in from_file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "no spaces"}, "entry 1, name: must be 1 to 64 letters"),
        ({"name": 7}, "entry 1, name: must be a string"),
        ({"sha256": "A" * 64}, "entry 1, sha256: must be 64 hexadecimal digits"),
        ({"sha256": CANARY}, "entry 1, sha256: must be 64 hexadecimal digits"),
        ({"scopes": []}, "entry 1, scopes: must not be empty"),
        ({"scopes": "orders:read"}, "entry 1, scopes: must be a JSON list"),
        ({"scopes": ["orders:write"]}, "entry 1, scopes: must be orders:read, payments:read"),
        ({"expires_at": "2027-01-01T00:00:00"}, "entry 1, expires_at: must have a time zone"),
        ({"expires_at": "tomorrow"}, "entry 1, expires_at: must be a date and time"),
        ({"expires_at": "20300101"}, "entry 1, expires_at: must be a date and time"),
        ({"expires_at": "1893456000"}, "entry 1, expires_at: must be a date and time"),
        ({"expires_at": 1893456000}, "entry 1, expires_at: must be a date and time"),
        ({"rate": "fast"}, "entry 1, rate: must be a number per second"),
        ({CANARY: 1}, "entry 1 has an unknown field"),
    ],
)
def test_an_invalid_entry_is_reported_by_position_and_field(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    text = api_keys(change)
    (error,) = errors_of(CALLERS__API_KEYS=text)
    assert error.startswith(f"ORDERS_CALLERS__API_KEYS (environment): {message}")
    (from_file,) = errors_of(CALLERS__API_KEYS_FILE=str(write(tmp_path / "keys.json", text)))
    assert f": the file is not valid: {message}" in from_file
    assert not {CANARY, "orders:write"} & {*error.split(), *from_file.split()}


@pytest.mark.parametrize("text", ["", "7", "null", "{}", '"x"', "[" * 100_000, "[1e999999]", "[7]"])
def test_anything_but_a_list_of_entries_is_refused(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", text)
    with pytest.raises(ValueError, match=r"^the file is not valid: (entry 1: )?must be a JSON "):
        load_api_keys(path)


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "utf-16").write_bytes(api_keys({}).encode("utf-16"))
    write(tmp_path / "large", " " * 1_048_577)
    for name, reason in {
        "fifo": "must be a regular file",
        "/dev/zero": "must be a regular file",
        ".": "must be a regular file",
        "missing": "does not exist",
        "fifo/x": "cannot be read (Not a directory)",
        "utf-16": "must be UTF-8 text",
        "large": "must not be larger than 1 MiB",
    }.items():
        (error,) = errors_of(CALLERS__API_KEYS_FILE=str(tmp_path / name))
        assert f"ORDERS_CALLERS__API_KEYS_FILE (environment): the file {reason}. Value" in error
