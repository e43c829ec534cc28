"""openapi/upstream.json describes exactly what the sandbox implements."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT4

from app.sandbox.faults import ALL_PATHS, DETAIL, ORDERS, PAYMENT, TOKEN
from app.sandbox.options import Options, UnknownOrder
from tests.sandbox.client import SandboxClient
from tests.support.clock import ManualClock

DOCUMENT: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "openapi" / "upstream.json").read_text(encoding="utf-8")
)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
ROOT = "urn:upstream"
REGISTRY: Registry[Any] = Registry().with_resource(ROOT, DRAFT4.create_resource(DOCUMENT))


def operation(path: str) -> dict[str, Any]:
    (found,) = DOCUMENT["paths"][path].values()
    return dict(found)


def violations(body: object, path: str) -> list[str]:
    """Return how a response of `path` violates the document's schema."""
    schema_of_200 = operation(path)["responses"]["200"]["content"]["application/json"]["schema"]
    schema = json.loads(json.dumps(schema_of_200).replace('"#/', f'"{ROOT}#/'))
    return [error.message for error in OAS30Validator(schema, registry=REGISTRY).iter_errors(body)]


def is_throttled(body: object) -> bool:
    return bool(OAS30Validator(SCHEMAS["Throttled"]).is_valid(body))


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_it_has_the_four_operations_of_the_sandbox() -> None:
    assert tuple(DOCUMENT["paths"]) == ALL_PATHS
    assert {path: list(item) for path, item in DOCUMENT["paths"].items()} == {
        path: ["post" if path == TOKEN else "get"] for path in ALL_PATHS
    }


@pytest.mark.parametrize("path", ALL_PATHS)
def test_its_examples_match_its_schemas(path: str) -> None:
    examples = operation(path)["responses"]["200"]["content"]["application/json"]["examples"]
    assert {name: violations(example["value"], path) for name, example in examples.items()} == {
        name: [] for name in examples
    }
    assert is_throttled(
        DOCUMENT["components"]["responses"]["Throttled"]["content"]["application/json"]["example"]
    )


@pytest.mark.parametrize("unknown_order", ["null", "empty", "404", "422"])
async def test_every_response_of_the_sandbox_matches_its_schema(
    unknown_order: UnknownOrder,
) -> None:
    client = await SandboxClient.logged_in(
        Options(orders=300, unknown_order=unknown_order), ManualClock()
    )
    assert violations(await client.request_token(), TOKEN) == []
    assert violations(await client.request_token(accessKeySecret="wrong"), TOKEN) == []
    for page in range(1, 8):
        assert violations(await client.get(ORDERS, page=page, limit=50), ORDERS) == []
    for row in await client.rows(limit=50):
        for path in (DETAIL, PAYMENT):
            assert violations(await client.get(path, orderNo=row["orderNo"]), path) == []
    for path in (DETAIL, PAYMENT):
        assert violations(await client.get(path, orderNo="12345"), path) == []
        assert violations(await client.get(path), path) == []
        assert violations(await client.get(path, headers={}), path) == []
    client.sandbox.inject("throttle")
    assert is_throttled((await client.get_response(ORDERS)).json())


@pytest.mark.parametrize("fault", ["odd_rows", "list_object", "status=200"])
async def test_a_malformed_response_violates_its_schema(fault: str) -> None:
    client = await SandboxClient.logged_in(Options(), ManualClock())
    client.sandbox.inject(fault)
    assert violations(await client.get(ORDERS, limit=50), ORDERS)


@pytest.mark.parametrize(("name", "first", "last"), [("page", 1, None), ("limit", 1, 50)])
async def test_its_limits_are_those_of_the_sandbox(name: str, first: int, last: int | None) -> None:
    schema = next(
        one["schema"] for one in operation(ORDERS)["parameters"] if one.get("name") == name
    )
    assert (schema["minimum"], schema.get("maximum")) == (first, last)
    client = await SandboxClient.logged_in(Options(), ManualClock())
    queries: dict[int, dict[str, Any]] = {value: {name: value} for value in (first - 1, first)}
    if last is not None:
        queries |= {value: {name: value} for value in (last, last + 1)}
    for value, query in queries.items():
        is_valid = value >= first and (last is None or value <= last)
        assert ((await client.get(ORDERS, **query))["statusCode"] == 200) == is_valid
