"""Settings: their sources and precedence, what is refused, and that errors show no secret."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from app.settings import (
    SCOPES,
    CredentialFiles,
    Settings,
    SettingsError,
    is_loopback,
    load,
    load_api_keys,
    load_for_sandbox,
)
from app.settings.errors import RENAMED, example_values

NO_FILE = Path("/missing/.env")
CANARY = "canary-7f3a"
REQUIRED = {
    "ORDERS_UPSTREAM__ACCESS_KEY_ID": "id",
    "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": "secret",
    "ORDERS_CALLERS__ANONYMOUS": "true",
}
ENTRY: dict[str, Any] = {"name": "dashboard", "sha256": "a" * 64, "scopes": ["orders:read"]}
EMBEDDED = {
    "base_url": "http://127.0.0.1:4711",
    "access_key_id": "embedded",
    "access_key_secret": "embedded-secret",
}


def settings_of(**more: str) -> Settings:
    return load(
        REQUIRED | {f"ORDERS_{name}": value for name, value in more.items()}, dotenv=NO_FILE
    )


def errors_of(**more: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        settings_of(**more)
    return raised.value.messages


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


# Sources


def test_a_credential_and_authentication_are_all_that_is_required() -> None:
    settings = settings_of()
    assert settings.upstream.base_url == "https://api.genauth.ai"
    assert settings.cache.ttl == 60
    assert settings.server.port == 8000
    assert settings.name == "orders"
    assert settings.warnings() == ()


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


def test_dotenv_may_name_the_secrets_directory(tmp_path: Path) -> None:
    write(tmp_path / "ORDERS_NAME", "from-a-file\n")
    dotenv = write(tmp_path / ".env", f"ORDERS_SECRETS_DIR={tmp_path}\n")
    assert load(REQUIRED, dotenv=dotenv).name == "from-a-file"


def test_dotenv_values_are_not_expanded(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "ORDERS_UPSTREAM__ACCESS_KEY_SECRET=a${HOME}b\n")
    environ = {name: value for name, value in REQUIRED.items() if "SECRET" not in name}
    secret = load(environ, dotenv=dotenv).upstream.access_key_secret
    assert secret.get_secret_value() == "a${HOME}b"


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_variable_is_not_set(empty: str, tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "ORDERS_CACHE__TTL=7\nORDERS_CACHE__STALE_WHILE_REVALIDATE\n")
    environ = REQUIRED | {"ORDERS_CACHE__TTL": empty, "ORDERS_CALLERS__GRANTS": empty}
    cache = load(environ, dotenv=dotenv).cache
    assert (cache.ttl, cache.stale_while_revalidate) == (7, 300)


def test_names_outside_the_known_groups_are_ignored() -> None:
    settings = settings_of(
        NAMES="1", CACHE_TTL="1", UPSTREAM="{}", SHOP__TTL="1", NAME__X="1", IGNORED__X="1"
    )
    assert settings == settings_of()
    assert load(REQUIRED | {"orders_cache__ttl": "9"}, dotenv=NO_FILE).cache.ttl == 60


def test_no_variable_enables_the_sandbox() -> None:
    assert not settings_of(SANDBOX="true", SANDBOX__X="true").sandbox


# Error messages


def test_all_errors_are_reported_together_one_line_each_with_an_example() -> None:
    with pytest.raises(SettingsError) as raised:
        load(
            {
                "ORDERS_CACHE__TTL": "0",
                "ORDERS_CACHE__TTLL": "60",
                "ORDERS_UPSTREAM__BASE_URL": "http://api.example.com",
                "ORDERS_SECRETS_DIR": "/missing",
            },
            dotenv=NO_FILE,
        )
    assert [line.partition(":")[0] for line in raised.value.messages] == [
        "ORDERS_SECRETS_DIR",
        "ORDERS_UPSTREAM__BASE_URL",
        "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
        "ORDERS_CACHE__TTL",
        "ORDERS_CACHE__TTLL",
        "ORDERS_CALLERS__ANONYMOUS",
    ]
    assert raised.value.messages[4] == (
        "ORDERS_CACHE__TTL: must be at least 1. Example: ORDERS_CACHE__TTL=60"
    )
    assert str(raised.value) == "\n".join(raised.value.messages)


def test_a_misspelt_name_is_an_error_that_suggests_the_nearest_one() -> None:
    assert errors_of(CACHE__TLL="1") == (
        "ORDERS_CACHE__TLL: is not a setting; did you mean ORDERS_CACHE__TTL?",
    )
    assert errors_of(LOG__ZZZZZZZZZ="1") == ("ORDERS_LOG__ZZZZZZZZZ: is not a setting",)
    assert errors_of(CACHE__TTL__X="1") == (
        "ORDERS_CACHE__TTL__X: is not a setting; did you mean ORDERS_CACHE__TTL?",
    )


@pytest.mark.parametrize("source", ["environment", "dotenv", "secret file"])
@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_an_error_with_the_new_name(
    old: str, new: str, source: str, tmp_path: Path
) -> None:
    environ, dotenv = dict(REQUIRED), tmp_path / ".env"
    if source == "environment":
        environ[old] = "5"
    elif source == "dotenv":
        write(dotenv, f"{old}=5\n")
    else:
        write(tmp_path / old, "5\n")
        environ["ORDERS_SECRETS_DIR"] = str(tmp_path)
    with pytest.raises(SettingsError) as raised:
        load(environ, dotenv=dotenv)
    assert raised.value.messages == (f"{old}: has been renamed to {new}",)
    assert new in example_values(Settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSTREAM__BASE_URL", "api.genauth.ai"),
        ("UPSTREAM__BASE_URL", "https://user:CANARY@api.genauth.ai"),
        ("UPSTREAM__BASE_URL", "https://api.genauth.ai/?x=CANARY"),
        ("UPSTREAM__BASE_URL", "https://[CANARY"),
        ("UPSTREAM__BASE_URL", "https://host:CANARY"),
        ("UPSTREAM__BASE_URL", "https://host:0"),
        ("UPSTREAM__BASE_URL", "https://"),
        ("UPSTREAM__BASE_URL", "https://CANARY .com"),
        ("UPSTREAM__BASE_URL", "ftp://CANARY.com"),
        ("UPSTREAM__ALLOW_HTTP", "CANARY"),
        ("UPSTREAM__AUTH", "CANARY"),
        ("UPSTREAM__BRAND", "CANARY"),
        ("UPSTREAM__POOL_ID", "CANARY!"),
        ("UPSTREAM__TIMEZONE", "CANARY"),
        ("UPSTREAM__TIMEZONE", "../CANARY"),
        ("UPSTREAM__TIMEZONE", "Asia"),
        ("UPSTREAM__CURRENCY", "CANARY"),
        ("UPSTREAM__CURRENCY", "cny"),
        ("UPSTREAM__CA_FILE", "/missing/CANARY"),
        ("UPSTREAM__PROXY", "CANARY"),
        ("UPSTREAM__CONNECT_TIMEOUT", "0"),
        ("UPSTREAM__READ_TIMEOUT", "-1"),
        ("UPSTREAM__DEADLINE", "inf"),
        ("UPSTREAM__MAX_CONCURRENCY", "0"),
        ("UPSTREAM__MAX_RATE", "0.5"),
        ("UPSTREAM__MAX_RATE", "100001"),
        ("UPSTREAM__REFRESH_RATE", "0"),
        ("CACHE__TTL", "0.9"),
        ("CACHE__TTL", "nan"),
        ("CACHE__STALE_WHILE_REVALIDATE", "-1"),
        ("CACHE__STALE_IF_ERROR", "-0.1"),
        ("CACHE__NO_CACHE_MIN_AGE", "CANARY"),
        ("CACHE__MAX_STALE_WAIT", "0"),
        ("CACHE__MAX_ORDERS", "0"),
        ("CACHE__URL", "https://:CANARY@store"),
        ("CALLERS__API_KEYS", "CANARY"),
        ("CALLERS__API_KEYS", '"CANARY"'),
        ("CALLERS__API_KEYS", "[" * 100_000),
        ("CALLERS__API_KEYS_FILE", "/missing/CANARY"),
        ("CALLERS__RATE", "CANARY"),
        ("CALLERS__SCAN_RATE", "0/minute"),
        ("CALLERS__DETAIL_RATE", "12/day"),
        ("CORS__ORIGINS", "https://a.example.com"),
        ("CORS__API_KEYS", "CANARY"),
        ("SERVER__HOST", "http://CANARY"),
        ("SERVER__PORT", "65536"),
        ("SERVER__PUBLIC_URL", "example.com/CANARY"),
        ("SERVER__TRUSTED_PROXIES", '["*"]'),
        ("SERVER__TRUSTED_PROXIES", '["CANARY"]'),
        ("SERVER__DRAIN_TIMEOUT", "-1"),
        ("SERVER__MAX_CONNECTIONS", "0"),
        ("METRICS__LISTEN", "CANARY"),
        ("METRICS__LISTEN", ":9100"),
        ("METRICS__LISTEN", "localhost:0"),
        ("DOCS__ENABLED", "CANARY"),
        ("LOG__LEVEL", "CANARY"),
        ("LOG__FORMAT", "CANARY"),
        ("NAME", "CANARY CANARY"),
    ],
)
def test_an_invalid_value_is_one_error_that_does_not_repeat_it(name: str, value: str) -> None:
    (error,) = errors_of(**{name: value.replace("CANARY", CANARY)})
    assert error.startswith(f"ORDERS_{name}: ")
    assert f". Example: ORDERS_{name}=" in error
    assert CANARY not in error


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("UPSTREAM__ALLOW_HTTP", "maybe", "must be true or false"),
        ("UPSTREAM__AUTH", "basic", "must be token or signature"),
        ("UPSTREAM__CONNECT_TIMEOUT", "0", "must be greater than 0"),
        ("UPSTREAM__DEADLINE", "inf", "must be a finite number"),
        ("UPSTREAM__MAX_RATE", "0.5", "must be a whole number"),
        ("UPSTREAM__MAX_RATE", "9" * 5000, "must be a whole number"),
        ("SERVER__MAX_BODY_BYTES", "1048577", "must be at most 1048576"),
        ("CACHE__TTL", "soon", "must be a number"),
        ("CALLERS__API_KEYS", "7", "must be a JSON list"),
        ("CALLERS__API_KEYS", "[7]", "entry 1: must be a JSON object"),
        ("CALLERS__API_KEYS", '[{"name": 7}]', "entry 1, name: must be a string"),
        ("CALLERS__RATE", "fast", "must be a number per second, minute or hour"),
        ("SERVER__HOST", "a b", "must be a host name or an IP address"),
    ],
)
def test_a_message_says_what_a_value_must_be(name: str, value: str, message: str) -> None:
    assert errors_of(**{name: value})[0].startswith(f"ORDERS_{name}: {message}")


def test_an_option_of_the_wrong_type_is_an_error() -> None:
    with pytest.raises(SettingsError, match="ORDERS_CALLERS__API_KEYS_FILE: is not valid"):
        load(REQUIRED, dotenv=NO_FILE, callers={"api_keys_file": 7})


def test_the_traceback_of_an_error_shows_no_value() -> None:
    with pytest.raises(SettingsError) as raised:
        settings_of(UPSTREAM__ACCESS_KEY_SECRET=CANARY, CACHE__TTL=CANARY)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert CANARY not in f"{raised.value!r} {raised.value.__context__!r}"


def test_printed_settings_show_no_secret() -> None:
    settings = settings_of(
        UPSTREAM__ACCESS_KEY_ID=CANARY,
        UPSTREAM__ACCESS_KEY_SECRET=CANARY,
        UPSTREAM__PROXY=f"http://user:{CANARY}@proxy:3128",
        CACHE__URL=f"rediss://:{CANARY}@store:6379/0",
    )
    assert CANARY not in f"{settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.upstream.proxy is not None
    assert settings.upstream.proxy.get_secret_value() == f"http://user:{CANARY}@proxy:3128"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_an_unreadable_secret_file_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ORDERS_NAME"
    path.mkdir() if content is None else path.write_bytes(content)
    assert errors_of(SECRETS_DIR=str(tmp_path)) == (
        "ORDERS_NAME: its file in ORDERS_SECRETS_DIR cannot be read",
    )


def test_an_unreadable_dotenv_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"ORDERS_NAME=\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(REQUIRED, dotenv=tmp_path / ".env")


# Validation


def test_settings_are_frozen() -> None:
    settings = settings_of()
    with pytest.raises(ValidationError):
        setattr(settings, "name", "other")  # noqa: B010 - mypy refuses the plain form, as it should
    with pytest.raises(ValidationError):
        setattr(settings.cache, "ttl", 1)  # noqa: B010 - as above


def test_seconds_may_be_fractions_and_timeouts_are_independent() -> None:
    settings = settings_of(
        CACHE__TTL="1.5",
        CACHE__STALE_WHILE_REVALIDATE="0",
        CACHE__STALE_IF_ERROR="0",
        UPSTREAM__CONNECT_TIMEOUT="9.5",
        UPSTREAM__DEADLINE="0.1",
    )
    assert (settings.cache.ttl, settings.upstream.connect_timeout) == (1.5, 9.5)


def test_stale_if_error_must_cover_stale_while_revalidate() -> None:
    """Both count from the end of the TTL."""
    variable = "ORDERS_CACHE__STALE_IF_ERROR"
    for more in (
        {"CACHE__STALE_IF_ERROR": "299"},
        {"CACHE__STALE_WHILE_REVALIDATE": "86401"},
        {"CACHE__STALE_WHILE_REVALIDATE": "2", "CACHE__STALE_IF_ERROR": "1"},
    ):
        (error,) = errors_of(**more)
        assert error.startswith(f"{variable}: must be at least ORDERS_CACHE__STALE_WHILE_REVALID")
    assert settings_of(CACHE__STALE_IF_ERROR="300").cache.stale_if_error == 300


def test_pages_of_other_origins_may_send_no_credentials_by_default() -> None:
    assert settings_of().cors.api_keys is False


def test_a_trailing_slash_of_a_url_is_removed() -> None:
    settings = settings_of(
        UPSTREAM__BASE_URL="https://iam.example.com/auth/", SERVER__PUBLIC_URL="https://a.b/orders/"
    )
    assert settings.upstream.base_url == "https://iam.example.com/auth"
    assert settings.server.public_url == "https://a.b/orders"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LOCALHOST"])
def test_http_is_allowed_on_loopback(host: str) -> None:
    settings = settings_of(UPSTREAM__BASE_URL=f"http://{host}:9090")
    assert settings.warnings() == ()


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example.com", "0.0.0.0"])  # noqa: S104 - it is refused
def test_http_elsewhere_is_refused_unless_allowed_and_then_warned_about(host: str) -> None:
    (error,) = errors_of(UPSTREAM__BASE_URL=f"http://{host}")
    assert "ORDERS_UPSTREAM__ALLOW_HTTP=true" in error
    settings = settings_of(UPSTREAM__BASE_URL=f"http://{host}", UPSTREAM__ALLOW_HTTP="true")
    assert settings.warnings() == (
        "ORDERS_UPSTREAM__BASE_URL is http: the credential is sent unencrypted",
    )


def test_an_invalid_allow_http_is_one_error() -> None:
    (error,) = errors_of(UPSTREAM__BASE_URL="http://a.example.com", UPSTREAM__ALLOW_HTTP="maybe")
    assert error.startswith("ORDERS_UPSTREAM__ALLOW_HTTP: ")


def test_a_host_name_other_than_localhost_is_not_loopback() -> None:
    assert is_loopback("::1")
    assert not is_loopback("")
    assert not is_loopback("example.com")


@pytest.mark.parametrize(
    "origin",
    ["https://a.example.com", "http://localhost:5173", "https://[::1]:8443", "http://a.b:443"],
)
def test_an_exact_origin_is_accepted(origin: str) -> None:
    assert settings_of(CORS__ORIGINS=json.dumps([origin])).cors.origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "https://*.example.com",
        r"https://.*\.example\.com",
        "https://a.example.com/",
        "https://a.example.com/path",
        "https://A.example.com",
        "https://a.example.com:443",
        "http://a.example.com:80",
        "https://a.example.com:0",
        "a.example.com",
        "file://",
        "https://a.example.com\n",
    ],
)
def test_anything_but_an_exact_origin_is_refused(origin: str) -> None:
    (error,) = errors_of(CORS__ORIGINS=json.dumps(["https://fine.example.com", origin]))
    assert error.startswith("ORDERS_CORS__ORIGINS: entry 2: must be an exact origin")


def test_trusted_proxies_are_addresses_and_networks() -> None:
    settings = settings_of(SERVER__TRUSTED_PROXIES='["10.1.2.3/8", "::1"]')
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_a_file_of_ca_certificates_is_accepted(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca_file)
    assert settings_of(UPSTREAM__CA_FILE=str(ca_file)).upstream.ca_file == ca_file


def test_a_ca_file_without_certificates_is_refused(tmp_path: Path) -> None:
    ca_file = write(tmp_path / "ca.pem", CANARY)
    (error,) = errors_of(UPSTREAM__CA_FILE=str(ca_file))
    assert "must name a file of PEM certificates" in error


def test_settings_without_effect_are_validated_and_warned_about() -> None:
    settings = settings_of(
        NAME="shop",
        CACHE__URL="redis://localhost:6379/0",
        CALLERS__RATE="0",
        CALLERS__SCAN_RATE="60/minute",
        CALLERS__DETAIL_RATE="2/second",
        CALLERS__API_KEYS=json.dumps([ENTRY | {"rate": "1/hour"}]),
        METRICS__LISTEN="127.0.0.1:9100",
    )
    effect = "is set but not implemented yet: it has no effect"
    assert settings.warnings() == (
        f"ORDERS_NAME {effect}",
        f"ORDERS_CACHE__URL {effect}",
        f"ORDERS_CALLERS__RATE {effect}",
        f"ORDERS_CALLERS__SCAN_RATE {effect}",
        f"ORDERS_CALLERS__DETAIL_RATE {effect}",
        f"ORDERS_METRICS__LISTEN {effect}",
        f"`rate` in ORDERS_CALLERS__API_KEYS {effect}",
    )


@pytest.mark.parametrize(
    "name",
    ["CALLERS__OIDC_ISSUER", "CALLERS__OIDC_AUDIENCE", "CALLERS__GRANTS", "LOGIN__CLIENT_ID"],
)
def test_settings_of_sign_in_are_refused_until_it_is_implemented(name: str) -> None:
    assert errors_of(**{name: CANARY}) == (f"ORDERS_{name}: is not implemented yet; remove it",)


# Authentication


def test_settings_without_any_authentication_are_refused() -> None:
    (error,) = errors_of(CALLERS__ANONYMOUS="false")
    assert "no caller could authenticate" in error
    assert "orders-bff keys new NAME" in error


def test_invalid_api_keys_are_one_error() -> None:
    (error,) = errors_of(CALLERS__API_KEYS="[", CALLERS__ANONYMOUS="false")
    assert error.startswith("ORDERS_CALLERS__API_KEYS: must be a JSON list")


def test_an_api_key_is_enough_authentication() -> None:
    entry = ENTRY | {"expires_at": "2027-01-01T00:00:00Z", "rate": "10/second"}
    settings = settings_of(CALLERS__ANONYMOUS="false", CALLERS__API_KEYS=json.dumps([entry]))
    (key,) = settings.callers.api_keys
    assert (key.name, key.scopes, key.rate) == ("dashboard", ("orders:read",), "10/second")
    assert settings.anonymous_scopes() == ()


def test_anonymous_callers_may_only_read_orders() -> None:
    assert settings_of().anonymous_scopes() == ("orders:read",)


def test_a_file_of_api_keys_is_enough_authentication(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", json.dumps([ENTRY | {"sha256": "b" * 64}]))
    settings = settings_of(
        CALLERS__ANONYMOUS="false",
        CALLERS__API_KEYS_FILE=str(path),
    )
    assert settings.callers.api_keys_file == path
    assert [entry.sha256[0] for entry in load_api_keys(path)] == ["b"]


def test_a_name_may_occur_twice_but_a_digest_only_once() -> None:
    twice = [ENTRY, ENTRY | {"sha256": "b" * 64}]
    assert len(settings_of(CALLERS__API_KEYS=json.dumps(twice)).callers.api_keys) == 2
    (error,) = errors_of(CALLERS__API_KEYS=json.dumps([ENTRY, ENTRY | {"name": "other"}]))
    assert "two entries are the same key" in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "no spaces"}, "entry 1, name: must be 1 to 64 letters"),
        ({"sha256": "A" * 64}, "entry 1, sha256: must be 64 hexadecimal digits"),
        ({"sha256": CANARY}, "entry 1, sha256: must be 64 hexadecimal digits"),
        ({"scopes": []}, "entry 1, scopes: must not be empty"),
        ({"expires_at": "2027-01-01T00:00:00"}, "entry 1, expires_at: must have a time zone"),
        ({"rate": "fast"}, "entry 1, rate: must be a number per second"),
        ({CANARY: 1}, "entry 1 has an unknown field"),
    ],
)
def test_an_invalid_entry_is_reported_by_position_and_field(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    text = json.dumps([ENTRY | change])
    (error,) = errors_of(CALLERS__API_KEYS=text)
    assert error.startswith(f"ORDERS_CALLERS__API_KEYS: {message}")
    (from_file,) = errors_of(CALLERS__API_KEYS_FILE=str(write(tmp_path / "keys.json", text)))
    assert message in from_file
    assert CANARY not in error + from_file


def test_an_unknown_scope_is_refused() -> None:
    errors = errors_of(CALLERS__API_KEYS=json.dumps([ENTRY | {"scopes": ["orders:write"]}]))
    assert "entry 1, scopes: must be orders:read, payments:read" in errors[0]
    assert "orders:write" not in "".join(errors)


# Without configuration


def test_settings_for_the_openapi_document_need_no_environment() -> None:
    assert Settings.for_openapi().cache.ttl == 60


def test_the_sandbox_needs_no_configuration_and_grants_every_scope_on_loopback() -> None:
    settings = load_for_sandbox(EMBEDDED, {}, dotenv=NO_FILE)
    assert settings.ignored == ()
    assert settings.upstream.base_url == "http://127.0.0.1:4711"
    assert settings.anonymous_scopes() == SCOPES


def test_the_sandbox_reports_the_upstream_settings_that_it_ignores() -> None:
    environ = REQUIRED | {
        "ORDERS_UPSTREAM__BASE_URL": "not even a URL",
        "ORDERS_UPSTREAM__POOL_ID": "pinned",
        "ORDERS_UPSTREAM__DEADLINE": "3",
    }
    settings = load_for_sandbox(EMBEDDED, environ, dotenv=NO_FILE, server={"port": 1})
    assert settings.ignored == (
        "ORDERS_UPSTREAM__BASE_URL",
        "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
        "ORDERS_UPSTREAM__POOL_ID",
    )
    upstream = settings.upstream
    assert upstream.access_key_secret.get_secret_value() == "embedded-secret"
    assert (upstream.pool_id, upstream.deadline, settings.server.port) == (None, 3, 1)


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


def test_the_credential_files_to_watch_are_those_in_the_secrets_directory(tmp_path: Path) -> None:
    environ = REQUIRED | {"ORDERS_SECRETS_DIR": str(tmp_path)}
    assert CredentialFiles(environ, dotenv=NO_FILE).paths == (
        tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
    )
    assert CredentialFiles(REQUIRED, dotenv=NO_FILE).paths == ()
