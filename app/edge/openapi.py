"""The OpenAPI document as clients read it. Knows no resource: each route names its own."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.edge.openapi_components import (
    DESCRIPTION,
    HEADERS,
    PROBLEM_SCHEMAS,
    SECURITY_SCHEMES,
    problem_example,
)
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import MEDIA_TYPE

_PROBLEMS = "x-problems"
_HEADERS = "x-headers"
_EVERY_PROBLEM = ("invalid_request", "unauthenticated", "internal_error")
_EVERY_HEADER = ("X-Request-Id", "Vary")
_GUARDED = "/v1/"
_INT32 = 2**31 - 1

_UPSTREAM_PROBLEMS = (
    "upstream_credential_rejected",
    "upstream_plan_required",
    "upstream_rejected",
    "upstream_throttled",
    "upstream_failed",
    "upstream_unreachable",
    "upstream_timeout",
    "upstream_malformed",
    "upstream_unavailable",
    "overloaded",
    "not_in_cache",
)
_UPSTREAM_HEADERS = (
    "X-Upstream-Request-Id",
    "X-Freshness",
    "Age",
    "Cache-Control",
    "Cache-Status",
    "X-Sandbox",
)


def upstream_responses(*problems: str, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the document says of a route whose answer rests on the upstream.

    To be merged into its `openapi_extra`. `problems` and `headers` are its own, besides those
    that every such route has.
    """
    return {
        _PROBLEMS: ["forbidden", *problems, *_UPSTREAM_PROBLEMS],
        _HEADERS: [*_UPSTREAM_HEADERS, *headers],
    }


def example_response(example: Any) -> dict[str, Any]:
    """An example of a route's answer, to be merged into its `openapi_extra`."""
    return {"responses": {"200": {"content": {"application/json": {"example": example}}}}}


def build_openapi(api: FastAPI) -> dict[str, Any]:
    """The document of `api`; made once, and the same at every start."""
    if api.openapi_schema is None:
        api.openapi_schema = _describe(api)
    return api.openapi_schema


def _describe(api: FastAPI) -> dict[str, Any]:
    document: dict[str, Any] = _without_null(
        get_openapi(
            title="orders-bff",
            version=api.version,
            description=DESCRIPTION,
            routes=api.routes,
            tags=api.openapi_tags,
            license_info=api.license_info,
            servers=[{"url": "."}],
        )
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for frameworks_own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(frameworks_own, None)
    schemas.update(PROBLEM_SCHEMAS)
    components["headers"] = HEADERS
    components["securitySchemes"] = SECURITY_SCHEMES
    _size_integers(document)
    # Routes stand in the order in which they are matched, which tells a reader nothing.
    document["paths"] = dict(sorted(document["paths"].items()))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation, guarded=path.startswith(_GUARDED))
    return document


def _complete(operation: dict[str, Any], *, guarded: bool) -> None:
    codes = operation.pop(_PROBLEMS, [])
    headers = [*_EVERY_HEADER, *operation.pop(_HEADERS, [])]
    operation["parameters"] = _merged(operation.get("parameters", []))
    responses = operation["responses"]
    responses.pop("422", None)
    responses["200"]["headers"] = _references(headers)
    if "ETag" in headers:
        responses["304"] = {
            "description": "What `If-None-Match` names is still current.",
            "headers": _references(headers),
        }
    if guarded:
        operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
        codes = [*_EVERY_PROBLEM, *codes]
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEM_TYPES[code].status, []).append(code)
    for status, of_status in sorted(by_status.items()):
        responses[str(status)] = _problem_response(of_status)


def _problem_response(codes: list[str]) -> dict[str, Any]:
    headers = ["X-Request-Id", "Vary"]
    if any(PROBLEM_TYPES[code].retryable for code in codes):
        headers.append("Retry-After")
    if any(code.startswith("upstream_") for code in codes):
        headers.append("X-Upstream-Request-Id")
    if "unauthenticated" in codes:
        headers.append("WWW-Authenticate")
    return {
        "description": "; ".join(f"`{code}`: {PROBLEM_TYPES[code].title}" for code in codes),
        "headers": _references(headers),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {
                    code: {"summary": PROBLEM_TYPES[code].title, "value": problem_example(code)}
                    for code in codes
                },
            }
        },
    }


def _references(headers: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _size_integers(node: Any) -> None:
    """Give each integer its format: generated clients choose their types by it."""
    if isinstance(node, dict):
        if node.get("type") == "integer":
            node["format"] = "int32" if node.get("maximum", _INT32 + 1) <= _INT32 else "int64"
        for child in node.values():
            _size_integers(child)
    elif isinstance(node, list):
        for child in node:
            _size_integers(child)


def _merged(parameters: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    # What a route says of a parameter comes after what the framework guessed, and replaces it.
    return list({(given["in"], given["name"]): given for given in parameters}.values())


def _without_null(node: Any) -> Any:
    """`node` with each `anyOf: [T, null]` as `T`: what is not known is left out, never null."""
    match node:
        case {"anyOf": [*choices], **rest} if {"type": "null"} in choices:
            kept = [choice for choice in choices if choice != {"type": "null"}]
            told = {
                name: value for name, value in rest.items() if (name, value) != ("default", None)
            }
            return _without_null({**told, **(kept[0] if len(kept) == 1 else {"anyOf": kept})})
        case dict():
            return {name: _without_null(value) for name, value in node.items()}
        case list():
            return [_without_null(value) for value in node]
        case _:
            return node
