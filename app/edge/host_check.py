"""The rule that rejects requests for another host, and escaped slashes in the path."""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import Scope

from app.edge.context import context_of
from app.edge.problems import Problem, problem_response

MAX_HOST_BYTES = 1024
"""More than a DNS name (RFC 1035) has with every byte percent-encoded, and a port."""

MAX_PORT = 65535

_AUTHORITY = re.compile(
    r"(?P<host>(?:[a-z0-9._~!$&'()*+,;=-]|%[0-9a-f]{2})*|\[(?P<ipv6>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[0-9]*))?"
)
"""Host and port in lower case (RFC 3986 section 3.2), without IPvFuture addresses."""

_ESCAPED = re.compile(rb"%(?:2f|0a)", re.IGNORECASE)
"""A proxy in front may take an escaped slash for a separator, and apply the rule of another path. A
pattern of the router that ends in `$` would accept an escaped line feed at the end."""

_ESCAPE = re.compile(r"%([0-9a-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Authority(NamedTuple):
    """A host and its port in normal form, so that equal authorities are equal.

    Attributes:
        host: in lower case, with no unreserved character percent-encoded and without the dot of a
            fully qualified name; an IP address in its shortest form, IPv6 in brackets.
        port: None if there is none or it is empty.
    """

    host: str
    port: int | None

    def is_loopback(self) -> bool:
        """Return whether the host is this machine, by its address or as `localhost`."""
        if self.host.startswith("["):
            address = IPv6Address(self.host[1:-1])
            return (address.ipv4_mapped or address).is_loopback
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return IPv4Address(self.host).is_loopback
        except AddressValueError:
            return False


@lru_cache(maxsize=64)
def parse_authority(text: bytes) -> Authority | None:
    """Return a `Host` value in normal form (RFC 9110 section 4.2.3), or None if it is invalid.

    An empty host is valid (RFC 9112 section 3.2), but not with a port.
    """
    lower = text.lower().decode("latin-1")
    match = _AUTHORITY.fullmatch(lower)
    if match is None or len(text) > MAX_HOST_BYTES:
        return None
    host, ipv6, port = match["host"], match["ipv6"], match["port"]
    if (port and int(port) > MAX_PORT) or (port is not None and not host):
        return None
    if ipv6:
        try:
            host = f"[{IPv6Address(ipv6).compressed}]"
        except AddressValueError:
            return None
    return Authority(_ESCAPE.sub(_unescape, host).removesuffix("."), int(port) if port else None)


def _unescape(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character.lower() if _UNRESERVED.fullmatch(character) else escape[0]


class HostCheck:
    """Rejects requests that are not meant for this server.

    A server on loopback accepts only loopback host names: otherwise a page on the web could point a
    name of its own at 127.0.0.1 and read the responses (DNS rebinding). It also accepts the host of
    `public_url`.
    """

    def __init__(self, *, loopback: bool, public_url: str = "") -> None:
        self._loopback = loopback
        parts = urlsplit(public_url)
        self._default_port = _DEFAULT_PORTS.get(parts.scheme)
        self._public = self._with_port(parse_authority(parts.netloc.encode()))
        self._host_problem = lru_cache(maxsize=64)(self._problem_of)

    def check(self, scope: Scope) -> Response | None:
        """Return the problem of a request that is rejected, or None."""
        code = self._reject_code(scope)
        if not code:
            return None
        # After a malformed head the rest of the connection cannot be trusted either.
        headers = (("Connection", "close"),) if code == "bad_request" else ()
        return problem_response(scope, Problem(code, headers=headers))

    def _reject_code(self, scope: Scope) -> str:
        """Return the problem code for a request to reject, or an empty text."""
        host = context_of(scope).headers.get(b"host")
        if host is not None and (code := self._host_problem(host)):
            return code
        return "not_found" if _ESCAPED.search(scope["raw_path"]) else ""

    def _problem_of(self, host: bytes) -> str:
        authority = parse_authority(host)
        if authority is None:
            return "bad_request"
        return "misdirected_request" if self._loopback and not self._is_own(authority) else ""

    def _is_own(self, authority: Authority) -> bool:
        if authority.is_loopback():
            return True
        return bool(self._public and self._public.host) and (
            self._with_port(authority) == self._public
        )

    def _with_port(self, authority: Authority | None) -> Authority | None:
        """Return `authority` with the default port of the public URL's scheme, if it has none."""
        if authority is None or authority.port is not None:
            return authority
        return authority._replace(port=self._default_port)
