"""Requests for another host are rejected."""

import httpx
import pytest
from starlette.types import ASGIApp

from app.edge.host_check import HostCheck
from app.edge.request_rules import RequestRules
from tests.edge.asgi_harness import RecordingApp, request


async def send(
    check: HostCheck, path: str = "/v1/orders", *, app: ASGIApp | None = None, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    rules = RequestRules(app or RecordingApp(), [check.check])
    return await request(rules, path, headers=named)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "orders.localhost:1",
        "127.0.0.1",
        "127.9.8.7:80",
        "127.0.0.1:",
        "[::1]:8000",
        "localhost.",
        "localhost.:80",
        "%6Cocal%68ost",
        "%3127.0.0.1",
        "[0:0:0:0:0:0:0:1]",
        "[::FFFF:127.0.0.1]",
    ],
)
async def test_on_loopback_its_names_are_accepted(host: str) -> None:
    response = await send(HostCheck(loopback=True), host=host)

    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost",
     "10.0.0.1", "[::2]", "[::ffff:10.0.0.1]", "127.0.0.256", "127.1", ".", ""],
)  # fmt: skip
async def test_on_loopback_another_host_is_misdirected(host: str) -> None:
    app = RecordingApp()

    response = await send(HostCheck(loopback=True), app=app, host=host)

    assert (response.status_code, response.json()["code"]) == (421, "misdirected_request")
    assert app.contexts == []


@pytest.mark.parametrize(
    ("public_url", "hosts", "others"),
    [
        (
            "https://Api.Example/orders",
            [
                "api.example",
                "API.EXAMPLE:443",
                "api.example:",
                "%61pi.example.:0443",
            ],
            ["api.example:80", "other.example", "api.example.evil.example", "api.example:8443"],
        ),
        ("http://api.example:80", ["api.example", "api.example:80"], ["api.example:443"]),
        ("https://api.example:8443", ["api.example:8443"], ["api.example", "api.example:443"]),
        ("https://[2001:DB8::1]", ["[2001:db8:0:0::1]:443"], ["[2001:db8::2]"]),
        ("", ["localhost"], ["", "api.example"]),
    ],
)
async def test_the_host_of_the_public_url_is_accepted_in_every_equal_form(
    public_url: str, hosts: list[str], others: list[str]
) -> None:
    host_check = HostCheck(loopback=True, public_url=public_url)

    assert [(await send(host_check, host=host)).status_code for host in hosts] == [200] * len(hosts)
    assert {(await send(host_check, host=host)).status_code for host in others} == {421}


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize(
    "host",
    ["localhost:80:80", "user@localhost", "a b", "[::1", "a/b", "a%zz", "a:65536", ":80", "[::g]",
     "[1:2]", "[v1.a]", "a" * 1025],
)  # fmt: skip
async def test_an_invalid_host_is_a_bad_request(host: str, loopback: bool) -> None:
    response = await send(HostCheck(loopback=loopback), host=host)

    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("host", ["a.example", "10.0.0.1:80", "[2001:db8::1]:80", "a_b:", ""])
async def test_on_the_network_every_valid_host_is_accepted(host: str) -> None:
    assert (await send(HostCheck(loopback=False), host=host)).status_code == 200


async def test_a_body_is_ignored() -> None:
    assert (await send(HostCheck(loopback=True), content_length="5")).status_code == 200


async def test_an_escaped_slash_is_not_a_separator() -> None:
    host_check = HostCheck(loopback=True)

    assert (await send(host_check, "/v1%2forders")).status_code == 404
    assert (await send(host_check, "/v1/order%73")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/orders%0a", "/v1/orders%0A", "/v1/me%0A"])
async def test_an_escaped_line_feed_is_part_of_no_path(path: str) -> None:
    response = await send(HostCheck(loopback=True), path)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
