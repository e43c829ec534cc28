"""What is refused before anyone looks at it."""

import httpx
import pytest

from app.edge.host_check import HostCheck
from tests.edge.asgi_harness import Behind, ask


async def status_of(layer: HostCheck, path: str = "/v1/orders", **headers: str) -> httpx.Response:
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
    answer = await status_of(HostCheck(Behind(), loopback=True), host=host)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost",
     "10.0.0.1", "[::2]", ""],
)  # fmt: skip
async def test_bound_to_loopback_another_host_is_misdirected(host: str) -> None:
    behind = Behind()

    answer = await status_of(HostCheck(behind, loopback=True), host=host)

    assert (answer.status_code, answer.json()["code"]) == (421, "misdirected_request")
    assert behind.contexts == []


async def test_the_host_that_callers_know_leads_here_too() -> None:
    layer = HostCheck(Behind(), loopback=True, extra_host="Api.Example:8443")

    assert (await status_of(layer, host="api.example:8443")).status_code == 200
    assert (await status_of(layer, host="other.example:8443")).status_code == 421


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize("host", ["localhost:80:80", "user@localhost", "a b", "[::1", "a/b"])
async def test_a_host_that_is_none_is_a_bad_request(host: str, loopback: bool) -> None:
    answer = await status_of(HostCheck(Behind(), loopback=loopback), host=host)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("host", ["a.example", "10.0.0.1:80", "[2001:db8::1]:80", "a_b:", ""])
async def test_bound_to_the_network_every_host_that_is_one_leads_here(host: str) -> None:
    assert (await status_of(HostCheck(Behind(), loopback=False), host=host)).status_code == 200


async def test_bound_to_the_network_any_host_leads_here() -> None:
    assert (await status_of(HostCheck(Behind(), loopback=False), host="any")).status_code == 200


async def test_a_small_body_is_ignored() -> None:
    assert (
        await status_of(HostCheck(Behind(), loopback=True), content_length="5")
    ).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity"])
async def test_a_coding_that_is_not_read_is_a_bad_request_and_the_end(coding: str) -> None:
    answer = await status_of(HostCheck(Behind(), loopback=True), transfer_encoding=coding)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("coding", ["chunked", "Chunked"])
async def test_chunked_is_the_coding_that_is_read(coding: str) -> None:
    answer = await status_of(HostCheck(Behind(), loopback=True), transfer_encoding=coding)

    assert answer.status_code == 200


async def test_an_escaped_slash_parts_no_path() -> None:
    layer = HostCheck(Behind(), loopback=True)

    assert (await status_of(layer, "/v1%2forders")).status_code == 404
    assert (await status_of(layer, "/v1/order%73")).status_code == 200
