"""The OpenAPI document says what callers meet, and nothing that they do not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import validate
from pydantic import BaseModel, Field

from app.edge.docs import docs_router
from app.edge.health import health_router
from app.edge.openapi import build_openapi, upstream_responses
from app.edge.openapi_components import HEADERS
from app.edge.pages import pages_router
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.query_params import documented_order_number
from app.upstream.status import LastContact
from tests.support.api_harness import bare_api


class Thing(BaseModel):
    name: str | None = None
    size: int | float | None = 3
    names: list[str | None] = []
    rank: int = Field(1, le=50)


async def ready() -> None: ...


def things() -> FastAPI:
    api = bare_api()
    told = upstream_responses("order_not_found", headers=("ETag", "Link"))

    @api.get(
        "/v1/things/{order_no}",
        response_model=Thing,
        openapi_extra={"parameters": [documented_order_number()], **told},
    )
    async def get_thing(order_no: str) -> None: ...

    @api.get("/v1/me", response_model=Thing)
    async def get_me() -> None: ...

    @api.get("/open/{name}")
    async def get_open(name: str) -> None: ...

    api.include_router(
        pages_router(
            docs_enabled=True,
            dashboard=False,
            is_sandbox=bool,
            last_contact=lambda: LastContact(None, None, None),
            problem_code=str,
        )
    )
    api.include_router(docs_router(document=dict, is_sandbox=bool))
    api.include_router(health_router(ready=ready, table={}))
    return api


@pytest.fixture(name="document")
def document_() -> dict[str, Any]:
    return build_openapi(things())


def operation(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["get"]
    return found


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from nodes(child)


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    validate(document)

    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "orders-bff"
    assert document["servers"] == [{"url": "."}]


def test_the_document_is_made_once_and_the_same_each_time() -> None:
    api = things()

    assert build_openapi(api) is build_openapi(api)
    assert json.dumps(build_openapi(api)) == json.dumps(build_openapi(things()))


@pytest.mark.parametrize(
    "rule",
    ["as `unknown`", "never remove, rename or retype", "neither total nor number heals within"],
)
def test_the_promises_stand_in_the_description(document: dict[str, Any], rule: str) -> None:
    assert rule in document["info"]["description"]


def test_only_the_api_is_described_and_not_its_pages(document: dict[str, Any]) -> None:
    assert list(document["paths"]) == ["/open/{name}", "/v1/me", "/v1/things/{order_no}"]
    assert {method for path in document["paths"].values() for method in path} == {"get"}


def test_nothing_is_ever_null(document: dict[str, Any]) -> None:
    assert {"type": "null"} not in list(nodes(document))
    assert None not in list(nodes(document))
    thing = document["components"]["schemas"]["Thing"]["properties"]
    assert thing["name"] == {"title": "Name", "type": "string"}
    assert [kind["type"] for kind in thing["size"]["anyOf"]] == ["integer", "number"]
    assert thing["size"]["default"] == 3
    assert thing["names"]["items"] == {"type": "string"}


def test_every_integer_says_how_large_it_may_get(document: dict[str, Any]) -> None:
    integers = [
        node for node in nodes(document) if isinstance(node, dict) and node.get("type") == "integer"
    ]

    assert {node["format"] for node in integers} == {"int32", "int64"}
    for node in integers:
        assert (node["format"] == "int32") == (node.get("maximum", 2**31) < 2**31)


def test_every_way_to_say_who_asks_is_there_where_it_is_asked_for(document: dict[str, Any]) -> None:
    assert operation(document, "/v1/me")["security"] == [{"ApiKey": []}, {"Bearer": []}]
    assert "security" not in operation(document, "/open/{name}")


def test_each_operation_tells_its_problems_by_example(document: dict[str, Any]) -> None:
    me = operation(document, "/v1/me")["responses"]
    thing = operation(document, "/v1/things/{order_no}")["responses"]

    assert list(me) == ["200", "401", "422", "500"]
    assert {"304", "403", "404", "502", "503", "504"} <= set(thing)
    for status, response in thing.items():
        for media in response.get("content", {}).values():
            for code, example in media.get("examples", {}).items():
                assert example["value"]["code"] == code
                assert str(PROBLEM_TYPES[code].status) == status
    rejected = thing["502"]["content"]["application/problem+json"]["examples"]
    assert rejected["upstream_failed"]["value"]["upstream"]["status_code"] == 500


def test_the_headers_of_answers_and_problems_are_described(document: dict[str, Any]) -> None:
    responses = operation(document, "/v1/things/{order_no}")["responses"]

    assert {"X-Request-Id", "Age", "ETag", "Link"} <= set(responses["200"]["headers"])
    assert responses["304"]["headers"] == responses["200"]["headers"]
    assert "Retry-After" in responses["504"]["headers"]
    assert "Retry-After" not in responses["404"]["headers"]
    assert "WWW-Authenticate" in responses["401"]["headers"]
    assert "X-Upstream-Request-Id" in responses["502"]["headers"]
    assert document["components"]["headers"] == HEADERS


def test_the_framework_s_own_words_are_gone(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)
    assert list(operation(document, "/open/{name}")["responses"]) == ["200"]
    assert "x-problems" not in json.dumps(document)
    parameters = operation(document, "/v1/things/{order_no}")["parameters"]
    assert parameters == [documented_order_number()]
