"""HEAD wherever GET."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.edge.head import Head
from tests.edge.asgi_harness import Behind, ask, failing, logging_to


async def test_head_is_get_without_its_body() -> None:
    behind = Behind(b"twelve bytes")

    with logging_to() as lines:
        answer = await ask(Head(behind), method="HEAD")

    assert behind.methods == ["GET"]
    assert answer.content == b""
    assert answer.headers["content-length"] == "12"
    assert lines.facts()[0]["method"] == "HEAD"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_methods_pass_as_they_are(method: str) -> None:
    behind = Behind(b"body")

    answer = await ask(Head(behind), method=method)

    assert behind.methods == [method]
    assert answer.content == b"body"


async def test_who_answers_for_a_failure_answers_a_head() -> None:
    methods = []
    layer = Head(failing(RuntimeError))

    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await layer(scope, receive, send)
        finally:
            methods.append(scope["method"])

    with logging_to():
        await ask(outside, method="HEAD")

    assert methods == ["HEAD"]


async def test_the_body_is_dropped_here_and_not_left_to_the_server():
    bodies = []

    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        async def spying(message: Message) -> None:
            if message["type"] == "http.response.body":
                bodies.append(message["body"])
            await send(message)

        await Head(Behind(b"twelve bytes"))(scope, receive, spying)

    await ask(outside, method="HEAD")

    assert bodies == [b""]
