"""The settings: where they come from, what is refused, and that a refusal tells no secret."""

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

NOWHERE = Path("/nowhere/.env")
CANARY = "canary-7f3a"
ENOUGH = {
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
    return load(ENOUGH | {f"ORDERS_{name}": value for name, value in more.items()}, dotenv=NOWHERE)


def faults_of(**more: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refusal:
        settings_of(**more)
    return refusal.value.messages


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


# Where they come from


def test_a_credential_and_a_way_in_are_enough() -> None:
    settings = settings_of()
    assert settings.upstream.base_url == "https://api.genauth.ai"
    assert settings.cache.ttl == 60
    assert settings.server.port == 8000
    assert settings.name == "orders"
    assert settings.warnings() == ()


def test_an_option_beats_the_environment_that_beats_dotenv_that_beats_the_secret_files(
    tmp_path: Path,
) -> None:
    for name in ("TTL", "STALE_WHILE_REVALIDATE", "STALE_IF_ERROR", "MAX_STALE_WAIT"):
        write(tmp_path / f"ORDERS_CACHE__{name}", "1\n")
    dotenv = write(
        tmp_path / ".env",
        "ORDERS_CACHE__TTL=2\nORDERS_CACHE__STALE_WHILE_REVALIDATE=2\nORDERS_CACHE__STALE_IF_ERROR=2\n",
    )
    environ = ENOUGH | {
        "ORDERS_SECRETS_DIR": str(tmp_path),
        "ORDERS_CACHE__TTL": "3",
        "ORDERS_CACHE__STALE_WHILE_REVALIDATE": "3",
    }
    cache = load(environ, dotenv=dotenv, cache={"ttl": 4}).cache
    assert (
        cache.ttl,
        cache.stale_while_revalidate,
        cache.stale_if_error,
        cache.max_stale_wait,
    ) == (4, 3, 2, 1)


def test_an_option_may_be_a_value_where_a_variable_is_json() -> None:
    origins = ["https://a.example.com"]
    settings = load(ENOUGH, dotenv=NOWHERE, cors={"origins": origins}, upstream={"ca_file": None})
    assert settings.cors.origins == ("https://a.example.com",)


def test_the_process_environment_is_read_where_none_is_given() -> None:
    before = {name: value for name, value in os.environ.items() if name.startswith("ORDERS_")}
    try:
        for name in before:
            del os.environ[name]
        os.environ |= ENOUGH
        assert load(dotenv=NOWHERE).upstream.access_key_id.get_secret_value() == "id"
    finally:
        for name in ENOUGH:
            os.environ.pop(name, None)
        os.environ |= before


def test_dotenv_may_name_the_secrets_folder(tmp_path: Path) -> None:
    write(tmp_path / "ORDERS_NAME", "told-by-a-file\n")
    dotenv = write(tmp_path / ".env", f"ORDERS_SECRETS_DIR={tmp_path}\n")
    assert load(ENOUGH, dotenv=dotenv).name == "told-by-a-file"


def test_a_dollar_in_dotenv_is_a_dollar(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "ORDERS_UPSTREAM__ACCESS_KEY_SECRET=a${HOME}b\n")
    environ = {name: value for name, value in ENOUGH.items() if "SECRET" not in name}
    secret = load(environ, dotenv=dotenv).upstream.access_key_secret
    assert secret.get_secret_value() == "a${HOME}b"


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_empty_is_absent(empty: str, tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "ORDERS_CACHE__TTL=7\nORDERS_CACHE__STALE_WHILE_REVALIDATE\n")
    environ = ENOUGH | {"ORDERS_CACHE__TTL": empty, "ORDERS_CALLERS__GRANTS": empty}
    cache = load(environ, dotenv=dotenv).cache
    assert (cache.ttl, cache.stale_while_revalidate) == (7, 300)


def test_names_outside_the_groups_are_ignored() -> None:
    settings = settings_of(NAMES="1", CACHE_TTL="1", UPSTREAM="{}", SHOP__TTL="1", NAME__X="1")
    assert settings == settings_of()
    assert load(ENOUGH | {"orders_cache__ttl": "9"}, dotenv=NOWHERE).cache.ttl == 60


def test_no_variable_can_claim_to_be_the_sandbox() -> None:
    assert not settings_of(SANDBOX="true", SANDBOX__X="true").sandbox


# How faults are told


def test_every_fault_is_told_in_one_go_a_line_each_with_an_example() -> None:
    with pytest.raises(SettingsError) as refusal:
        load(
            {
                "ORDERS_CACHE__TTL": "0",
                "ORDERS_CACHE__TTLL": "60",
                "ORDERS_UPSTREAM__BASE_URL": "http://api.example.com",
                "ORDERS_SECRETS_DIR": "/nowhere",
            },
            dotenv=NOWHERE,
        )
    assert [line.partition(":")[0] for line in refusal.value.messages] == [
        "ORDERS_SECRETS_DIR",
        "ORDERS_UPSTREAM__BASE_URL",
        "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
        "ORDERS_CACHE__TTL",
        "ORDERS_CACHE__TTLL",
        "ORDERS_CALLERS__ANONYMOUS",
    ]
    assert refusal.value.messages[4] == (
        "ORDERS_CACHE__TTL: should be greater than or equal to 1. Example: ORDERS_CACHE__TTL=60"
    )
    assert str(refusal.value) == "\n".join(refusal.value.messages)


def test_a_slip_of_the_pen_is_told_with_the_name_it_resembles() -> None:
    assert faults_of(CACHE__TLL="1") == (
        "ORDERS_CACHE__TLL: is not a setting; did you mean ORDERS_CACHE__TTL?",
    )
    assert faults_of(LOG__ZZZZZZZZZ="1") == ("ORDERS_LOG__ZZZZZZZZZ: is not a setting",)
    assert faults_of(CACHE__TTL__X="1") == (
        "ORDERS_CACHE__TTL__X: is not a setting; did you mean ORDERS_CACHE__TTL?",
    )


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
        ("UPSTREAM__CA_FILE", "/nowhere/CANARY"),
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
        ("CALLERS__API_KEYS_FILE", "/nowhere/CANARY"),
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
def test_a_value_out_of_bounds_is_one_fault_and_is_never_repeated(name: str, value: str) -> None:
    (fault,) = faults_of(**{name: value.replace("CANARY", CANARY)})
    assert fault.startswith(f"ORDERS_{name}: ")
    assert f". Example: ORDERS_{name}=" in fault
    assert CANARY not in fault


def test_a_fault_shows_nothing_of_the_others_in_its_traceback() -> None:
    with pytest.raises(SettingsError) as refusal:
        settings_of(UPSTREAM__ACCESS_KEY_SECRET=CANARY, CACHE__TTL=CANARY)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__
    assert CANARY not in f"{refusal.value!r} {refusal.value.__context__!r}"


def test_secrets_are_not_in_what_is_printed() -> None:
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
def test_a_secret_file_that_cannot_be_read_is_a_fault(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "ORDERS_NAME"
    path.mkdir() if content is None else path.write_bytes(content)
    assert faults_of(SECRETS_DIR=str(tmp_path)) == (
        "ORDERS_NAME: its file in ORDERS_SECRETS_DIR cannot be read",
    )


def test_a_dotenv_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"ORDERS_NAME=\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(ENOUGH, dotenv=tmp_path / ".env")


# What is accepted and refused


def test_settings_cannot_be_changed() -> None:
    settings = settings_of()
    with pytest.raises(ValidationError):
        setattr(settings, "name", "other")  # noqa: B010 - mypy refuses the plain form, as it should
    with pytest.raises(ValidationError):
        setattr(settings.cache, "ttl", 1)  # noqa: B010 - as above


def test_seconds_accept_decimals_and_there_is_no_rule_between_timeouts() -> None:
    settings = settings_of(
        CACHE__TTL="1.5",
        CACHE__STALE_WHILE_REVALIDATE="0",
        CACHE__STALE_IF_ERROR="0",
        UPSTREAM__CONNECT_TIMEOUT="9.5",
        UPSTREAM__DEADLINE="0.1",
    )
    assert (settings.cache.ttl, settings.upstream.connect_timeout) == (1.5, 9.5)


def test_a_slash_at_the_end_of_a_url_does_not_matter() -> None:
    settings = settings_of(
        UPSTREAM__BASE_URL="https://iam.example.com/auth/", SERVER__PUBLIC_URL="https://a.b/orders/"
    )
    assert settings.upstream.base_url == "https://iam.example.com/auth"
    assert settings.server.public_url == "https://a.b/orders"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LOCALHOST"])
def test_http_is_fine_on_loopback(host: str) -> None:
    settings = settings_of(UPSTREAM__BASE_URL=f"http://{host}:9090")
    assert settings.warnings() == ()


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example.com", "0.0.0.0"])  # noqa: S104 - it is refused
def test_http_elsewhere_is_refused_unless_allowed_and_then_said_at_each_start(host: str) -> None:
    (fault,) = faults_of(UPSTREAM__BASE_URL=f"http://{host}")
    assert "ORDERS_UPSTREAM__ALLOW_HTTP=true" in fault
    settings = settings_of(UPSTREAM__BASE_URL=f"http://{host}", UPSTREAM__ALLOW_HTTP="true")
    assert settings.warnings() == (
        "ORDERS_UPSTREAM__BASE_URL is http: the credential travels in clear",
    )


def test_a_faulty_allow_http_is_told_once() -> None:
    (fault,) = faults_of(UPSTREAM__BASE_URL="http://a.example.com", UPSTREAM__ALLOW_HTTP="maybe")
    assert fault.startswith("ORDERS_UPSTREAM__ALLOW_HTTP: ")


def test_only_this_machine_is_loopback() -> None:
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
def test_anything_but_an_exact_origin_refuses_the_start(origin: str) -> None:
    (fault,) = faults_of(CORS__ORIGINS=json.dumps(["https://fine.example.com", origin]))
    assert fault.startswith("ORDERS_CORS__ORIGINS: entry 2: should be exact origins")


def test_trusted_proxies_are_addresses_and_networks() -> None:
    settings = settings_of(SERVER__TRUSTED_PROXIES='["10.1.2.3/8", "::1"]')
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_a_private_ca_that_is_there_is_accepted(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca_file)
    assert settings_of(UPSTREAM__CA_FILE=str(ca_file)).upstream.ca_file == ca_file


def test_a_private_ca_that_is_no_certificate_refuses_the_start(tmp_path: Path) -> None:
    ca_file = write(tmp_path / "ca.pem", CANARY)
    (fault,) = faults_of(UPSTREAM__CA_FILE=str(ca_file))
    assert "should name a file of PEM certificates" in fault


def test_settings_that_do_nothing_yet_are_judged_and_named() -> None:
    settings = settings_of(
        UPSTREAM__REFRESH_RATE="5",
        CACHE__URL="redis://localhost:6379/0",
        CALLERS__RATE="0",
        CALLERS__SCAN_RATE="60/minute",
        CALLERS__DETAIL_RATE="2/second",
        METRICS__LISTEN="127.0.0.1:9100",
    )
    assert settings.idle() == settings.warnings()
    assert [line.split()[0] for line in settings.idle()] == [
        "ORDERS_CACHE__URL",
        "ORDERS_CALLERS__RATE",
        "ORDERS_CALLERS__SCAN_RATE",
        "ORDERS_CALLERS__DETAIL_RATE",
        "ORDERS_METRICS__LISTEN",
    ]
    assert all(line.endswith("is set, but does nothing yet") for line in settings.idle())


@pytest.mark.parametrize(
    "name",
    ["CALLERS__OIDC_ISSUER", "CALLERS__OIDC_AUDIENCE", "CALLERS__GRANTS", "LOGIN__CLIENT_ID"],
)
def test_login_that_is_not_built_yet_refuses_the_start(name: str) -> None:
    assert faults_of(**{name: CANARY}) == (f"ORDERS_{name}: is not built yet; unset it",)


# Who is let in


def test_the_start_is_refused_when_nobody_could_be_let_in() -> None:
    (fault,) = faults_of(CALLERS__ANONYMOUS="false")
    assert "nobody could be let in" in fault
    assert "orders-bff keys new NAME" in fault


def test_faulty_keys_are_told_without_saying_that_nobody_could_be_let_in() -> None:
    (fault,) = faults_of(CALLERS__API_KEYS="[", CALLERS__ANONYMOUS="false")
    assert fault.startswith("ORDERS_CALLERS__API_KEYS: should be a JSON list")


def test_a_key_is_a_way_in() -> None:
    entry = ENTRY | {"expires_at": "2027-01-01T00:00:00Z", "rate": "10/second"}
    settings = settings_of(CALLERS__ANONYMOUS="false", CALLERS__API_KEYS=json.dumps([entry]))
    (key,) = settings.callers.api_keys
    assert (key.name, key.scopes, key.rate) == ("dashboard", ("orders:read",), "10/second")
    assert settings.anonymous_scopes() == ()


def test_callers_without_a_key_may_read_orders_and_no_more() -> None:
    assert settings_of().anonymous_scopes() == ("orders:read",)


def test_a_file_of_keys_is_a_way_in(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.json", json.dumps([ENTRY | {"sha256": "b" * 64}]))
    settings = settings_of(
        CALLERS__ANONYMOUS="false",
        CALLERS__API_KEYS_FILE=str(path),
    )
    assert settings.callers.api_keys_file == path
    assert [entry.sha256[0] for entry in load_api_keys(path)] == ["b"]


def test_a_name_may_occur_twice_and_a_digest_once() -> None:
    twice = [ENTRY, ENTRY | {"sha256": "b" * 64}]
    assert len(settings_of(CALLERS__API_KEYS=json.dumps(twice)).callers.api_keys) == 2
    (fault,) = faults_of(CALLERS__API_KEYS=json.dumps([ENTRY, ENTRY | {"name": "other"}]))
    assert "two entries are the same key" in fault


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "no spaces"}, "entry 1, name: should match"),
        ({"sha256": "A" * 64}, "entry 1, sha256: should match"),
        ({"sha256": CANARY}, "entry 1, sha256: should match"),
        ({"scopes": []}, "entry 1, scopes: should have at least 1"),
        ({"expires_at": "2027-01-01T00:00:00"}, "entry 1, expires_at: should have timezone"),
        ({"rate": "fast"}, "entry 1, rate: should match"),
        ({CANARY: 1}, "entry 1 has a field that is not known"),
    ],
)
def test_a_faulty_entry_is_told_by_its_place_and_field(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    text = json.dumps([ENTRY | change])
    (fault,) = faults_of(CALLERS__API_KEYS=text)
    assert fault.startswith(f"ORDERS_CALLERS__API_KEYS: {told}")
    (filed,) = faults_of(CALLERS__API_KEYS_FILE=str(write(tmp_path / "keys.json", text)))
    assert told in filed
    assert CANARY not in fault + filed


def test_an_unknown_scope_is_refused() -> None:
    faults = faults_of(CALLERS__API_KEYS=json.dumps([ENTRY | {"scopes": ["orders:write"]}]))
    assert "entry 1, scopes: should be 'orders:read', 'payments:read'" in faults[0]
    assert "orders:write" not in "".join(faults)


# Without configuration


def test_the_document_needs_no_environment() -> None:
    assert Settings.for_openapi().cache.ttl == 60


def test_the_sandbox_needs_no_environment_and_gives_every_scope_on_loopback() -> None:
    made = load_for_sandbox(EMBEDDED, {}, dotenv=NOWHERE)
    assert made.ignored == ()
    assert made.settings.upstream.base_url == "http://127.0.0.1:4711"
    assert made.settings.anonymous_scopes() == SCOPES


def test_the_sandbox_ignores_the_configured_upstream_and_says_so() -> None:
    environ = ENOUGH | {
        "ORDERS_UPSTREAM__BASE_URL": "not even a URL",
        "ORDERS_UPSTREAM__POOL_ID": "pinned",
        "ORDERS_UPSTREAM__DEADLINE": "3",
    }
    made = load_for_sandbox(EMBEDDED, environ, dotenv=NOWHERE, server={"port": 1})
    assert made.ignored == (
        "ORDERS_UPSTREAM__BASE_URL",
        "ORDERS_UPSTREAM__ACCESS_KEY_ID",
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET",
        "ORDERS_UPSTREAM__POOL_ID",
    )
    upstream = made.settings.upstream
    assert upstream.access_key_secret.get_secret_value() == "embedded-secret"
    assert (upstream.pool_id, upstream.deadline, made.settings.server.port) == (None, 3, 1)


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_sandbox_that_others_can_reach_gives_nothing_away(by: str) -> None:
    host = "0.0.0.0"  # noqa: S104 - it is refused
    environ = {"ORDERS_SERVER__HOST": host} if by == "variable" else {}
    options = {"server": {"host": host}} if by == "option" else {}
    with pytest.raises(SettingsError, match="nobody could be let in"):
        load_for_sandbox(EMBEDDED, environ, dotenv=NOWHERE, **options)
    made = load_for_sandbox(
        EMBEDDED, environ | {"ORDERS_CALLERS__ANONYMOUS": "true"}, dotenv=NOWHERE, **options
    )
    assert made.settings.anonymous_scopes() == ("orders:read",)


# What changes while we run


def test_the_credential_is_read_again_as_a_start_would_read_it(tmp_path: Path) -> None:
    environ = {"ORDERS_SECRETS_DIR": str(tmp_path), "ORDERS_CALLERS__ANONYMOUS": "true"}
    write(tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_ID", "id\n")
    sources = CredentialFiles(environ, dotenv=tmp_path / ".env")
    before = sources.state()
    with pytest.raises(SettingsError, match="ORDERS_UPSTREAM__ACCESS_KEY_SECRET: is required"):
        sources.read()
    write(tmp_path / "ORDERS_UPSTREAM__ACCESS_KEY_SECRET", CANARY)
    assert sources.state() != before
    assert [value.get_secret_value() for value in sources.read()] == ["id", CANARY]
    assert CANARY not in repr(sources.read())
    write(tmp_path / ".env", "ORDERS_UPSTREAM__ACCESS_KEY_ID=from-dotenv")
    assert sources.read()[0].get_secret_value() == "from-dotenv"


def test_without_a_folder_of_secrets_nothing_seems_to_change(tmp_path: Path) -> None:
    sources = CredentialFiles(ENOUGH, dotenv=tmp_path / ".env")
    before = sources.state()
    write(tmp_path / ".env", "ORDERS_UPSTREAM__ACCESS_KEY_ID=other")
    assert sources.state() == before
