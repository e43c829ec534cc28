"""Types of settings values. Their error messages do not repeat the value."""

import codecs
import ipaddress
import json
import re
import ssl
from collections.abc import Iterable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from app.settings.currencies import CURRENCIES
from app.settings.files import UnreadableFile, read_bytes, within_timeout
from app.time_zones import time_zone_names

_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
"""The characters of RFC 3986, section 2."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_private(host: str) -> bool:
    """Return whether `host` is an address that the internet does not reach, or `localhost`.

    An unspecified address (`0.0.0.0`, `::`) is every address of the machine, and a name may be any.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return is_loopback(host)
    return address.is_private and not address.is_unspecified


def networks_overlap(networks: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether an address is in one of `networks` and in one of `others`."""
    pairs = product(map(ipaddress.ip_network, networks), map(ipaddress.ip_network, others))
    return any(one.version == other.version and one.overlaps(other) for one, other in pairs)


class _RepeatedName(ValueError):
    """A JSON object has a name twice, and it is not clear which value is meant."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _RepeatedName("must not have the same field twice in an entry")
    return members


def from_json(value: object) -> object:
    """Return what a JSON text contains; anything but a text is returned unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_object)
    except _RepeatedName:
        raise
    except (ValueError, RecursionError):
        raise ValueError("must be a JSON list") from None


def matches(pattern: str, message: str) -> AfterValidator:
    """Return a validator for texts that match a pattern as a whole."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _check_zone(value: str) -> str:
    if value not in time_zone_names():
        raise ValueError("must be an IANA time zone")
    return value


def _check_currency(value: str) -> str:
    if value not in CURRENCIES:
        raise ValueError("must be the code of a currency in ISO 4217: three letters in upper case")
    return value


def _is_host(host: str) -> bool:
    """Return whether `host` is an IP address or a host name (RFC 1123; underscores are allowed)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        # A name whose last label is a number would be taken for an IPv4 address.
        return len(host) <= 253 and not labels[-1].isdigit() and all(map(_is_label, labels))
    return True


def _is_label(label: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", label))


def _check_host(value: str) -> str:
    host = value[1:-1] if re.fullmatch(r"\[.*:.*\]", value) else value
    if not _is_host(host):
        raise ValueError("must be a host name or an IP address, without a port")
    return value


def _check_url(value: str, *schemes: str) -> str:
    """Return `value` in normal form if it is a URL with a host and one of `schemes`.

    The scheme and the host are in lower case; the default port and trailing slashes are removed.
    """
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    is_valid = _is_host(host) and port != 0 and _URL.fullmatch(value)
    if not is_valid or parts.scheme not in schemes:
        raise ValueError(f"must be a URL that starts with {':// or '.join(schemes)}://")
    user, at, _ = parts.netloc.rpartition("@")
    address = f"[{host}]" if ":" in host else host
    suffix = "" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{port}"
    return parts._replace(netloc=f"{user}{at}{address}{suffix}").geturl().rstrip("/")


def _check_web_url(value: str) -> str:
    if re.search(r"[@?#]", value):
        raise ValueError("must not have a user, a query or a fragment")
    url = _check_url(value, "https", "http")
    if any(segment in {"", ".", ".."} for segment in urlsplit(url).path.split("/")[1:]):
        raise ValueError("must not have empty path segments, `.` or `..`")
    return url


def _check_base_url(value: str) -> str:
    url = _check_web_url(value)
    if urlsplit(url).path:
        raise ValueError("must not have a path")
    return url


def _check_otlp_endpoint(value: str) -> str:
    """Return the URL that spans are posted to: `value`, with the standard path if it has none."""
    url = _check_web_url(value)
    return url if urlsplit(url).path else f"{url}/v1/traces"


def _check_proxy_url(value: SecretStr) -> SecretStr:
    url = _check_url(value.get_secret_value(), "http", "https")
    parts = urlsplit(url)
    if parts.path or parts.query or parts.fragment:
        raise ValueError("must not have a path, a query or a fragment")
    return SecretStr(url)


def _check_store_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url.startswith("sqlite:"):
        if not re.fullmatch(r"sqlite:///[^/?#][^?#]*(?<!/)", url):
            raise ValueError(
                "must be sqlite:// followed by the absolute path of a file, as"
                " sqlite:///var/lib/orders-bff/cache.sqlite"
            )
        return value
    if not re.match(r"rediss?://", url, re.IGNORECASE):
        raise ValueError("must be a URL that starts with redis:// or rediss:// or sqlite://")
    try:
        url = _check_url(url, "redis", "rediss")
    except ValueError:
        raise ValueError(
            "must have a host, and a port from 1 to 65535 if any; in a user or password `/`, `?`,"
            " `#`, `@`, `:` and `%` must be percent-encoded"
        ) from None
    parts = urlsplit(url)
    if not re.fullmatch(r"(/[0-9]{1,4})?", parts.path) or parts.query or parts.fragment:
        raise ValueError("may have nothing after the host and port but `/` and a database number")
    return SecretStr(url)


def _check_origin(value: str) -> str:
    message = (
        "must be an exact origin as browsers send it: scheme, host in lower case, and the port"
        " unless it is the default; `*`, `null`, patterns and paths are refused"
    )
    if not re.fullmatch(r"https?://[a-z0-9._:\[\]-]+", value):
        raise ValueError(message)
    try:
        is_normal = _check_url(value, "https", "http") == value
    except ValueError:
        is_normal = False
    if not is_normal:
        raise ValueError(message)
    return value


def _check_network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("must be an IP address or a network") from None


class HostPort(NamedTuple):
    """An address to listen on; a host that is an IPv6 address has no brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_listener(value: object) -> HostPort:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    is_port = re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535
    address = host[1:-1] if re.fullmatch(r"\[.*:.*\]", host) else host
    if not is_port or not _is_host(address) or (":" in address) != host.startswith("["):
        raise ValueError("must be host:port, with an IPv6 address in brackets")
    return HostPort(address, int(port))


def _check_certificates(path: Path) -> Path:
    try:
        within_timeout(partial(_load_certificates, path))
    except UnreadableFile as error:
        raise ValueError(f"the file {error}") from None
    return path


def _load_certificates(path: Path) -> None:
    if read_bytes(path).startswith(codecs.BOM_UTF8):
        # OpenSSL would not see the first certificate.
        raise UnreadableFile("must not start with a byte order mark")
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # ssl.SSLError is an OSError too
        raise UnreadableFile("must contain PEM certificates, and nothing incomplete") from None


def _check_secret(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("must be printable ASCII characters without spaces")
    return value


def _check_issuer(value: str) -> str:
    url = _check_web_url(value)
    if not url.startswith("https:") and not is_loopback(urlsplit(url).hostname or ""):
        raise ValueError("must start with https://")
    if "/.well-known/" in url:
        raise ValueError("must be the issuer itself, the URL before `/.well-known/`")
    return value


def _check_claim_value(value: str) -> str:
    if "*" in value:
        raise ValueError("must be one value of the claim: patterns are not supported")
    return value


_DAY, _YEAR = 86_400, 31_536_000
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=_DAY)]
Timeout = Annotated[float, Field(allow_inf_nan=False, ge=0.01, le=_DAY)]
"""Seconds, not 0."""
Age = Annotated[float, Field(allow_inf_nan=False, ge=0, le=_YEAR)]
"""Seconds for which an answer is cached."""
Ttl = Annotated[float, Field(allow_inf_nan=False, ge=1, le=_YEAR)]
"""Seconds, at least 1."""
Name = Annotated[
    str,
    matches(
        r"[A-Za-z0-9._-]{1,64}", "must be 1 to 64 letters, digits, dots, underscores or hyphens"
    ),
]
Sha256 = Annotated[str, matches(r"[0-9a-f]{64}", "must be 64 hexadecimal digits in lower case")]
PoolId = Annotated[
    str,
    matches(r"[A-Za-z0-9_-]{1,64}", "must be 1 to 64 letters, digits, underscores or hyphens"),
]
Currency = Annotated[str, AfterValidator(_check_currency)]
Rate = Annotated[
    str,
    matches(
        r"0|[1-9][0-9]{0,8}/(second|minute|hour)",
        "must be a number per second, minute or hour, as 6000/minute, or 0 for no limit",
    ),
]
"""Requests in a unit of time, as `6000/minute`; `0` disables the limit."""
Port = Annotated[int, Field(ge=0, le=65535)]
Host = Annotated[str, AfterValidator(_check_host)]
Zone = Annotated[str, AfterValidator(_check_zone)]
WebUrl = Annotated[str, AfterValidator(_check_web_url)]
OtlpEndpoint = Annotated[str, AfterValidator(_check_otlp_endpoint)]
"""OTLP over HTTP: a base URL, or the URL for traces."""
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
# Secrets, because the URL may contain a password.
ProxyUrl = Annotated[SecretStr, AfterValidator(_check_proxy_url)]
StoreUrl = Annotated[SecretStr, AfterValidator(_check_store_url)]
AccessKeyPart = Annotated[SecretStr, AfterValidator(_check_secret)]
IssuerUrl = Annotated[str, AfterValidator(_check_issuer)]
"""The issuer exactly as it writes itself: tokens are compared with it character by character."""
Audience = Annotated[
    str, matches(r"[!-~]{1,255}", "must be 1 to 255 printable ASCII characters without spaces")
]
ClaimName = Annotated[
    str, matches(r"[!-~]{1,255}", "must be 1 to 255 printable ASCII characters without spaces")
]
ClaimValue = Annotated[
    str, matches(r".{1,255}", "must be 1 to 255 characters"), AfterValidator(_check_claim_value)
]
Origin = Annotated[str, AfterValidator(_check_origin)]
Network = Annotated[str, AfterValidator(_check_network)]
Listener = Annotated[HostPort, BeforeValidator(_parse_listener)]
CertificatesFile = Annotated[Path, AfterValidator(_check_certificates)]
