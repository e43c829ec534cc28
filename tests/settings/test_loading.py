"""Loading: precedence of the sources, all errors together, and what the sandbox changes."""

import os
from pathlib import Path

import pytest

from app.settings import (
    SCOPES,
    CredentialFiles,
    Settings,
    SettingsError,
    find_warnings,
    load,
    load_for_sandbox,
)
from tests.settings.support import CANARY, NO_FILE, REQUIRED, errors_of, settings_of, write

EMBEDDED = {
    "base_url": "http://127.0.0.1:4711",
    "access_key_id": "embedded",
    "access_key_secret": "embedded-secret",
}


def test_a_credential_and_authentication_are_all_that_is_required() -> None:
    settings = settings_of()
    assert settings.upstream.base_url == "https://api.genauth.ai"
    assert settings.cache.ttl == 60
    assert settings.server.port == 8000
    assert settings.name == "orders"
    assert find_warnings(settings) == ()


def test_options_override_the_environment_then_dotenv_then_secret_files(tmp_path: Path) -> None:
    names = ("TTL", "STALE_WHILE_REVALIDATE", "NO_CACHE_MIN_AGE", "MAX_STALE_WAIT")
    for name in names:
        write(tmp_path / f"ORDERS_CACHE__{name}", "1\n")
    dotenv = write(tmp_path / ".env", "".join(f"ORDERS_CACHE__{name}=2\n" for name in names[:3]))
    environ = REQUIRED | {"ORDERS_SECRETS_DIR": str(tmp_path)}
    environ |= {f"ORDERS_CACHE__{name}": "3" for name in names[:2]}
    cache = load(environ, dotenv=dotenv, cache={"ttl": 4}).cache
    assert [getattr(cache, name.lower()) for name in names] == [4, 3, 2, 1]


def test_an_option_may_be_a_list_where_a_variable_is_json() -> None:
    origins = ["https://a.example.com"]
    settings = load(REQUIRED, dotenv=NO_FILE, cors={"origins": origins}, upstream={"ca_file": None})
    assert settings.cors.origins == ("https://a.example.com",)


def test_the_environment_of_the_process_is_the_default() -> None:
    before = {name: value for name, value in os.environ.items() if name.startswith("ORDERS_")}
    try:
        for name in before:
            del os.environ[name]
        os.environ |= REQUIRED
        assert load(dotenv=NO_FILE).upstream.access_key_id.get_secret_value() == "id"
    finally:
        for name in REQUIRED:
            os.environ.pop(name, None)
        os.environ |= before


def test_no_variable_enables_the_sandbox() -> None:
    assert not settings_of(SANDBOX="true", SANDBOX__X="true").sandbox


# Errors


def test_all_errors_are_reported_together_one_line_each_with_an_example(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "# comment\n\nORDERS_CACHE__TTLL=60\nORDERS_NAME=a b\n")
    with pytest.raises(SettingsError) as raised:
        load(
            {
                "ORDERS_CACHE__TTL": "0",
                "ORDERS_UPSTREAM__BASE_URL": "http://api.example.com",
                "ORDERS_SECRETS_DIR": "/missing",
            },
            dotenv=dotenv,
            server={"port": 70000},
        )
    assert raised.value.messages == (
        "ORDERS_CACHE__TTLL (.env, line 3): is not a setting; did you mean ORDERS_CACHE__TTL?",
        (
            "ORDERS_SECRETS_DIR (environment): must name a directory that can be read."
            " Value: '/missing'. Example: ORDERS_SECRETS_DIR=/run/secrets"
        ),
        (
            "ORDERS_NAME (.env, line 4): must be 1 to 64 letters, digits, dots, underscores or"
            " hyphens. Value: 'a b'. Example: ORDERS_NAME=orders"
        ),
        (
            "ORDERS_UPSTREAM__ACCESS_KEY_ID: is required."
            " Example: ORDERS_UPSTREAM__ACCESS_KEY_ID=<access key id>"
        ),
        (
            "ORDERS_UPSTREAM__ACCESS_KEY_SECRET: is required."
            " Example: ORDERS_UPSTREAM__ACCESS_KEY_SECRET=<access key secret>"
        ),
        (
            "ORDERS_CACHE__TTL (environment): must be at least 1. Value: '0'."
            " Example: ORDERS_CACHE__TTL=60"
        ),
        (
            "ORDERS_SERVER__PORT (command line): must be at most 65535. Value: 70000."
            " Example: ORDERS_SERVER__PORT=8000"
        ),
        (
            "ORDERS_UPSTREAM__BASE_URL (environment): must start with https:// (or set"
            " ORDERS_UPSTREAM__ALLOW_HTTP=true). Value: 'http://api.example.com'."
            " Example: ORDERS_UPSTREAM__BASE_URL=https://api.genauth.ai"
        ),
        raised.value.messages[-1],
    )
    assert raised.value.messages[-1].startswith("ORDERS_CALLERS__ANONYMOUS: no caller could")
    assert str(raised.value) == "\n".join(raised.value.messages)


def test_what_cannot_be_read_is_not_reported_as_missing(tmp_path: Path) -> None:
    name = "ORDERS_UPSTREAM__ACCESS_KEY_SECRET"
    (tmp_path / name).write_bytes(b"\xff\xfe")
    environ = {key: value for key, value in REQUIRED.items() if key != name}
    with pytest.raises(SettingsError) as raised:
        load(environ | {"ORDERS_SECRETS_DIR": str(tmp_path)}, dotenv=NO_FILE)
    assert raised.value.messages == (f"{name} (secret file {name}): must be UTF-8 text",)


def test_an_option_of_the_wrong_type_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"ORDERS_CALLERS__API_KEYS_FILE .*: is not valid"):
        load(REQUIRED, dotenv=NO_FILE, callers={"api_keys_file": 7})


def test_an_option_that_is_no_setting_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"ORDERS_CACHE__TLL .*: is not a setting"):
        load(REQUIRED, dotenv=NO_FILE, cache={"tll": 7})


def test_the_traceback_of_an_error_shows_no_value() -> None:
    with pytest.raises(SettingsError) as raised:
        settings_of(UPSTREAM__ACCESS_KEY_SECRET=CANARY + "é", CACHE__TTL="soon")
    assert raised.value.__cause__ is None
    assert CANARY not in f"{raised.value!r} {raised.value.__context__!r}"


# Without configuration


def test_settings_for_the_openapi_document_need_no_environment() -> None:
    assert Settings.for_openapi().cache.ttl == 60


def test_the_sandbox_needs_no_configuration_and_grants_every_scope_on_loopback() -> None:
    settings = load_for_sandbox(EMBEDDED, {}, dotenv=NO_FILE)
    assert find_warnings(settings) == ()
    assert settings.upstream.base_url == "http://127.0.0.1:4711"
    assert settings.anonymous_scopes() == SCOPES
    assert settings.upstream.currency == "CNY"


def test_a_configured_currency_applies_to_the_sandbox() -> None:
    environ = {"ORDERS_UPSTREAM__CURRENCY": "EUR"}
    assert load_for_sandbox(EMBEDDED, environ, dotenv=NO_FILE).upstream.currency == "EUR"


def test_the_sandbox_reports_the_settings_that_it_ignores() -> None:
    environ = {
        "ORDERS_UPSTREAM__BASE_URL": "not even a URL",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "secret",
        "ORDERS_UPSTREAM__POOL_ID": "pinned",
        "ORDERS_UPSTREAM__DEADLINE": "30",
        "ORDERS_CALLERS__ANONYMOUS": "false",
    }
    settings = load_for_sandbox(EMBEDDED, environ, dotenv=NO_FILE, server={"port": 1})
    ignored = "is ignored: --sandbox uses the embedded upstream"
    assert find_warnings(settings) == (
        f"ORDERS_UPSTREAM__BASE_URL (environment) {ignored}",
        f"ORDERS_UPSTREAM__ACCESS_KEY_SECRET (environment) {ignored}",
        f"ORDERS_UPSTREAM__POOL_ID (environment) {ignored}",
        (
            "ORDERS_CALLERS__ANONYMOUS (environment) is ignored: --sandbox grants every scope"
            " without a key"
        ),
    )
    upstream = settings.upstream
    assert upstream.access_key_secret.get_secret_value() == "embedded-secret"
    assert (upstream.pool_id, upstream.deadline, settings.server.port) == (None, 30, 1)


@pytest.mark.parametrize("given_by", ["option", "variable"])
def test_a_sandbox_beyond_loopback_requires_authentication(given_by: str) -> None:
    host = "0.0.0.0"  # noqa: S104 - it is refused
    environ = {"ORDERS_SERVER__HOST": host} if given_by == "variable" else {}
    options = {"server": {"host": host}} if given_by == "option" else {}
    with pytest.raises(SettingsError, match="no caller could authenticate"):
        load_for_sandbox(EMBEDDED, environ, dotenv=NO_FILE, **options)
    settings = load_for_sandbox(
        EMBEDDED, environ | {"ORDERS_CALLERS__ANONYMOUS": "true"}, dotenv=NO_FILE, **options
    )
    assert settings.anonymous_scopes() == ("orders:read",)


# Reading the credential again


def test_the_credential_is_read_again_from_all_its_sources(tmp_path: Path) -> None:
    environ = {"ORDERS_SECRETS_DIR": str(tmp_path), "ORDERS_CALLERS__ANONYMOUS": "true"}
    write(tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_ID", "id\n")
    files = CredentialFiles(environ, dotenv=tmp_path / ".env")
    with pytest.raises(SettingsError, match="ORDERS_UPSTREAM__ACCESS_KEY_SECRET: is required"):
        files.read()
    write(tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_SECRET", CANARY)
    assert [value.get_secret_value() for value in files.read()] == ["id", CANARY]
    assert CANARY not in repr(files.read())
    write(tmp_path / ".env", "ORDERS_UPSTREAM__ACCESS_KEY_ID=from-dotenv")
    assert files.read()[0].get_secret_value() == "from-dotenv"


def test_only_errors_of_the_credential_prevent_reading_it_again(tmp_path: Path) -> None:
    environ = REQUIRED | {"ORDERS_SECRETS_DIR": str(tmp_path)}
    files = CredentialFiles(environ, dotenv=tmp_path / ".env")
    write(tmp_path / ".env", "ORDERS_CACHE__TLL=1\nORDERS_CACHE__TTL=soon\n")
    with pytest.raises(SettingsError):
        load(environ, dotenv=tmp_path / ".env")
    assert files.read()[0].get_secret_value() == "id"
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env: must be UTF-8 text"):
        files.read()


def test_a_credential_that_a_request_could_not_carry_is_refused(tmp_path: Path) -> None:
    name = "ORDERS_UPSTREAM__ACCESS_KEY_SECRET"
    write(tmp_path / name, f"{CANARY}\n{CANARY}")
    environ = {"ORDERS_UPSTREAM__ACCESS_KEY_ID": "id", "ORDERS_SECRETS_DIR": str(tmp_path)}
    with pytest.raises(SettingsError) as raised:
        CredentialFiles(environ, dotenv=NO_FILE).read()
    (message,) = raised.value.messages
    assert message.startswith(f"{name} (secret file {name}): must be printable ASCII")
    assert CANARY not in message


def test_the_credential_files_to_watch_are_those_in_the_secrets_directory(tmp_path: Path) -> None:
    environ = REQUIRED | {"ORDERS_SECRETS_DIR": str(tmp_path)}
    assert CredentialFiles(environ, dotenv=NO_FILE).paths == (
        tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
    )
    assert CredentialFiles(REQUIRED, dotenv=NO_FILE).paths == ()


def test_an_error_of_a_combination_is_reported_with_the_others() -> None:
    errors = errors_of(CACHE__TTL="soon", UPSTREAM__READ_TIMEOUT="9")
    assert [error.partition(" ")[0] for error in errors] == [
        "ORDERS_CACHE__TTL",
        "ORDERS_UPSTREAM__READ_TIMEOUT",
    ]
