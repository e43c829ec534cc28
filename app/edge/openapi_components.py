"""What the routes share in the OpenAPI document: description, headers, examples, open enums."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from app.edge.problems import (
    InvalidParameter,
    Progress,
    UpstreamDetails,
    default_problem,
    problem_body,
)

_REQUEST_ID = "4f9a1c52-6f0e-4e0a-9a55-0c2b7d6f1e11"
_UPSTREAM_REQUEST_ID = "934108e5-9fbf-4d24-8da1-c330328abd6c"

DESCRIPTION = (Path(__file__).parent / "description.md").read_text("utf-8")

TAGS = [
    {"name": "callers", "description": "The caller's identity."},
    {
        "name": "orders",
        "description": "The order list, totals, changes, single orders and payments.",
    },
]
LICENSE = {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"}


def _header(description: str, example: str | int, **schema: object) -> dict[str, Any]:
    kind = (
        {"type": "integer", "format": "int64", "minimum": 0}
        if isinstance(example, int)
        else {"type": "string"}
    )
    return {"description": description, "schema": {**kind, **schema}, "example": example}


HEADERS = {
    "X-Request-Id": _header(
        "The id of this request: the caller's own if it is 8 to 64 of `A-Za-z0-9._-`.",
        _REQUEST_ID,
    ),
    "Vary": _header(
        "The request headers that the response depends on.",
        "Accept-Encoding, Authorization, Cookie, Origin, X-API-Key",
    ),
    "X-Upstream-Request-Id": _header(
        "The ids of the upstream responses that this one is based on: at most 10, the newest "
        "first if there are more.",
        _UPSTREAM_REQUEST_ID,
    ),
    "X-Freshness": _header(
        "Freshness of the oldest part of the response. Open enum:\n\n"
        "- `fresh`: younger than the TTL\n"
        "- `stale`: older; refreshed in the background\n"
        "- `stale-if-error`: older still; served because the upstream could not answer",
        "fresh",
        **{"x-extensible-enum": ["fresh", "stale", "stale-if-error"]},
    ),
    "Age": _header("Whole seconds since `as_of`.", 19),
    "Cache-Control": _header("Whether the response may be stored.", "private, no-cache"),
    "Cache-Status": _header(
        "How the cache handled the request (RFC 9211).", "orders-bff; hit; ttl=41"
    ),
    "ETag": _header(
        "For `If-None-Match`; unchanged as long as the content is.",
        'W/"3f1c9be2a0d54c7e"',
    ),
    "X-Total-Count": _header("Number of matching orders.", 137),
    "X-Sandbox": _header(
        "`true` if the upstream is a sandbox with invented orders; absent otherwise.", "true"
    ),
    "Content-Disposition": _header(
        "The name to save the file under.",
        'attachment; filename="orders-20261123T080000Z.csv"',
    ),
    "Link": _header(
        "The pages `first`, `prev`, `next` and `last` (RFC 8288).",
        '</v1/orders?page=2>; rel="next"',
    ),
    "Retry-After": _header("Seconds to wait before sending the request again.", 1, minimum=1),
    "WWW-Authenticate": _header("How to authenticate.", 'Bearer realm="orders-bff"'),
}
"""The headers that responses may refer to."""

_UPSTREAM_EXAMPLES = {
    "upstream_credential_rejected": UpstreamDetails(401, 2020, _UPSTREAM_REQUEST_ID),
    "upstream_plan_required": UpstreamDetails(402, None, _UPSTREAM_REQUEST_ID),
    "upstream_rejected": UpstreamDetails(400, None, _UPSTREAM_REQUEST_ID),
    "upstream_throttled": UpstreamDetails(429, None, _UPSTREAM_REQUEST_ID),
    "upstream_failed": UpstreamDetails(500, None, _UPSTREAM_REQUEST_ID),
}
_INVALID_LIMIT = InvalidParameter("limit", "must be at most 50; request more pages", "500")


def problem_example(code: str) -> Any:
    """Return the body of a problem with this code, as a caller would get it."""
    problem = replace(
        default_problem(code),
        errors=(_INVALID_LIMIT,) if code == "invalid_request" else (),
        upstream=_UPSTREAM_EXAMPLES.get(code),
        progress=Progress(3200, 10_000) if code == "list_loading" else None,
    )
    return json.loads(problem_body(problem, _REQUEST_ID))


def open_enum(description: str, values: Mapping[str, str]) -> Any:
    """Return a field whose known values are documented and may grow (Zalando guideline 112).

    Args:
        description: of the field.
        values: the meaning of each known value, `unknown` apart.
    """
    return Field(
        description=f"{description} Open enum: treat a value you do not know as `unknown`.\n\n"
        + describe_values(values),
        examples=[next(iter(values))],
        json_schema_extra={"x-extensible-enum": [*values, "unknown"]},
    )


def describe_values(values: Mapping[str, str]) -> str:
    """Return a Markdown list of values and their meanings."""
    return "\n".join(f"- `{value}`: {meaning}" for value, meaning in values.items())
