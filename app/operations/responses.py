"""How the routes for operators respond."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from typing_extensions import TypedDict  # pydantic supports typing's own only from Python 3.12 on


class EmptyMeta(TypedDict):
    """Always empty."""


def known(**values: object) -> Any:
    """Return an object of the values that are known: unknown ones are omitted, never null."""
    return {name: value for name, value in values.items() if value is not None}


def json_response(body: Mapping[str, object]) -> Response:
    """Return the response with this body, which no cache stores."""
    return Response(
        msgspec.json.encode(body),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
