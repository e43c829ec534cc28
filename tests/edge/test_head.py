"""HEAD is answered wherever GET is."""

import pytest
from fastapi import FastAPI

from app.edge.head import Head
from app.edge.unhandled_errors import UnhandledErrors
from tests.edge.asgi_harness import RecordingApp, failing, logging_to, request


async def test_head_is_handled_as_get() -> None:
    app = RecordingApp(b"twelve bytes")

    with logging_to() as log:
        response = await request(Head(app), method="HEAD")

    assert app.methods == ["GET"]
    assert response.headers["content-length"] == "12"
    assert log.lines()[0]["method"] == "HEAD"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_methods_are_passed_on_unchanged(method: str) -> None:
    app = RecordingApp(b"body")

    response = await request(Head(app), method=method)

    assert app.methods == [method]
    assert response.content == b"body"


async def test_the_access_log_has_the_route_of_a_head_request() -> None:
    api = FastAPI()

    @api.get("/v1/orders/{order_no}")
    async def order(order_no: str) -> str:
        return order_no

    with logging_to() as log:
        await request(Head(api), "/v1/orders/1", method="HEAD")
        await request(UnhandledErrors(Head(failing(RuntimeError))), method="HEAD")

    assert [line["route"] for line in log.lines() if line["event"] == "request"] == [
        "/v1/orders/{order_no}",
        "unmatched",
    ]
