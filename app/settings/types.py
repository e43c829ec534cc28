"""Types of settings values. An error message never repeats the value."""

import ipaddress
import json
import re
import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def from_json(value: object) -> object:
    """Return what a JSON text contains; anything but a text is returned unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("must be a JSON list") from None


def _matches(pattern: str, message: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def _check_zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, LookupError):  # not a path, a folder of zones, no such zone
        raise ValueError("must be an IANA time zone") from None


def _check_url(value: str, *schemes: str) -> str:
    """Return `value` without trailing slashes if it is a URL with a host and one of `schemes`."""
    try:
        parts = urlsplit(value)
        has_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_address = False
    if not has_address or parts.scheme not in schemes or not re.fullmatch(r"[!-~]+", value):
        raise ValueError(f"must be a URL that starts with {':// or '.join(schemes)}://")
    return value.rstrip("/")


def _check_web_url(value: str) -> str:
    if re.search(r"[@?#]", value):
        raise ValueError("must not have a user, a query or a fragment")
    return _check_url(value, "https", "http")


def _secret_url(*schemes: str) -> AfterValidator:
    return AfterValidator(lambda url: SecretStr(_check_url(url.get_secret_value(), *schemes)))


def _check_origin(value: str) -> str:
    exact = re.fullmatch(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[1-9][0-9]{0,4})?", value)
    if not exact or exact[3] == {"https": ":443", "http": ":80"}[exact[1]]:
        raise ValueError(
            "must be an exact origin as browsers send it: scheme, host in lower case, and the port"
            " unless it is the default; `*`, `null`, patterns and paths are refused"
        )
    return value


def _check_network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("must be an IP address or a network") from None


def _check_listener(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("must be host:port")
    return value


def _check_certificates(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # ssl.SSLError is an OSError too
        raise ValueError("must name a file of PEM certificates") from None
    return path


Seconds = Annotated[float, Field(allow_inf_nan=False)]
Timeout = Annotated[Seconds, Field(gt=0)]
"""Seconds, more than 0."""
Name = Annotated[
    str,
    _matches(
        r"[A-Za-z0-9._-]{1,64}", "must be 1 to 64 letters, digits, dots, underscores or hyphens"
    ),
]
Sha256 = Annotated[str, _matches(r"[0-9a-f]{64}", "must be 64 hexadecimal digits in lower case")]
PoolId = Annotated[
    str,
    _matches(r"[A-Za-z0-9_-]{1,64}", "must be 1 to 64 letters, digits, underscores or hyphens"),
]
Currency = Annotated[
    str, _matches(r"[A-Z]{3}", "must be an ISO 4217 code: three letters in upper case")
]
Rate = Annotated[
    str,
    _matches(
        r"0|[1-9][0-9]{0,8}/(second|minute|hour)",
        "must be a number per second, minute or hour, as 6000/minute, or 0 for no limit",
    ),
]
"""Requests in a unit of time, as `6000/minute`; `0` disables the limit."""
Port = Annotated[int, Field(ge=0, le=65535)]
Host = Annotated[str, _matches(r"[A-Za-z0-9._:\[\]-]+", "must be a host name or an IP address")]
Zone = Annotated[str, AfterValidator(_check_zone)]
WebUrl = Annotated[str, AfterValidator(_check_web_url)]
# Secrets, because the URL may contain a password.
ProxyUrl = Annotated[SecretStr, _secret_url("http", "https")]
StoreUrl = Annotated[SecretStr, _secret_url("redis", "rediss")]
Origin = Annotated[str, AfterValidator(_check_origin)]
Network = Annotated[str, AfterValidator(_check_network)]
Listener = Annotated[str, AfterValidator(_check_listener)]
CertificatesFile = Annotated[Path, AfterValidator(_check_certificates)]
