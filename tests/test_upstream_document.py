"""openapi/upstream.json says what the sandbox speaks, no more and no less."""

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


def faults_of(body: object, path: str) -> list[str]:
    """What the document finds wrong with an answer of `path`."""
    answered = operation(path)["responses"]["200"]["content"]["application/json"]["schema"]
    schema = json.loads(json.dumps(answered).replace('"#/', f'"{ROOT}#/'))
    return [error.message for error in OAS30Validator(schema, registry=REGISTRY).iter_errors(body)]


def is_throttled(body: object) -> bool:
    return bool(OAS30Validator(SCHEMAS["Throttled"]).is_valid(body))


def test_it_is_an_openapi_document() -> None:
    validate(DOCUMENT)


def test_it_has_the_four_operations_that_the_sandbox_speaks() -> None:
    assert tuple(DOCUMENT["paths"]) == ALL_PATHS
    assert {path: list(item) for path, item in DOCUMENT["paths"].items()} == {
        path: ["post" if path == TOKEN else "get"] for path in ALL_PATHS
    }


@pytest.mark.parametrize("path", ALL_PATHS)
def test_its_samples_keep_its_own_schemas(path: str) -> None:
    answers = operation(path)["responses"]["200"]["content"]["application/json"]["examples"]
    assert {name: faults_of(one["value"], path) for name, one in answers.items()} == {
        name: [] for name in answers
    }
    assert is_throttled(
        DOCUMENT["components"]["responses"]["Throttled"]["content"]["application/json"]["example"]
    )


@pytest.mark.parametrize("unknown_order", ["null", "empty", "404", "422"])
async def test_every_answer_of_the_sandbox_keeps_it(unknown_order: UnknownOrder) -> None:
    client = await SandboxClient.logged_in(
        Options(orders=300, unknown_order=unknown_order), ManualClock()
    )
    assert faults_of(await client.request_token(), TOKEN) == []
    assert faults_of(await client.request_token(accessKeySecret="wrong"), TOKEN) == []
    for page in range(1, 8):
        assert faults_of(await client.get(ORDERS, page=page, limit=50), ORDERS) == []
    for row in await client.rows(limit=50):
        for path in (DETAIL, PAYMENT):
            assert faults_of(await client.get(path, orderNo=row["orderNo"]), path) == []
    for path in (DETAIL, PAYMENT):
        assert faults_of(await client.get(path, orderNo="12345"), path) == []
        assert faults_of(await client.get(path), path) == []
        assert faults_of(await client.get(path, headers={}), path) == []
    client.sandbox.inject("throttle")
    assert is_throttled((await client.get_response(ORDERS)).json())


@pytest.mark.parametrize("fault", ["odd_rows", "list_object", "status=200"])
async def test_it_tells_a_broken_answer_from_a_good_one(fault: str) -> None:
    client = await SandboxClient.logged_in(Options(), ManualClock())
    client.sandbox.inject(fault)
    assert faults_of(await client.get(ORDERS, limit=50), ORDERS)


@pytest.mark.parametrize(("name", "first", "last"), [("page", 1, None), ("limit", 1, 50)])
async def test_its_bounds_are_the_bounds_of_the_sandbox(
    name: str, first: int, last: int | None
) -> None:
    schema = next(
        one["schema"] for one in operation(ORDERS)["parameters"] if one.get("name") == name
    )
    assert (schema["minimum"], schema.get("maximum")) == (first, last)
    client = await SandboxClient.logged_in(Options(), ManualClock())
    tried: dict[int, dict[str, Any]] = {value: {name: value} for value in (first - 1, first)}
    if last is not None:
        tried |= {value: {name: value} for value in (last, last + 1)}
    for value, asked in tried.items():
        is_good = value >= first and (last is None or value <= last)
        assert ((await client.get(ORDERS, **asked))["statusCode"] == 200) == is_good
