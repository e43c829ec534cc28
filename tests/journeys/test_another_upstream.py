"""Two upstreams that differ wherever the API allows it lead to the same responses and ETags."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.http import AsyncBaseTransport
from app.main import create_app
from app.settings import load
from tests.support.another_upstream import AnotherUpstream
from tests.support.proxy import problem
from tests.support.upstream import KEY_ID, KEY_SECRET, ScriptedUpstream, wire_order

pytestmark = pytest.mark.without_coverage

NUMBER = wire_order(100)["orderNo"]
RESPONSES = (
    "/v1/orders",
    "/v1/orders?limit=50",
    "/v1/orders?page=2&limit=30",
    "/v1/orders?page=20&limit=7",
    "/v1/orders?page=4&limit=50",
    "/v1/orders?status=paid&sort=-actual_amount&include=rev",
    "/v1/orders/summary?time_zone=Asia/Shanghai",
    f"/v1/orders/{NUMBER}",
    f"/v1/orders/{NUMBER}/payment",
)
PROBLEMS = ("/v1/orders/NEVER-1", "/v1/orders/NEVER-1/payment", "/v1/orders?limit=51")


def proxy(base_url: str, transport: AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    environ = {
        "ORDERS_UPSTREAM__BASE_URL": base_url,
        "ORDERS_UPSTREAM__ACCESS_KEY_ID": KEY_ID,
        "ORDERS_UPSTREAM__ACCESS_KEY_SECRET": KEY_SECRET,
        "ORDERS_CALLERS__ANONYMOUS": "true",
    }
    # `sandbox` grants all scopes to anonymous callers, payments included.
    settings = load(environ, dotenv=Path("/nowhere/.env"), sandbox=True)
    app = create_app(settings, transport=transport)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture
async def another() -> AsyncIterator[AnotherUpstream]:
    async with AnotherUpstream().listening() as upstream:
        yield upstream


@pytest.fixture
async def client(another: AnotherUpstream) -> AsyncIterator[httpx.AsyncClient]:
    async with proxy(another.base_url) as client:
        yield client


def stable_parts(response: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return status, body and headers without what depends on the time and the upstream call."""
    body = json.loads(response.content)
    for name in ("as_of", "upstream_request_ids"):
        body.get("meta", {}).pop(name, None)
    for name in ("instance", "request_id", "upstream"):
        body.pop(name, None)
    names = ("etag", "link", "x-total-count", "x-freshness", "cache-control", "content-type")
    return response.status_code, body, {name: response.headers.get(name, "") for name in names}


@pytest.mark.parametrize("path", [*RESPONSES, *PROBLEMS])
async def test_responses_do_not_depend_on_the_upstream(client: httpx.AsyncClient, path: str):
    async with proxy("http://127.0.0.1:9", ScriptedUpstream().transport) as scripted:
        assert stable_parts(await client.get(path)) == stable_parts(await scripted.get(path))


@pytest.mark.parametrize("query", ["csv", "ndjson&include=rev"])
async def test_exports_do_not_depend_on_the_upstream(client: httpx.AsyncClient, query: str):
    path = f"/v1/orders/export?format={query}"
    async with proxy("http://127.0.0.1:9", ScriptedUpstream().transport) as scripted:
        one, other = await client.get(path), await scripted.get(path)
    assert one.status_code == 200
    assert one.content == other.content
    assert one.headers["etag"] == other.headers["etag"]


async def test_a_request_id_in_a_header_only_is_passed_on(client: httpx.AsyncClient):
    response = await client.get("/v1/orders?page=2&limit=30")
    ids = response.json()["meta"]["upstream_request_ids"]
    assert len(set(ids)) == 2
    assert response.headers["x-upstream-request-id"] == ", ".join(ids)


async def test_a_token_rejected_by_http_status_only_is_renewed(
    another: AnotherUpstream, client: httpx.AsyncClient
):
    await client.get("/v1/orders")
    another.revoke_tokens()
    assert (await client.get("/v1/orders?page=3&limit=50")).status_code == 200
    assert another.paths.count("/api/v3/get-management-token") == 2


async def test_the_retry_after_of_a_429_is_passed_on(
    another: AnotherUpstream, client: httpx.AsyncClient
):
    another.next_errors = [(429, {"Retry-After": "40"})] * 10
    response = await client.get("/v1/orders")
    assert problem(response)["code"] == "upstream_throttled"
    assert response.headers["retry-after"] == "40"
    assert problem(response)["upstream"]["request_id"]
