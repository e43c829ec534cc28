"""What is refused before anyone looks at it."""

import httpx
import pytest

from app.edge.hosts import Hosts
from tests.edge.door import Behind, ask

KIB = 1024


async def status_of(layer: Hosts, path: str = "/v1/orders", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(layer, path, headers=named)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "orders.localhost:1",
        "127.0.0.1",
        "127.9.8.7:80",
        "[::1]:8000",
    ],
)
async def test_bound_to_loopback_its_names_lead_here(host: str) -> None:
    answer = await status_of(Hosts(Behind(), loopback=True), host=host)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost",
     "10.0.0.1", "[::2]", "localhost:80:80", "user@localhost", ""],
)  # fmt: skip
async def test_bound_to_loopback_another_host_is_misdirected(host: str) -> None:
    behind = Behind()

    answer = await status_of(Hosts(behind, loopback=True), host=host)

    assert (answer.status_code, answer.json()["code"]) == (421, "misdirected_request")
    assert behind.exchanges == []


async def test_the_host_that_callers_know_leads_here_too() -> None:
    layer = Hosts(Behind(), loopback=True, also="Api.Example:8443")

    assert (await status_of(layer, host="api.example:8443")).status_code == 200
    assert (await status_of(layer, host="other.example:8443")).status_code == 421


async def test_bound_to_the_network_any_host_leads_here() -> None:
    assert (await status_of(Hosts(Behind(), loopback=False), host="any")).status_code == 200


async def test_a_target_of_more_than_8_kib_is_too_long() -> None:
    layer = Hosts(Behind(), loopback=True)
    fits = "/v1/orders?q=" + "x" * (8 * KIB - len("/v1/orders") - len("q="))

    assert (await status_of(layer, fits)).status_code == 200
    answer = await status_of(layer, fits + "x")
    assert (answer.status_code, answer.json()["code"]) == (414, "uri_too_long")


async def test_headers_of_more_than_64_kib_are_too_large() -> None:
    layer = Hosts(Behind(), loopback=True)

    assert (await status_of(layer, cookie="x" * 63 * KIB)).status_code == 200
    answer = await status_of(layer, cookie="x" * 64 * KIB)
    assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("length", ["0", "65536", "0000000000000000000001"])
async def test_a_small_body_is_ignored(length: str) -> None:
    answer = await status_of(Hosts(Behind(), loopback=True), content_length=length)

    assert answer.status_code == 200


@pytest.mark.parametrize("length", ["65537", "0000000000000099999999", "9" * 5000, "many", "-1"])
async def test_a_large_body_is_refused_and_not_read(length: str) -> None:
    answer = await status_of(Hosts(Behind(), loopback=True), content_length=length)

    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert answer.headers["connection"] == "close"
