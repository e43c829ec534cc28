"""Combinations of settings: what cannot work is refused, and what has no effect is warned about."""

from pathlib import Path

import pytest
import trustme

from app.settings import Settings, find_warnings, load
from tests.settings.support import NO_FILE, REQUIRED, api_keys, errors_of, settings_of


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"UPSTREAM__CONNECT_TIMEOUT": "9"},
            (
                "UPSTREAM__CONNECT_TIMEOUT (environment): must be at most"
                " ORDERS_UPSTREAM__DEADLINE, which is 8"
            ),
        ),
        (
            {"UPSTREAM__READ_TIMEOUT": "2.5", "UPSTREAM__DEADLINE": "2"},
            "UPSTREAM__READ_TIMEOUT (environment): must be at most ORDERS_UPSTREAM__DEADLINE",
        ),
        (
            {"CACHE__MAX_STALE_WAIT": "8.1"},
            "CACHE__MAX_STALE_WAIT (environment): must be at most ORDERS_UPSTREAM__DEADLINE",
        ),
        (
            {"UPSTREAM__REFRESH_RATE": "51"},
            (
                "UPSTREAM__REFRESH_RATE (environment): must be at most ORDERS_UPSTREAM__MAX_RATE,"
                " which is 50"
            ),
        ),
        (
            {"CACHE__STALE_IF_ERROR": "299"},
            (
                "CACHE__STALE_IF_ERROR (environment): must be at least"
                " ORDERS_CACHE__STALE_WHILE_REVALIDATE"
            ),
        ),
        (
            {"CACHE__STALE_WHILE_REVALIDATE": "86401"},
            "CACHE__STALE_IF_ERROR: must be at least ORDERS_CACHE__STALE_WHILE_REVALIDATE",
        ),
        (
            {"UPSTREAM__POOL_ID": "pool", "UPSTREAM__AUTH": "signature"},
            (
                "UPSTREAM__POOL_ID (environment): cannot be checked with"
                " ORDERS_UPSTREAM__AUTH=signature"
            ),
        ),
        ({"CORS__API_KEYS": "true"}, "CORS__API_KEYS (environment): requires ORDERS_CORS__ORIGINS"),
        (
            {"UPSTREAM__BASE_URL": "http://localhost:8000"},
            "UPSTREAM__BASE_URL (environment): must not be the address of this server",
        ),
        ({"CALLERS__ANONYMOUS": "false"}, "CALLERS__ANONYMOUS (environment): no caller could"),
    ],
)
def test_a_combination_that_cannot_work_is_refused(more: dict[str, str], message: str) -> None:
    (error,) = errors_of(**more)
    assert error.startswith(f"ORDERS_{message}")


@pytest.mark.parametrize(
    "more",
    [
        {"UPSTREAM__DEADLINE": "0.1"},
        {"UPSTREAM__DEADLINE": "2", "UPSTREAM__READ_TIMEOUT": "2"},
        {"UPSTREAM__MAX_RATE": "1"},
        {"CACHE__STALE_WHILE_REVALIDATE": "0", "CACHE__STALE_IF_ERROR": "0"},
        {"UPSTREAM__BASE_URL": "http://localhost:8000", "SERVER__PORT": "0"},
    ],
)
def test_defaults_cause_no_error_of_a_bound(more: dict[str, str]) -> None:
    assert find_warnings(settings_of(**more)) == ()


def test_one_invalid_setting_of_a_combination_is_one_error() -> None:
    for more in (
        {"UPSTREAM__READ_TIMEOUT": "9", "UPSTREAM__DEADLINE": "soon"},
        {"UPSTREAM__BASE_URL": "http://a.example.com", "UPSTREAM__ALLOW_HTTP": "maybe"},
        {"CALLERS__API_KEYS": "[", "CALLERS__ANONYMOUS": "false"},
        {"CACHE__STALE_IF_ERROR": "-1", "CACHE__STALE_WHILE_REVALIDATE": "86401"},
    ):
        assert len(errors_of(**more)) == 1


def test_settings_without_any_authentication_are_refused() -> None:
    (error,) = errors_of(CALLERS__ANONYMOUS="false")
    assert "no caller could authenticate" in error
    assert "orders-bff keys new NAME" in error


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LOCALHOST"])
def test_http_is_allowed_on_loopback(host: str) -> None:
    settings = settings_of(UPSTREAM__BASE_URL=f"http://{host}:9090")
    assert find_warnings(settings) == ()


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example.com", "169.254.0.1"])
def test_http_elsewhere_is_refused_unless_allowed_and_then_warned_about(host: str) -> None:
    (error,) = errors_of(UPSTREAM__BASE_URL=f"http://{host}")
    assert "ORDERS_UPSTREAM__ALLOW_HTTP=true" in error
    settings = settings_of(UPSTREAM__BASE_URL=f"http://{host}", UPSTREAM__ALLOW_HTTP="true")
    assert find_warnings(settings) == (
        "ORDERS_UPSTREAM__BASE_URL is http: the credential is sent unencrypted",
    )


def test_settings_of_tls_without_tls_are_warned_about(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca_file)
    base_url = "http://127.0.0.1:9090"
    settings = settings_of(UPSTREAM__BASE_URL=base_url, UPSTREAM__CA_FILE=str(ca_file))
    assert find_warnings(settings) == (
        "ORDERS_UPSTREAM__CA_FILE has no effect: ORDERS_UPSTREAM__BASE_URL is http",
    )
    assert find_warnings(settings_of(UPSTREAM__ALLOW_HTTP="true")) == (
        "ORDERS_UPSTREAM__ALLOW_HTTP has no effect: ORDERS_UPSTREAM__BASE_URL is https",
    )
    to_proxy = {"UPSTREAM__PROXY": "https://proxy:3128", "UPSTREAM__CA_FILE": str(ca_file)}
    assert find_warnings(settings_of(UPSTREAM__BASE_URL=base_url, **to_proxy)) == ()


def test_trusted_proxies_that_cannot_connect_are_warned_about() -> None:
    def warnings(proxies: str, host: str) -> list[str]:
        return list(find_warnings(settings_of(SERVER__TRUSTED_PROXIES=proxies, SERVER__HOST=host)))

    any_host = "0.0.0.0"  # noqa: S104 - nothing listens here
    assert warnings('["10.0.0.0/8", "fd00::/8"]', "127.0.0.1") == [
        (
            "ORDERS_SERVER__TRUSTED_PROXIES has no effect: with ORDERS_SERVER__HOST=127.0.0.1 only"
            " this machine can connect"
        )
    ]
    assert warnings('["10.0.0.0/8"]', any_host) == []
    assert warnings('["127.0.0.1"]', "127.0.0.1") == []
    assert warnings('["::/0"]', any_host) == [
        (
            "ORDERS_SERVER__TRUSTED_PROXIES contains every address: any client can choose the"
            " address in logs and limits"
        )
    ]


def test_headers_of_rates_that_do_not_exist_are_warned_about() -> None:
    off = {"CALLERS__RATE": "0", "CALLERS__SCAN_RATE": "0", "CALLERS__DETAIL_RATE": "0"}
    with_headers = off | {"CALLERS__RATE_HEADERS": "true"}
    warning = "ORDERS_CALLERS__RATE_HEADERS has no effect: every rate is 0"
    assert find_warnings(settings_of(**with_headers)) == (warning,)
    assert find_warnings(settings_of(**off)) == ()
    assert find_warnings(settings_of(**with_headers | {"CALLERS__RATE": "1/second"})) == ()
    keys = api_keys({"rate": "1/hour"})
    assert find_warnings(settings_of(**with_headers, CALLERS__API_KEYS=keys)) == ()


def test_pages_of_other_origins_may_send_no_credentials_by_default() -> None:
    assert settings_of().cors.api_keys is False


def test_the_address_of_this_server_depends_on_the_option() -> None:
    environ = REQUIRED | {"ORDERS_UPSTREAM__BASE_URL": "http://localhost:8000"}
    assert isinstance(load(environ, dotenv=NO_FILE, server={"port": 9000}), Settings)


@pytest.mark.parametrize(
    ("listen", "warned"),
    [
        ("127.0.0.1:9100", False),
        ("[::1]:9100", False),
        ("localhost:9100", False),
        ("10.1.2.3:9100", False),
        ("[fd00::1]:9100", False),
        ("0.0.0.0:9100", True),
        ("[::]:9100", True),
        ("8.8.8.8:9100", True),
        ("metrics.example:9100", True),
    ],
)
def test_a_metrics_listener_that_others_may_reach_is_warned_about(
    listen: str, warned: bool
) -> None:
    warnings = find_warnings(settings_of(METRICS__LISTEN=listen))
    assert bool(warnings) is warned
    assert all(warning.startswith("ORDERS_METRICS__LISTEN is neither") for warning in warnings)
