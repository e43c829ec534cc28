"""How the routes for operators respond."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response
from typing_extensions import TypedDict  # pydantic supports typing's own only from Python 3.12 on


class EmptyMeta(TypedDict):
    """Always empty."""


def json_response(body: Mapping[str, object]) -> Response:
    """Return the response with this body, which no cache stores."""
    return Response(
        msgspec.json.encode(body),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
