"""Ways to corrupt a response between the sandbox and the proxy."""

import asyncio
import gzip
import zlib

from tests.faults.tcp_proxy import Exchange, Fault, forward

OVERSIZED_BYTES = 3 * 1024 * 1024
"""More than the proxy accepts in one response."""

_GZIP_HEADER = b"Content-Encoding: gzip"
_MISSING_BYTES = 100


def delay(seconds: float) -> Fault:
    """Send the response after `seconds`."""

    async def fault(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await forward(exchange)

    return fault


def trickle(seconds: float) -> Fault:
    """Send the body byte by byte, `seconds` apart."""

    async def fault(exchange: Exchange) -> None:
        await exchange.send_head(len(exchange.body))
        for byte in exchange.body:
            await exchange.send(bytes([byte]))
            await asyncio.sleep(seconds)

    return fault


def trickle_head(piece: bytes, seconds: float, *, start: bytes = b"") -> Fault:
    """Send `start` and then `piece` again and again, `seconds` apart, instead of a response."""

    async def fault(exchange: Exchange) -> None:
        await exchange.send(start)
        while not exchange.reader.at_eof():
            await exchange.send(piece)
            await asyncio.sleep(seconds)

    return fault


async def no_response(exchange: Exchange) -> None:
    """Read the request, never respond."""
    await exchange.wait_for_disconnect()


async def stall_midway(exchange: Exchange) -> None:
    """Send half of the body, then nothing more."""
    await exchange.send_head(len(exchange.body))
    await exchange.send(_first_half(exchange.body))
    await exchange.wait_for_disconnect()


async def reset_before_response(exchange: Exchange) -> None:
    """Send RST instead of a response."""
    exchange.reset()


async def reset_midway(exchange: Exchange) -> None:
    """Send half of the body, then RST."""
    await exchange.send_head(len(exchange.body))
    await exchange.send(_first_half(exchange.body))
    exchange.reset()


async def reset_after_response(exchange: Exchange) -> None:
    """Send the complete response, then RST once the proxy has had time to read it."""
    await forward(exchange)
    await asyncio.sleep(0.05)
    exchange.reset()


async def close_before_response(exchange: Exchange) -> None:
    """Close the connection instead of sending a response."""
    exchange.writer.close()


async def half_close_midway(exchange: Exchange) -> None:
    """Send half of the body and FIN, but keep reading."""
    await exchange.send_head(len(exchange.body))
    await exchange.send(_first_half(exchange.body))
    exchange.writer.write_eof()
    await exchange.wait_for_disconnect()


async def close_on_reuse(exchange: Exchange) -> None:
    """Close a keep-alive connection when its second request arrives."""
    if exchange.sequence > 1:
        exchange.writer.close()
    else:
        await forward(exchange)


async def content_length_too_long(exchange: Exchange) -> None:
    """Send fewer bytes than Content-Length, and keep the connection open."""
    await exchange.send_head(len(exchange.body) + _MISSING_BYTES)
    await exchange.send(exchange.body)
    await exchange.wait_for_disconnect()


async def content_length_too_long_then_close(exchange: Exchange) -> None:
    """Send fewer bytes than Content-Length, and close the connection."""
    await exchange.send_head(len(exchange.body) + _MISSING_BYTES)
    await exchange.send(exchange.body)
    exchange.writer.close()


async def content_length_too_short(exchange: Exchange) -> None:
    """Send more bytes than Content-Length, which ends in the middle of the JSON."""
    await exchange.send_head(len(_first_half(exchange.body)))
    await exchange.send(exchange.body)


async def duplicate_response(exchange: Exchange) -> None:
    """Send the response twice."""
    await forward(exchange)
    await forward(exchange)


async def truncated_gzip(exchange: Exchange) -> None:
    """Send half of a gzip stream as a complete HTTP message."""
    await _send(exchange, _first_half(gzip.compress(exchange.body)), _GZIP_HEADER)


async def deflated(exchange: Exchange) -> None:
    """Send the body in a coding that was not asked for, under the older name of another."""
    body = gzip.compress(zlib.compress(exchange.body))
    await _send(exchange, body, b"Content-Encoding: Deflate, x-gzip")


async def unknown_coding(exchange: Exchange) -> None:
    """Send a body with `Content-Encoding: br`."""
    await _send(exchange, exchange.body, b"Content-Encoding: br")


async def invalid_gzip(exchange: Exchange) -> None:
    """Send an uncompressed body with `Content-Encoding: gzip`."""
    await _send(exchange, exchange.body, _GZIP_HEADER)


async def gzip_bomb(exchange: Exchange) -> None:
    """Send a small gzip stream that decodes to more than the proxy accepts."""
    await _send(exchange, gzip.compress(bytes(OVERSIZED_BYTES)), _GZIP_HEADER)


async def oversized_body(exchange: Exchange) -> None:
    """Send a body that is larger than the proxy accepts."""
    await _send(exchange, b" " * OVERSIZED_BYTES + exchange.body)


async def endless_headers(exchange: Exchange) -> None:
    """Send headers until the connection is closed."""
    await exchange.send(exchange.head)
    while not exchange.writer.is_closing():
        await exchange.send(b"\r\nX-More: ", b"x" * 8000)


async def endless_body(exchange: Exchange) -> None:
    """Send chunks of a body until the connection is closed."""
    await exchange.send(exchange.head, b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not exchange.writer.is_closing():
        await exchange.send(b"10000\r\n", b" " * 0x10000, b"\r\n")


async def not_http(exchange: Exchange) -> None:
    """Send the greeting of another protocol."""
    await exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    exchange.writer.close()


def replace_with(body: bytes) -> Fault:
    """Send HTTP 200 with `body` as JSON instead of the response."""

    async def fault(exchange: Exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(body),
            body,
        )

    return fault


async def redirect(exchange: Exchange) -> None:
    """Send HTTP 302."""
    await exchange.send(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    )


async def _send(exchange: Exchange, body: bytes, *headers: bytes) -> None:
    await exchange.send_head(len(body), *headers)
    await exchange.send(body)


def _first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]
