"""Connection-level faults: send half a response, reset the connection, or never respond."""

import asyncio
import socket
import struct
from typing import Final, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TRANSPORT: Final = "sandbox.transport"


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the transport available to the application in the scope."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("Scope", self.scope)[_TRANSPORT] = self.transport


async def wait_disconnected(receive: Receive) -> None:
    """Return once either side has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_half(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the headers with the full Content-Length and half of the body, then close."""
    transport = _transport(scope)
    start = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "http.response.start", **start})
    half = bytes(response.body[: len(response.body) // 2])
    await send({"type": "http.response.body", "body": half, "more_body": True})
    transport.close()
    await wait_disconnected(receive)


async def send_reset(scope: Scope, receive: Receive) -> None:
    """Send a TCP RST in place of a response."""
    transport = _transport(scope)
    # With a linger time of 0, closing the socket sends RST in place of FIN.
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await wait_disconnected(receive)


def _transport(scope: Scope) -> asyncio.Transport:
    if _TRANSPORT not in scope:
        raise RuntimeError("connection faults require a SandboxServer")
    return cast("asyncio.Transport", scope[_TRANSPORT])
