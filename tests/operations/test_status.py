"""The state of the proxy, as operators see it: right before, during and after an outage."""

from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from app.operations.schema import PURGE_EXAMPLE, STATUS_EXAMPLE, PurgeResponse, StatusResponse
from app.sandbox.options import Options
from tests.identity.forge import AUDIENCE, ISSUER, FakeIssuer, sign
from tests.support.proxy import LIST, Proxy, problem

PATH = "/v1/status"


def proxy_for_operators(**groups: Any) -> Proxy:
    return Proxy(**groups, sandbox=True)


async def status_of(proxy: Proxy) -> dict[str, Any]:
    """Return the state, after checking it against its model."""
    response = await proxy.get(PATH)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    TypeAdapter(StatusResponse).validate_python(response.json(), extra="forbid")
    data: dict[str, Any] = response.json()["data"]
    return data


def operation(status: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = (one for one in status["upstream"]["operations"] if one["operation"] == name)
    return found


@pytest.mark.parametrize(
    ("schema", "example"), [(StatusResponse, STATUS_EXAMPLE), (PurgeResponse, PURGE_EXAMPLE)]
)
def test_an_example_matches_its_schema_and_has_nothing_else(schema: Any, example: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(schema)
    assert adapter.validate_python(example, extra="forbid") == example


async def test_the_status_requires_the_scope_and_no_parameter() -> None:
    proxy = Proxy()
    response = await proxy.get(PATH)
    assert (response.status_code, problem(response)["code"]) == (403, "forbidden")
    response = await proxy_for_operators().get(f"{PATH}?verbose=1")
    assert (response.status_code, problem(response)["code"]) == (422, "invalid_request")


async def test_a_new_process_is_starting_and_makes_no_call_for_its_status() -> None:
    proxy = proxy_for_operators(cache={"ttl": 30})
    await proxy.clock.advance(5)
    status = await status_of(proxy)

    assert (status["state"], status["uptime_seconds"]) == ("starting", 5)
    assert status["started_at"] == "2026-11-23T12:00:00.000Z"
    assert status["upstream"]["operations"][0] == {"operation": "get-orders"}
    assert status["upstream"]["credential"] == {"auth": "token"}
    assert status["cache"]["ttl"] == status["cache"]["effective_ttl"] == 30
    assert status["cache"]["blocks"]["entries"] == 0
    assert status["store"] == {"kind": "memory"}
    assert status["issuers"] == []
    assert status["settings"]["ORDERS_CACHE__TTL"] == 30
    assert proxy.all_calls == 0


async def test_a_healthy_proxy_shows_its_last_successes_and_what_is_cached() -> None:
    proxy = proxy_for_operators()
    page = (await proxy.get("/v1/orders")).json()
    await proxy.get("/v1/orders/summary")
    status = await status_of(proxy)

    assert status["state"] == "ok"
    assert "failing" not in status
    listed = operation(status, "get-orders")
    assert listed["last_success"]["at"] == "2026-11-23T12:00:00.000Z"
    assert listed["last_success"]["request_id"]
    assert "last_failure" not in listed
    assert operation(status, "get-management-token")["last_success"]
    assert status["upstream"]["credential"]["pool_id"] == proxy.options.pool_id
    assert status["upstream"]["credential"]["expires_at"] > "2026-11-23T12:00"
    cache = status["cache"]
    assert cache["orders"] == page["meta"]["total"] == cache["snapshot"]["orders"]
    assert cache["blocks"]["entries"] == 3
    assert cache["blocks"]["bytes"] <= cache["blocks"]["max_bytes"]
    assert cache["rendered_responses"]["entries"] == 2
    assert cache["oldest_block_at"] == page["meta"]["as_of"]


async def test_an_outage_shows_since_when_and_why_and_what_is_still_open() -> None:
    proxy = proxy_for_operators(cache={"ttl": 10})
    await proxy.get("/v1/orders")
    proxy.sandbox.inject("status=500,path=get-orders")
    await proxy.clock.advance(11)
    for _ in range(10):
        await proxy.get("/v1/orders")
        await proxy.clock.advance(6)
    status = await status_of(proxy)

    assert status["state"] == "failing"
    assert status["failing"]["since"] == "2026-11-23T12:00:11.000Z"
    failed = operation(status, "get-orders")
    assert failed["failing_since"] == status["failing"]["since"]
    assert failed["last_failure"]["at"] > failed["failing_since"]
    assert failed["last_success"]["at"] == "2026-11-23T12:00:00.000Z"
    list_circuit, detail_circuit = status["upstream"]["circuits"]
    assert list_circuit["state"] in ("open", "half_open")
    assert detail_circuit == {"operations": ["detail"], "state": "closed"}

    proxy.sandbox.inject()
    await proxy.clock.advance(6)
    await proxy.get("/v1/orders")
    await proxy.clock.advance(1)
    assert (await status_of(proxy))["state"] == "ok"


async def test_the_code_and_the_ids_of_a_failure_are_those_of_the_problem() -> None:
    proxy = proxy_for_operators()
    proxy.sandbox.inject("status=402,path=get-orders")
    document = problem(await proxy.get("/v1/orders"))
    failing = (await status_of(proxy))["failing"]
    assert failing["code"] == document["code"] == "upstream_plan_required"
    assert failing["request_id"] == document["upstream"]["request_id"]
    assert failing["status_code"] == 402
    assert failing.get("api_code") == document["upstream"].get("api_code")


async def test_a_throttling_upstream_shows_the_pause_and_the_reduced_rate() -> None:
    proxy = proxy_for_operators()
    await proxy.get("/v1/orders")
    await proxy.clock.advance(6)
    proxy.sandbox.inject("throttle=30")
    await proxy.get("/v1/orders", Cache_Control="no-cache")
    limiter = (await status_of(proxy))["upstream"]["limiter"]
    assert limiter["paused_until"] == "2026-11-23T12:00:36.000Z"
    assert (limiter["rate"], limiter["max_rate"]) == (25, 50)
    assert limiter["queued"] == {"list": 0, "detail": 0, "token": 0}


async def test_a_draining_process_says_so() -> None:
    proxy = proxy_for_operators()
    proxy.app.shutdown.start()
    assert (await status_of(proxy))["state"] == "draining"


async def test_a_signature_has_no_expiry() -> None:
    proxy = Proxy(Options(), upstream={"auth": "signature"}, sandbox=True)
    await proxy.get("/v1/orders")
    assert (await status_of(proxy))["upstream"]["credential"] == {"auth": "signature"}
    assert proxy.calls(LIST) == 1


@pytest.mark.without_coverage
async def test_the_status_has_no_secret() -> None:
    proxy = proxy_for_operators()
    body = (await proxy.get(PATH)).text
    assert proxy.options.access_key_secret not in body
    assert '"ORDERS_UPSTREAM__ACCESS_KEY_SECRET":"(set)"' in body


async def test_an_issuer_is_shown_with_its_keys_and_since_it_fails_with_the_reason() -> None:
    issuer = FakeIssuer()
    environ = {
        "ORDERS_CALLERS__OIDC_ISSUER": ISSUER,
        "ORDERS_CALLERS__OIDC_AUDIENCE": AUDIENCE,
        "ORDERS_CALLERS__ANONYMOUS": "true",
    }
    proxy = Proxy(environ=environ, issuer_transport=issuer.transport, sandbox=True)
    assert (await status_of(proxy))["issuers"] == [{"issuer": ISSUER, "keys": 0}]
    await proxy.get("/v1/me", Authorization=f"Bearer {sign(issuer.claims()).decode()}")

    healthy = (await status_of(proxy))["issuers"]
    issuer.respond = lambda _: httpx.Response(503)
    await proxy.clock.advance(300)
    (failing,) = (await status_of(proxy))["issuers"]

    loaded = {"issuer": ISSUER, "keys": 1, "loaded_at": "2026-11-23T12:00:00.000Z"}
    assert healthy == [loaded]
    assert failing.pop("error").endswith("status 503")
    assert failing == loaded
