"""What the routes send matches the schemas in the OpenAPI document."""

import hashlib
import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.edge.me import MeResponse
from app.edge.schema import Problem
from app.orders.schema import (
    ListedOrder,
    OrderChanges,
    OrderPage,
    SingleOrder,
    SinglePayment,
    Summary,
)
from app.sandbox.options import Options
from tests.support.proxy import Proxy

pytestmark = pytest.mark.without_coverage

KEY = "a-key-with-every-scope"


@pytest.fixture
def proxy() -> Proxy:
    entry = {
        "name": "full",
        "sha256": hashlib.sha256(KEY.encode()).hexdigest(),
        "scopes": ["orders:read", "orders:raw", "payments:read"],
    }
    environ = {"ORDERS_CALLERS__API_KEYS": json.dumps([entry])}
    return Proxy(Options(orders=700), environ, upstream={"currency": "CNY"})


def validate(schema: Any, body: bytes) -> Any:
    """Return the parsed body after checking that it matches and has no other fields."""
    adapter: TypeAdapter[Any] = TypeAdapter(schema)
    parsed = json.loads(body)
    assert adapter.validate_json(body, extra="forbid", strict=True) == parsed
    return parsed


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v1/orders?limit=50", OrderPage),
        ("/v1/orders?page=1000", OrderPage),
        ("/v1/orders?sort=-created_at&include=rev&include=origin&include=raw", OrderPage),
        ("/v1/orders/summary", Summary),
        ("/v1/orders/changes", OrderChanges),
        ("/v1/me", MeResponse),
    ],
)
async def test_a_response_matches_its_schema(proxy: Proxy, path: str, schema: Any):
    response = await proxy.get(path, X_API_Key=KEY)

    assert response.status_code == 200
    validate(schema, response.content)


async def test_single_orders_payments_and_exported_rows_match_their_schemas(proxy: Proxy):
    export = await proxy.get("/v1/orders/export?format=ndjson&include=rev", X_API_Key=KEY)
    rows = [validate(ListedOrder, line) for line in export.content.splitlines()]
    assert len(rows) == 700
    paid = next(row["order_no"] for row in rows if row["status"] == "completed")

    order = await proxy.get(f"/v1/orders/{paid}", X_API_Key=KEY)
    payment = await proxy.get(f"/v1/orders/{paid}/payment", X_API_Key=KEY)

    validate(SingleOrder, order.content)
    validate(SinglePayment, payment.content)


@pytest.mark.parametrize(
    "path",
    ["/v1/orders?page=0", "/v1/orders/1/payment", "/v1/nowhere", "/v1/orders/changes?since=x"],
)
async def test_a_problem_matches_its_schema(proxy: Proxy, path: str):
    validate(Problem, (await proxy.get(path, X_API_Key=KEY)).content)
    validate(Problem, (await proxy.get(path)).content)


async def test_changes_match_their_schema(proxy: Proxy):
    first = await proxy.get("/v1/orders/changes", X_API_Key=KEY)
    cursor = first.json()["meta"]["cursor"]
    proxy.sandbox.inject("arrivals=1,times=1")
    await proxy.clock.advance(61)
    await proxy.get("/v1/orders/changes", X_API_Key=KEY)
    await proxy.clock.advance(5)

    changes = await proxy.get(f"/v1/orders/changes?since={cursor}", X_API_Key=KEY)

    assert validate(OrderChanges, changes.content)["data"]
