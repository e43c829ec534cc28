"""What a wire can do to an answer: each function is one kind of damage."""

import asyncio
import gzip

from tests.faults.tcp_proxy import Damage, Passing, whole

TOO_LARGE = 9 * 1024 * 1024
"""Bytes: more than the proxy reads of one answer."""

_GZIPPED = b"Content-Encoding: gzip"
_LONGER = 100


def late(seconds: float) -> Damage:
    """The answer comes after `seconds`."""

    async def damage(passing: Passing) -> None:
        await asyncio.sleep(seconds)
        await whole(passing)

    return damage


def drip(seconds: float) -> Damage:
    """The body comes byte by byte, `seconds` apart."""

    async def damage(passing: Passing) -> None:
        await passing.begin(len(passing.body))
        for byte in passing.body:
            await passing.send(bytes([byte]))
            await asyncio.sleep(seconds)

    return damage


async def silence(passing: Passing) -> None:
    """The question is read, and never answered."""
    await passing.left()


async def silence_within(passing: Passing) -> None:
    """Half of the body comes, and then nothing more."""
    await passing.begin(len(passing.body))
    await passing.send(_half(passing.body))
    await passing.left()


async def reset_before(passing: Passing) -> None:
    """RST instead of an answer."""
    passing.reset()


async def reset_within(passing: Passing) -> None:
    """RST after half of the body."""
    await passing.begin(len(passing.body))
    await passing.send(_half(passing.body))
    passing.reset()


async def reset_after(passing: Passing) -> None:
    """RST after the whole answer, once the proxy has had the time to read it."""
    await whole(passing)
    await asyncio.sleep(0.05)
    passing.reset()


async def close_before(passing: Passing) -> None:
    """The connection is closed instead of an answer."""
    passing.writer.close()


async def half_close(passing: Passing) -> None:
    """Half of the body, and then FIN; what the proxy still says is heard."""
    await passing.begin(len(passing.body))
    await passing.send(_half(passing.body))
    passing.writer.write_eof()
    await passing.left()


async def dies_idle(passing: Passing) -> None:
    """A kept connection is closed in the very moment in which it is used again."""
    if passing.sequence > 1:
        passing.writer.close()
    else:
        await whole(passing)


async def longer_than_it_is(passing: Passing) -> None:
    """Content-Length promises more than comes; the connection stays open."""
    await passing.begin(len(passing.body) + _LONGER)
    await passing.send(passing.body)
    await passing.left()


async def longer_and_closed(passing: Passing) -> None:
    """Content-Length promises more than comes before the connection is closed."""
    await passing.begin(len(passing.body) + _LONGER)
    await passing.send(passing.body)
    passing.writer.close()


async def shorter_than_it_is(passing: Passing) -> None:
    """Content-Length ends the answer half-way through the JSON."""
    await passing.begin(len(_half(passing.body)))
    await passing.send(passing.body)


async def answered_twice(passing: Passing) -> None:
    """Behind each answer comes the same again, which nobody asked for."""
    await whole(passing)
    await whole(passing)


async def gzip_cut(passing: Passing) -> None:
    """Gzip that ends half-way, though the HTTP message is whole."""
    await _send(passing, _half(gzip.compress(passing.body)), _GZIPPED)


async def gzip_garbage(passing: Passing) -> None:
    """What is said to be gzip is none."""
    await _send(passing, passing.body, _GZIPPED)


async def gzip_bomb(passing: Passing) -> None:
    """A small gzip that holds more than is read."""
    await _send(passing, gzip.compress(bytes(TOO_LARGE)), _GZIPPED)


async def too_large(passing: Passing) -> None:
    """A body that is larger than is read."""
    await _send(passing, b" " * TOO_LARGE + passing.body)


async def endless_head(passing: Passing) -> None:
    """Headers that do not end."""
    await passing.send(passing.head)
    while not passing.writer.is_closing():
        await passing.send(b"\r\nX-More: ", b"x" * 8000)


async def endless_body(passing: Passing) -> None:
    """A body in chunks that do not end."""
    await passing.send(passing.head, b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not passing.writer.is_closing():
        await passing.send(b"10000\r\n", b" " * 0x10000, b"\r\n")


async def no_http(passing: Passing) -> None:
    """What comes is no HTTP."""
    await passing.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    passing.writer.close()


def instead(content: bytes, kind: bytes = b"application/json") -> Damage:
    """HTTP 200 with `content` in place of the answer."""

    async def damage(passing: Passing) -> None:
        await passing.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
            % (kind, len(content)),
            content,
        )

    return damage


async def redirect(passing: Passing) -> None:
    """HTTP 302 to somewhere else."""
    await passing.send(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    )


async def _send(passing: Passing, body: bytes, *headers: bytes) -> None:
    await passing.begin(len(body), *headers)
    await passing.send(body)


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]
