"""The OpenAPI document describes what callers get, and nothing else."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Path, Security
from openapi_spec_validator import validate
from pydantic import BaseModel, TypeAdapter

from app.edge import schema
from app.edge.health import health_router
from app.edge.openapi import (
    DESCRIPTION,
    HEADERS,
    api_responses,
    build_openapi,
    problem_example,
)
from app.edge.pages import docs_router, pages_router
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.scopes import require_scopes
from app.upstream.status import LastContact
from tests.support.api_harness import bare_api


class Thing(BaseModel):
    name: str


async def ready() -> None: ...


def things() -> FastAPI:
    api = bare_api()

    @api.get(
        "/v1/things/{name}",
        response_model=Thing,
        responses=api_responses(
            "The thing.",
            {"name": "a"},
            headers=("ETag", "Link"),
            problems=("order_not_found",),
        ),
        dependencies=[Security(require_scopes, scopes=["things:read"])],
    )
    async def get_thing(name: Annotated[str, Path()]) -> None: ...

    @api.get(
        "/v1/me",
        response_model=Thing,
        responses=api_responses("You.", {"name": "b"}, calls_upstream=False),
    )
    async def get_me() -> None: ...

    api.include_router(
        pages_router(
            name="shop",
            docs_enabled=True,
            dashboard_enabled=False,
            is_sandbox=bool,
            last_contact=lambda: LastContact(None, None, None),
            problem_code=str,
        )
    )
    api.include_router(docs_router(name="shop", openapi=dict, is_sandbox=bool))
    api.include_router(health_router(check_ready=ready, problem_codes={}))
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


def test_the_document_is_the_same_each_time() -> None:
    api = things()

    assert json.dumps(build_openapi(api)) == json.dumps(build_openapi(api))
    assert json.dumps(build_openapi(api)) == json.dumps(build_openapi(things()))


@pytest.mark.parametrize(
    "promise",
    ["as `unknown`", "never remove, rename or retype", "goes\nunnoticed until"],
)
def test_the_description_states_the_promises_to_callers(promise: str) -> None:
    assert promise in DESCRIPTION


def test_only_the_api_is_documented_and_not_its_pages(document: dict[str, Any]) -> None:
    assert list(document["paths"]) == ["/v1/me", "/v1/things/{name}"]
    assert {method for path in document["paths"].values() for method in path} == {"get"}


def test_an_operation_names_the_scopes_it_requires(document: dict[str, Any]) -> None:
    assert operation(document, "/v1/things/{name}")["security"] == [
        {"ApiKey": ["things:read"]},
        {"Bearer": ["things:read"]},
        {"Session": ["things:read"]},
    ]
    assert "security" not in operation(document, "/v1/me")


def test_each_operation_has_an_example_of_each_problem(document: dict[str, Any]) -> None:
    me = operation(document, "/v1/me")["responses"]
    thing = operation(document, "/v1/things/{name}")["responses"]

    assert list(me) == ["200", "401", "403", "422", "429", "500", "503"]
    assert {"304", "403", "404", "502", "503", "504"} <= set(thing)
    for status, response in thing.items():
        for media in response.get("content", {}).values():
            for code, example in media.get("examples", {}).items():
                assert example["value"]["code"] == code
                assert str(PROBLEM_TYPES[code].status) == status
    rejected = thing["502"]["content"]["application/problem+json"]["examples"]
    assert rejected["upstream_failed"]["value"]["upstream"]["status_code"] == 500


@pytest.mark.parametrize("code", PROBLEM_TYPES)
def test_the_body_of_every_problem_matches_the_documented_schema(code: str) -> None:
    adapter = TypeAdapter(schema.Problem)
    example = problem_example(code)

    assert adapter.validate_python(example, extra="forbid") == example


def test_the_headers_of_responses_and_problems_are_documented(document: dict[str, Any]) -> None:
    responses = operation(document, "/v1/things/{name}")["responses"]

    assert {"X-Request-Id", "Age", "ETag", "Link"} <= set(responses["200"]["headers"])
    assert responses["304"]["headers"] == responses["200"]["headers"]
    assert "Retry-After" in responses["504"]["headers"]
    assert "Retry-After" not in responses["404"]["headers"]
    assert "WWW-Authenticate" in responses["401"]["headers"]
    assert "X-Upstream-Request-Id" in responses["502"]["headers"]
    assert document["components"]["headers"] == HEADERS


def test_the_framework_s_own_error_format_does_not_appear(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)
