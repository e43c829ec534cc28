"""What all routes share in the OpenAPI document: words, headers, problems, keys. Knows no route."""

import json
from typing import Any

from pydantic import Field

from app.edge.problem_types import PROBLEM_TYPES
from app.edge.problems import InvalidParameter, Problem, UpstreamDetails, body_of

_REQUEST_ID = "4f9a1c52-6f0e-4e0a-9a55-0c2b7d6f1e11"
_UPSTREAM_REQUEST_ID = "934108e5-9fbf-4d24-8da1-c330328abd6c"

DESCRIPTION = """\
The orders of one pool: validated, typed, cached, and still there when the upstream is not.

**Bodies** are always `{"data": …, "meta": {…}}`. What is not known is left out, never `null`.

**Enums are open.** Treat a value that you do not know as `unknown`. They are marked
`x-extensible-enum`.

**Compatibility.** Within `/v1` we may add routes, optional parameters, fields, headers, problem
codes and enum values. We never remove, rename or retype one.

**Errors** are problems (RFC 9457). `code` is stable and meant for programs; `type` leads to a page
that explains it; quote `request_id` when you ask for help.

**Freshness.** `as_of` and `Age` tell how old an answer is, `X-Freshness` whether it is `fresh`,
`stale` (served at once, with a refresh behind) or `kept` (served while the upstream is silent).
Send `Cache-Control: no-cache` for a younger one, `only-if-cached` for one that costs nothing.
Poll with `If-None-Match`: an unchanged answer is an empty 304. It confirms what the orders say, and
its headers are current: go by `Age` then. `as_of`, `upstream_request_ids` and the `origin` of a row
are in no `ETag`, so a body that was confirmed tells when, and from which upstream answers, it was
first read. With `Accept-Encoding: gzip` a page has a sixth of its size; its `ETag` is the
same in every coding.

**A list that changes.** Where the list shifts while it is read, the answer has each order once and
says `meta.inconsistent`. An order that shifts in neither total nor number heals within the ttl.

`HEAD` works wherever `GET` does.
"""

SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "Your key, `obff_…`.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The same key as `Authorization: Bearer obff_…`.",
    },
}


def _header(description: str, example: str | int, **schema: object) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "schema": {"type": kind, **schema}, "example": example}


HEADERS = {
    "X-Request-Id": _header(
        "The id of this request: the caller's own if it is 8 to 64 of `A-Za-z0-9._-`.",
        _REQUEST_ID,
    ),
    "Vary": _header(
        "What the answer depends on.", "Accept-Encoding, Authorization, Cookie, Origin, X-API-Key"
    ),
    "X-Upstream-Request-Id": _header(
        "The upstream request ids that the answer rests on, at most 10, newest first when cut.",
        _UPSTREAM_REQUEST_ID,
    ),
    "X-Freshness": _header(
        "Open enum: how the oldest part of the answer stands.",
        "fresh",
        **{"x-extensible-enum": ["fresh", "stale", "stale-if-error"]},
    ),
    "Age": _header("Whole seconds since `as_of`.", 19, minimum=0),
    "Cache-Control": _header("Whether the answer may be stored.", "private, no-cache"),
    "Cache-Status": _header("How the cache took part (RFC 9211).", "orders-bff; hit; ttl=41"),
    "ETag": _header(
        "For `If-None-Match`; the same as long as the answer says the same.",
        'W/"3f1c9be2a0d54c7e"',
    ),
    "X-Total-Count": _header(
        "Orders in the whole list, or that the filters let through.", 137, minimum=0
    ),
    "X-Sandbox": _header(
        "`true` where the upstream is a sandbox: its orders are invented. Absent elsewhere.", "true"
    ),
    "Content-Disposition": _header(
        "The name to save the file under.",
        'attachment; filename="orders-20261123T080000Z.csv"',
    ),
    "Link": _header(
        "The pages `first`, `prev`, `next` and `last` (RFC 8288).",
        '</v1/orders?page=2>; rel="next"',
    ),
    "Retry-After": _header("Seconds to wait before asking again.", 1, minimum=1),
    "WWW-Authenticate": _header("How to say who asks.", 'Bearer realm="orders-bff"'),
}
"""Every header that an operation may name."""

PROBLEM_SCHEMAS: dict[str, Any] = {
    "Problem": {
        "type": "object",
        "description": "An error, as RFC 9457 has it.",
        "required": [
            "type",
            "title",
            "status",
            "detail",
            "instance",
            "code",
            "request_id",
            "retryable",
        ],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "The page that explains the code.",
            },
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string", "format": "uri-reference"},
            "code": {
                "type": "string",
                "description": "Open enum: go by `status` for a code that you do not know.",
                "x-extensible-enum": list(PROBLEM_TYPES),
            },
            "request_id": {"type": "string"},
            "retryable": {
                "type": "boolean",
                "description": "Whether the same request may succeed later; see `Retry-After`.",
            },
            "errors": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/ParameterFault"},
            },
            "upstream": {"$ref": "#/components/schemas/UpstreamFacts"},
            "progress": {"$ref": "#/components/schemas/Progress"},
        },
    },
    "Progress": {
        "type": "object",
        "description": "Progress of loading the whole list, in orders.",
        "required": ["loaded", "total"],
        "properties": {
            "loaded": {"type": "integer", "minimum": 0},
            "total": {"type": "integer", "minimum": 0},
        },
    },
    "ParameterFault": {
        "type": "object",
        "description": "One fault of one parameter.",
        "required": ["parameter", "message"],
        "properties": {
            "parameter": {"type": "string"},
            "message": {"type": "string"},
            "value": {"type": "string", "maxLength": 100},
        },
    },
    "UpstreamFacts": {
        "type": "object",
        "description": "What the upstream said, where it took part.",
        "properties": {
            "status_code": {"type": "integer"},
            "api_code": {"type": "integer"},
            "request_id": {"type": "string"},
        },
    },
}

_UPSTREAM_EXAMPLES = {
    "upstream_credential_rejected": UpstreamDetails(401, 2020, _UPSTREAM_REQUEST_ID),
    "upstream_plan_required": UpstreamDetails(402, None, _UPSTREAM_REQUEST_ID),
    "upstream_rejected": UpstreamDetails(400, None, _UPSTREAM_REQUEST_ID),
    "upstream_throttled": UpstreamDetails(429, None, _UPSTREAM_REQUEST_ID),
    "upstream_failed": UpstreamDetails(500, None, _UPSTREAM_REQUEST_ID),
}
_FAULT = InvalidParameter("limit", "must be at most 50; ask for more pages", "500")


def problem_example(code: str) -> Any:
    """A problem of this code, as a caller would get it."""
    problem = Problem(
        code,
        PROBLEM_TYPES[code].detail,
        errors=(_FAULT,) if code == "invalid_request" else (),
        upstream=_UPSTREAM_EXAMPLES.get(code),
        progress=(3200, 10_000) if code == "list_loading" else None,
    )
    return json.loads(body_of(problem, _REQUEST_ID))


def open_enum(*words: str) -> Any:
    """A string whose values may grow in number (Zalando guideline #112)."""
    return Field(
        description="Open enum: treat a value that you do not know as `unknown`.",
        examples=[words[0]],
        json_schema_extra={"x-extensible-enum": [*words, "unknown"]},
    )
