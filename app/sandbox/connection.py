"""Leave a connection half-way, reset it, or say nothing on it. Knows no vendor and no fault."""

import asyncio
import socket
import struct
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION: Final = "sandbox.connection"


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also hands the connection to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"transport": self.transport}}


async def left(receive: Receive) -> None:
    """Return when the caller, or whoever else, has ended the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def half(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Promise the whole body, send half of it and close."""
    transport = _transport(scope)
    await send(
        {"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers}
    )
    body = bytes(answer.body)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    transport.close()
    await left(receive)


async def reset(scope: Scope, receive: Receive) -> None:
    """Send RST where an answer is expected."""
    transport = _transport(scope)
    # To linger for no time turns the close into a reset.
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await left(receive)


def _transport(scope: Scope) -> asyncio.Transport:
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        raise RuntimeError("a connection can only be broken by a SandboxServer")
    transport: asyncio.Transport = extension["transport"]
    return transport
