"""The client is the last address in X-Forwarded-For that is not a trusted proxy's."""

import pytest
from starlette.types import Scope

from app.edge.client_address import MAX_HOPS, ClientAddress, limit_group

PROXIES = ("10.0.0.0/8", "fd00::/8")


def client_of(
    *lines: str, peer: str | None = "10.0.0.1", trusted: tuple[str, ...] = PROXIES
) -> str:
    headers = [(b"host", b"localhost"), *((b"x-forwarded-for", line.encode()) for line in lines)]
    scope: Scope = {"client": peer and (peer, 1), "headers": headers}
    return ClientAddress(trusted).of(scope)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\t", "203.0.113.9"),
        ("203.0.113.9:1234", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
        ("203.0.113.9,,10.0.0.2,", "203.0.113.9"),
        ("10.0.0.7, 10.0.0.2", "10.0.0.7"),
    ],
)
def test_an_address_is_found_in_every_notation(line: str, address: str) -> None:
    assert client_of(line) == address


def test_what_is_on_the_left_of_the_first_untrusted_address_is_ignored() -> None:
    assert client_of("127.0.0.1, 198.51.100.1, 203.0.113.9") == "203.0.113.9"
    assert client_of("198.51.100.1, 203.0.113.9, 10.0.0.2, fd00::2") == "203.0.113.9"
    assert client_of("unknown, 10.0.0.3 , 203.0.113.9") == "203.0.113.9"


def test_several_header_lines_are_one_list() -> None:
    assert client_of("198.51.100.1", "203.0.113.9, 10.0.0.3", "10.0.0.2") == "203.0.113.9"


@pytest.mark.parametrize(
    "garbage",
    ["unknown", "_hidden", "[2001:db8::1", "[::1]x", "203.0.113.9:x", "256.1.1.1", "x" * 999],
)
def test_if_a_proxy_reports_something_else_its_own_address_counts(garbage: str) -> None:
    assert client_of(garbage) == "10.0.0.1"
    assert client_of(f"203.0.113.9, {garbage}, 10.0.0.2") == "10.0.0.2"


def test_the_header_of_an_untrusted_peer_is_ignored() -> None:
    assert client_of("203.0.113.9", peer="192.0.2.1") == "192.0.2.1"
    assert client_of("203.0.113.9", peer="10.0.0.1", trusted=()) == "10.0.0.1"
    assert client_of("203.0.113.9", peer="::1") == "::1"


def test_a_proxy_that_connects_to_a_socket_for_both_versions_is_recognized() -> None:
    assert client_of("203.0.113.9", peer="::ffff:10.0.0.1") == "203.0.113.9"
    assert client_of(peer="::ffff:10.0.0.1", trusted=()) == "10.0.0.1"


def test_without_a_header_the_peer_is_the_client() -> None:
    assert client_of() == "10.0.0.1"
    assert client_of("") == "10.0.0.1"


def test_a_peer_without_an_address_has_none() -> None:
    for trusted in ((), PROXIES):
        assert client_of("203.0.113.9", peer=None, trusted=trusted) == ""
        assert client_of("203.0.113.9", peer="testclient", trusted=trusted) == ""


def test_of_a_very_long_line_only_the_end_is_read() -> None:
    proxies = ", ".join(["10.0.0.9"] * MAX_HOPS)
    assert client_of(f"203.0.113.9, {proxies}") == "10.0.0.9"


def test_ipv6_addresses_of_one_network_are_one_caller() -> None:
    assert limit_group("2001:db8:1:2:3::4") == limit_group("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert limit_group("2001:db8:1:3::") != limit_group("2001:db8:1:2::")
    assert limit_group("203.0.113.9") == "203.0.113.9"
    assert limit_group("") == ""
