"""The address of the client, where reverse proxies in front report it in X-Forwarded-For.

uvicorn's middleware for it is not used: it does not recognize a trusted proxy by its IPv4-mapped
IPv6 address, which is what a socket for both versions reports, and it takes any text for an
address. `Forwarded` and X-Real-IP are ignored: a proxy that sets one of the three headers passes on
what the client has sent in the others.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import Scope

MAX_HOPS = 20
"""Addresses of one header line that are read, from its end."""

MAX_CHARS = 64
"""Characters of an address with brackets, a zone and a port."""

_WITH_PORT = re.compile(r"(?:\[(.+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5})")


class ClientAddress:
    """Finds the address of the client of a request.

    Args:
        trusted_proxies: the networks whose X-Forwarded-For is used.
    """

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._networks = [ip_network(network) for network in trusted_proxies]

    def of(self, scope: Scope) -> str:
        """Return the address of the client in normal form, or an empty text without a peer.

        Each proxy appends the address of its peer to X-Forwarded-For. From the end, the first
        address that is not a trusted proxy's is the client's; what is on the left of it may have
        been made up. If that is not an address, the one before it counts.
        """
        peer = scope.get("client")
        if not peer:
            return ""
        if not self._networks:
            return _normal_form(peer[0])
        address = _parse(peer[0])
        if address is None:
            return ""
        for hop in _hops(scope["headers"]):
            if not self._is_trusted(address):
                break
            forwarded = _parse(hop.decode("latin-1")) if len(hop) <= MAX_CHARS else None
            if forwarded is None:
                break
            address = forwarded
        return str(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def limit_group(address: str) -> str:
    """Return what is limited as one caller: an IPv4 address, or an IPv6 network of 64 bits.

    One customer of a provider has at least such a network, with 2^64 addresses (RFC 6177).
    """
    parsed = _parse(address)
    if not isinstance(parsed, IPv6Address):
        return address
    return str(ip_network((int(parsed) >> 64 << 64, 64)))


def _hops(headers: Sequence[tuple[bytes, bytes]]) -> Iterable[bytes]:
    """Yield the elements of X-Forwarded-For, which may have several lines, from its end."""
    for name, value in reversed(headers):
        if name == b"x-forwarded-for":
            elements = value.rsplit(b",", MAX_HOPS)[-MAX_HOPS:]
            yield from (element for element in reversed(elements) if element.strip())


@lru_cache(maxsize=4096)
def _normal_form(address: str) -> str:
    parsed = _parse(address)
    return str(parsed) if parsed else ""


@lru_cache(maxsize=4096)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in `text`, which may have brackets and a port, or None."""
    host = text.strip()
    if with_port := _WITH_PORT.fullmatch(host):
        host = with_port[1] or with_port[2]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
