"""What a value may look like. Knows no setting by name, and never repeats a value it refuses."""

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
    """Whether `host` can only be this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("should be a JSON list") from None


def _zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, LookupError):  # not a path, a folder of zones, no such zone
        raise ValueError("should be an IANA time zone") from None


def _url(value: str, *schemes: str) -> str:
    """`value` without slashes at its end, if it is a URL of one of `schemes` that names a host."""
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.scheme not in schemes or not re.fullmatch(r"[!-~]+", value):
        raise ValueError(f"should be a URL that starts with {':// or '.join(schemes)}://")
    return value.rstrip("/")


def _web_url(value: str) -> str:
    if re.search(r"[@?#]", value):
        raise ValueError("should carry no user, no query and no fragment")
    return _url(value, "https", "http")


def _proxy(value: SecretStr) -> SecretStr:
    return SecretStr(_url(value.get_secret_value(), "http", "https"))


def _store(value: SecretStr) -> SecretStr:
    return SecretStr(_url(value.get_secret_value(), "redis", "rediss"))


def _origin(value: str) -> str:
    exact = re.fullmatch(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[1-9][0-9]{0,4})?", value)
    if not exact or exact[3] == {"https": ":443", "http": ":80"}[exact[1]]:
        raise ValueError(
            "should be exact origins as browsers send them: scheme, host in lower case, port"
            " unless it is the default; `*`, `null`, patterns and paths are refused"
        )
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("should be IP addresses or networks") from None


def _listener(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("should be host:port")
    return value


def _certificates(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # what ssl raises is an OSError too
        raise ValueError("should name a file of PEM certificates") from None
    return path


Seconds = Annotated[float, Field(allow_inf_nan=False)]
Timeout = Annotated[Seconds, Field(gt=0)]
Rate = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8}/(second|minute|hour))$")]
"""Calls in a time, as `6000/minute`; `0` is off."""
Port = Annotated[int, Field(ge=0, le=65535)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:\[\]-]+$")]
Zone = Annotated[str, AfterValidator(_zone)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
"""Secret, because a proxy's URL may carry its password."""
StoreUrl = Annotated[SecretStr, AfterValidator(_store)]
"""Secret, because a store's URL may carry its password."""
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[str, AfterValidator(_network)]
Listener = Annotated[str, AfterValidator(_listener)]
CertificatesFile = Annotated[Path, AfterValidator(_certificates)]
