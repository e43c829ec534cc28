"""The OpenAPI document, and the responses that routes document."""

import json
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import MEDIA_TYPE, Problem, problem_body
from app.edge.schema import problem_schemas

_FOLDER = Path(__file__).parent
DESCRIPTION = (_FOLDER / "description.md").read_text("utf-8")
TAGS = [
    {"name": "callers", "description": "The caller's identity."},
    {"name": "operations", "description": "The state of the proxy, and what operators can do."},
    {
        "name": "orders",
        "description": "The order list, totals, changes, single orders and payments.",
    },
]
LICENSE = {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"}
HEADERS: dict[str, Any] = tomllib.loads((_FOLDER / "headers.toml").read_text("utf-8"))
"""The headers that responses may refer to."""

Responses = dict[int | str, dict[str, Any]]
"""The argument `responses` of a FastAPI route."""

_COMMON_HEADERS = ("X-Request-Id", "Vary", "RateLimit-Policy", "RateLimit")
_COMMON_PROBLEMS = (
    "unauthenticated",
    "cross_site_request",
    "issuer_unavailable",
    "invalid_request",
    "rate_limited",
    "internal_error",
)

_UPSTREAM_PROBLEMS = (
    "forbidden",
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


def api_responses(
    description: str,
    example: object = None,
    *,
    content: dict[str, Any] | None = None,
    headers: Sequence[str] = (),
    problems: Iterable[str] = (),
    calls_upstream: bool = True,
) -> Responses:
    """Return what an API route documents: its response and every problem it may return.

    Args:
        description: of the response.
        example: of a JSON response.
        content: of any other response, by media type.
        headers: names of `HEADERS` that the response has in addition to those of every response.
            With `ETag`, a 304 is documented as well.
        problems: codes in addition to those that every API route may return.
        calls_upstream: whether the response is based on the upstream, which adds headers and
            problems.
    """
    if calls_upstream:
        headers = [*_UPSTREAM_HEADERS, *headers]
        problems = [*_UPSTREAM_PROBLEMS, *problems]
    header_refs = _header_refs([*_COMMON_HEADERS, *headers])
    content = content or {"application/json": {"example": example}}  # FastAPI adds the schema
    responses: Responses = {
        200: {"description": description, "headers": header_refs, "content": content}
    }
    if "ETag" in headers:
        responses[304] = {"description": "Not modified.", "headers": header_refs}
    codes_by_status: dict[int, list[str]] = {}
    for code in (*_COMMON_PROBLEMS, *problems):
        codes_by_status.setdefault(PROBLEM_TYPES[code].status, []).append(code)
    for status, codes in sorted(codes_by_status.items()):
        responses[status] = _problem_response(tuple(codes))
    return responses


def build_openapi(api: FastAPI) -> dict[str, Any]:
    """Return FastAPI's document with the components that the routes' responses refer to."""
    document = api.openapi()
    document["components"]["headers"] = HEADERS
    document["components"]["schemas"].update(problem_schemas())
    # Routes are in the order in which they are matched, which is of no use to a reader.
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def problem_example(code: str) -> Any:
    """Return the body of a problem with this code, as a caller would get it."""
    problem = Problem(code, **PROBLEM_TYPES[code].example)
    return json.loads(problem_body(problem, HEADERS["X-Request-Id"]["example"]))


@cache  # most routes have the same problems
def _problem_response(codes: tuple[str, ...]) -> dict[str, Any]:
    headers = list(_COMMON_HEADERS)
    if any(PROBLEM_TYPES[code].retryable for code in codes):
        headers.append("Retry-After")
    if any(code.startswith("upstream_") for code in codes):
        headers.append("X-Upstream-Request-Id")
    if "unauthenticated" in codes:
        headers.append("WWW-Authenticate")
    return {
        "description": "; ".join(f"`{code}`: {PROBLEM_TYPES[code].title}" for code in codes),
        "headers": _header_refs(headers),
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


def _header_refs(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
