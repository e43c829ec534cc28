"""Types of values: what is accepted, and what is refused with a message in our words."""

import codecs
import json
import os
from pathlib import Path

import pytest
import trustme

from app.settings import is_loopback
from tests.settings.support import errors_of, settings_of


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("UPSTREAM__ALLOW_HTTP", "maybe", "must be true or false"),
        ("UPSTREAM__AUTH", "basic", "must be token or signature"),
        ("UPSTREAM__BRAND", "auth0", "must be genauth or authing"),
        ("UPSTREAM__POOL_ID", "a!", "must be 1 to 64 letters, digits, underscores or hyphens"),
        ("UPSTREAM__TIMEZONE", "Shanghai", "must be an IANA time zone"),
        ("UPSTREAM__TIMEZONE", "../UTC", "must be an IANA time zone"),
        ("UPSTREAM__TIMEZONE", "Asia", "must be an IANA time zone"),
        ("UPSTREAM__TIMEZONE", "localtime", "must be an IANA time zone"),
        ("UPSTREAM__CURRENCY", "RMB", "must be the code of a currency in ISO 4217"),
        ("UPSTREAM__CURRENCY", "cny", "must be the code of a currency in ISO 4217"),
        ("UPSTREAM__CURRENCY", "XXX", "must be the code of a currency in ISO 4217"),
        ("UPSTREAM__CONNECT_TIMEOUT", "0", "must be at least 0.01"),
        ("UPSTREAM__READ_TIMEOUT", "-1", "must be at least 0.01"),
        ("UPSTREAM__DEADLINE", "inf", "must be a finite number"),
        ("UPSTREAM__DEADLINE", "1e300", "must be at most 86400"),
        ("UPSTREAM__MAX_CONCURRENCY", "0", "must be at least 1"),
        ("UPSTREAM__MAX_RATE", "0.5", "must be a whole number"),
        ("UPSTREAM__MAX_RATE", "9" * 5000, "must be a whole number"),
        ("UPSTREAM__MAX_RATE", "100001", "must be at most 100000"),
        ("UPSTREAM__REFRESH_RATE", "0", "must be greater than 0"),
        ("CACHE__TTL", "0.9", "must be at least 1"),
        ("CACHE__TTL", "nan", "must be a finite number"),
        ("CACHE__TTL", "soon", "must be a number"),
        ("CACHE__STALE_WHILE_REVALIDATE", "-1", "must be at least 0"),
        ("CACHE__STALE_IF_ERROR", "1e10", "must be at most 31536000"),
        ("CACHE__NO_CACHE_MIN_AGE", "1 minute", "must be a number"),
        ("CACHE__MAX_STALE_WAIT", "0", "must be at least 0.01"),
        ("CACHE__MAX_ORDERS", "0", "must be at least 1"),
        ("CACHE__MAX_ORDERS", "400001", "must be at most 400000"),
        ("CALLERS__RATE", "fast", "must be a number per second, minute or hour"),
        ("CALLERS__SCAN_RATE", "0/minute", "must be a number per second, minute or hour"),
        ("CALLERS__DETAIL_RATE", "12/day", "must be a number per second, minute or hour"),
        ("CORS__ORIGINS", "https://a.example.com", "must be a JSON list"),
        ("CORS__ORIGINS", '{"a": 1}', "must be a JSON list"),
        ("CORS__ORIGINS", "[7]", "entry 1: must be a string"),
        ("CORS__API_KEYS", "maybe", "must be true or false"),
        ("SERVER__PORT", "65536", "must be at most 65535"),
        ("SERVER__PORT", "http", "must be a whole number"),
        ("SERVER__TRUSTED_PROXIES", "10.0.0.0/8", "must be a JSON list"),
        ("SERVER__TRUSTED_PROXIES", '["*"]', "entry 1: must be an IP address or a network"),
        ("SERVER__DRAIN_TIMEOUT", "-1", "must be at least 0"),
        ("SERVER__MAX_CONNECTIONS", "0", "must be at least 1"),
        ("SERVER__MAX_BODY_BYTES", "1048577", "must be at most 1048576"),
        ("METRICS__LISTEN", "9100", "must be host:port"),
        ("METRICS__LISTEN", ":9100", "must be host:port"),
        ("METRICS__LISTEN", "localhost:65536", "must be host:port"),
        ("METRICS__LISTEN", "::1:9100", "must be host:port, with an IPv6 address in brackets"),
        ("METRICS__LISTEN", "[localhost]:9100", "must be host:port"),
        ("METRICS__LISTEN", "a b:9100", "must be host:port"),
        ("DOCS__ENABLED", "maybe", "must be true or false"),
        ("LOG__LEVEL", "trace", "must be debug, info, warning or error"),
        ("LOG__FORMAT", "xml", "must be auto, json or text"),
        ("NAME", "a b", "must be 1 to 64 letters, digits, dots, underscores or hyphens"),
    ],
)
def test_an_invalid_value_is_one_error_with_the_value_and_an_example(
    name: str, value: str, message: str
) -> None:
    (error,) = errors_of(**{name: value})
    assert error.startswith(f"ORDERS_{name} (environment): {message}")
    assert ". Value: " in error
    assert f". Example: ORDERS_{name}=" in error
    assert len(error) < 400


def test_a_time_zone_and_a_currency_that_exist_are_accepted() -> None:
    upstream = settings_of(UPSTREAM__TIMEZONE="Europe/Berlin", UPSTREAM__CURRENCY="EUR").upstream
    assert (upstream.timezone, upstream.currency) == ("Europe/Berlin", "EUR")


# URLs and hosts


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("api.genauth.ai", "must be a URL that starts with https:// or http://"),
        ("ftp://api.genauth.ai", "must be a URL that starts with https:// or http://"),
        ("https://", "must be a URL that starts with"),
        ("https://[::1", "must be a URL that starts with"),
        ("https://host:port", "must be a URL that starts with"),
        ("https://host:0", "must be a URL that starts with"),
        ("https://host:65536", "must be a URL that starts with"),
        ("https://a b.com", "must be a URL that starts with"),
        ("https://a..b", "must be a URL that starts with"),
        ("https://-a.b", "must be a URL that starts with"),
        ("https://10.0.0.256", "must be a URL that starts with"),
        ("https://host\\@other", "must not have a user, a query or a fragment"),
        ("https://host\\path", "must be a URL that starts with"),
        ("https://user:secret@api.genauth.ai", "must not have a user, a query or a fragment"),
        ("https://api.genauth.ai/?x=1", "must not have a user, a query or a fragment"),
        ("https://api.genauth.ai#x", "must not have a user, a query or a fragment"),
        ("https://api.genauth.ai/api/v3", "must not have a path"),
    ],
)
def test_a_base_url_is_an_origin(url: str, message: str) -> None:
    (error,) = errors_of(UPSTREAM__BASE_URL=url)
    assert error.startswith(f"ORDERS_UPSTREAM__BASE_URL (environment): {message}")
    assert "secret" not in error


@pytest.mark.parametrize("character", ['"', "<", ">", "^", "`", "{", "|", "}", "é"])
def test_a_url_has_the_characters_of_its_standard(character: str) -> None:
    (error,) = errors_of(SERVER__PUBLIC_URL=f"https://a.example.com/{character}")
    assert ": must be a URL that starts with https:// or http://" in error


@pytest.mark.parametrize("path", ["//a", "/a//b", "/../a", "/./a"])
def test_a_public_url_has_a_plain_path(path: str) -> None:
    (error,) = errors_of(SERVER__PUBLIC_URL=f"https://a.example.com{path}")
    assert ": must not have empty path segments, `.` or `..`" in error


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://api.example.com/", "https://api.example.com"),
        ("HTTPS://API.Example.com:443", "https://api.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("https://api.example.com:", "https://api.example.com"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://my_host.:8443", "https://my_host.:8443"),
    ],
)
def test_equal_urls_are_written_the_same_way(url: str, normal: str) -> None:
    settings = settings_of(UPSTREAM__BASE_URL=url, SERVER__PUBLIC_URL=url)
    assert settings.upstream.base_url == normal
    assert settings.server.public_url == normal


@pytest.mark.parametrize(
    "url", ["proxy:3128", "socks5://proxy", "http://proxy/path", "http://proxy?x", "http://a b"]
)
def test_a_proxy_is_an_http_or_https_address(url: str) -> None:
    (error,) = errors_of(UPSTREAM__PROXY=url)
    assert error.startswith("ORDERS_UPSTREAM__PROXY (environment): must ")
    assert "Value" not in error


@pytest.mark.parametrize("url", ["https://store", "valkey://store", "store:6379"])
def test_a_store_is_a_redis_address_or_a_file(url: str) -> None:
    (error,) = errors_of(CACHE__URL=url)
    assert "must be a URL that starts with redis:// or rediss:// or sqlite://" in error


@pytest.mark.parametrize(
    "url", ["redis:///0", "redis://store:0", "redis://u:pass/word@store", "rediss://u:pass#@store"]
)
def test_a_redis_address_has_a_host_and_an_encoded_password(url: str) -> None:
    (error,) = errors_of(CACHE__URL=url)
    assert "must have a host" in error
    assert "percent-encoded" in error
    assert "pass" not in error.replace("password", "")


@pytest.mark.parametrize("url", ["redis://store/name", "redis://store/0?db=1", "redis://store#1"])
def test_a_redis_address_has_nothing_but_a_database_number(url: str) -> None:
    (error,) = errors_of(CACHE__URL=url)
    assert "nothing after the host and port but `/` and a database number" in error


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://store.db", "sqlite:///folder/", "sqlite:////x"]
)
def test_the_file_of_a_store_is_an_absolute_path(url: str) -> None:
    (error,) = errors_of(CACHE__URL=url)
    assert "must be sqlite:// followed by the absolute path of a file, as sqlite:///var/" in error


@pytest.mark.parametrize(
    "url",
    ["redis://:secret@store:6379/2", "rediss://store", "sqlite:///var/lib/orders-bff/cache.sqlite"],
)
def test_a_store_may_be_on_another_machine_or_in_a_file(url: str) -> None:
    found = settings_of(CACHE__URL=url).cache.url
    assert found
    assert found.get_secret_value() in (url, url.replace(":6379", ""))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "::", "[::1]", "localhost", "LOCALHOST", "my-host.internal."]
)
def test_a_host_is_an_address_or_a_name(host: str) -> None:
    assert settings_of(SERVER__HOST=host).server.host == host


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000",
        "http://localhost",
        "[::1",
        "[localhost]",
        "::1]:80",
        ":::",
        "*",
        "a b",
        "256.0.0.1",
        "127.1",
        "a..b",
        "a" * 64,
        "-a",
    ],
)
def test_anything_but_a_host_is_refused(host: str) -> None:
    (error,) = errors_of(SERVER__HOST=host)
    assert ": must be a host name or an IP address, without a port. Value:" in error


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
        "https://a.example.com:08443",
        "https://a.example.com:65536",
        "https://user@a.example.com",
        "https://[::::]",
        "https://a..b",
        "a.example.com",
        "file://",
        "https://a.example.com\n",
    ],
)
def test_anything_but_an_exact_origin_is_refused(origin: str) -> None:
    (error,) = errors_of(CORS__ORIGINS=json.dumps(["https://fine.example.com", origin]))
    assert error.startswith("ORDERS_CORS__ORIGINS (environment): entry 2: must be an exact origin")


def test_trusted_proxies_are_addresses_and_networks() -> None:
    settings = settings_of(SERVER__TRUSTED_PROXIES='["10.1.2.3/8", "::1"]')
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1/128")


# The credential


@pytest.mark.parametrize("value", ["a b", "a\nb", "“a”", "a\u200b", "ключ"])
def test_a_credential_that_no_header_could_carry_is_refused(value: str) -> None:
    assert errors_of(UPSTREAM__ACCESS_KEY_SECRET=value) == (
        (
            "ORDERS_UPSTREAM__ACCESS_KEY_SECRET (environment): must be printable ASCII characters"
            " without spaces. Example: ORDERS_UPSTREAM__ACCESS_KEY_SECRET=<access key secret>"
        ),
    )


# Certificates


def pem(directory: Path) -> bytes:
    """Return the certificate of a private CA, which is also written to `ca.pem`."""
    trustme.CA().cert_pem.write_to_path(directory / "ca.pem")
    return (directory / "ca.pem").read_bytes()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_file_of_ca_certificates_is_accepted(line_end: bytes, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(pem(tmp_path).replace(b"\n", line_end))
    assert settings_of(UPSTREAM__CA_FILE=str(ca_file)).upstream.ca_file == ca_file


def test_a_ca_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    certificate = pem(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    contents = {
        "text": b"no certificate",
        "empty": b"",
        "cut": certificate[:-40],
        "marked": codecs.BOM_UTF8 + certificate,
        "utf-16": certificate.decode().encode("utf-16"),
        "large": b"x" * 1_048_577,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    reasons = {}
    for name in (*contents, "fifo", "missing", "."):
        (error,) = errors_of(UPSTREAM__CA_FILE=str(tmp_path / name))
        reasons[name] = error.partition(": ")[2].partition(". Value")[0]
    incomplete = "the file must contain PEM certificates, and nothing incomplete"
    assert reasons == {
        "text": incomplete,
        "empty": incomplete,
        "cut": incomplete,
        "marked": "the file must not start with a byte order mark",
        "utf-16": incomplete,
        "large": "the file must not be larger than 1 MiB",
        "fifo": "the file must be a regular file",
        "missing": "the file does not exist",
        ".": "the file must be a regular file",
    }


def test_a_path_that_is_no_path_is_refused() -> None:
    (error,) = errors_of(UPSTREAM__CA_FILE="a\0b")
    assert "the file must be a path" in error


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/otlp/v1/traces/", "https://collector/otlp/v1/traces"),
    ],
)
def test_the_endpoint_for_traces_has_the_standard_path_by_default(given: str, used: str) -> None:
    assert settings_of(TRACING__ENDPOINT=given).tracing.endpoint == used
