"""Which pages may ask from a browser."""

import httpx
import pytest

from app.edge.auth import ApiKeyAuthentication, ApiKeyStore
from app.edge.cors import Cors
from tests.edge.asgi_harness import Behind, ask
from tests.support.clock import ManualClock

PAGE = "https://dashboard.example"
OTHER = "https://other.example"


def cors(behind: Behind, *, api_keys: bool = False, origins: tuple[str, ...] = (PAGE,)) -> Cors:
    nobody = ApiKeyAuthentication(behind, ApiKeyStore((), ManualClock()))
    return Cors(nobody, origins=origins, api_keys=api_keys)


async def preflight(layer: Cors, origin: str = PAGE, **more: str) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    asked |= {f"Access-Control-Request-{name.title()}": value for name, value in more.items()}
    return await ask(layer, method="OPTIONS", headers=asked)


async def test_a_preflight_is_answered_without_a_key() -> None:
    behind = Behind()

    answer = await preflight(
        cors(behind), headers="authorization, cache-control, if-none-match, x-request-id"
    )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"
    assert len(answer.headers.get_list("vary")) == 1
    assert answer.content == b""
    assert behind.contexts == []


@pytest.mark.parametrize("asked", [{"headers": "x-api-key"}, {"method": "POST"}, {"origin": OTHER}])
async def test_a_refused_preflight_is_a_problem(asked: dict[str, str]) -> None:
    answer = await preflight(cors(Behind()), **asked)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert OTHER not in answer.text


async def test_a_page_may_send_a_key_only_if_the_operator_says_so() -> None:
    refused = await preflight(cors(Behind(), api_keys=False), headers="x-api-key")
    allowed = await preflight(cors(Behind(), api_keys=True), headers="x-api-key")

    assert (refused.status_code, allowed.status_code) == (400, 204)


async def test_with_no_origin_configured_a_preflight_ends_here_all_the_same() -> None:
    behind = Behind()

    answer = await preflight(cors(behind, origins=()))

    assert answer.status_code == 400
    assert behind.contexts == []


async def test_a_page_can_read_why_it_was_refused() -> None:
    answer = await ask(cors(Behind()), headers={"Origin": PAGE})

    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == PAGE
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert exposed >= {"X-Request-Id", "Vary", "X-Upstream-Request-Id", "ETag", "Age"}
    assert exposed >= {"Cache-Control", "X-Total-Count", "X-Freshness", "Link", "Cache-Status"}
    assert exposed >= {"Retry-After", "X-Sandbox"}


async def test_a_page_of_another_origin_is_told_nothing() -> None:
    answer = await ask(cors(Behind()), headers={"Origin": OTHER})

    assert "access-control-allow-origin" not in answer.headers


async def test_options_without_an_origin_is_no_preflight() -> None:
    answer = await ask(cors(Behind()), method="OPTIONS")

    assert answer.status_code == 401


async def test_options_that_asks_for_no_method_is_no_preflight() -> None:
    answer = await ask(cors(Behind()), method="OPTIONS", headers={"Origin": PAGE})

    assert answer.status_code == 401


async def test_who_names_no_origin_hears_nothing_of_cors() -> None:
    asked = {"Access-Control-Request-Method": "GET"}

    answer = await ask(cors(Behind()), method="OPTIONS", headers=asked)

    assert answer.status_code == 401
    assert not [name for name in answer.headers if name.startswith("access-control-")]
