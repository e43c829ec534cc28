"""Behind proxies that share connections to the server, each caller gets only its own responses."""

import asyncio
import re
from collections import Counter
from itertools import count
from pathlib import Path
from random import Random

import pytest

from tests.server.live_server import running
from tests.server.proxies import haproxy, nginx, require
from tests.server.sequences import ID, SMUGGLED, Sequence, request, sequences

pytestmark = pytest.mark.without_coverage

QUIET_SECONDS = 0.2
"""Time to wait for more responses on a connection that the proxy keeps open."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Traffic:
    """Sequences, and a request of another caller during each, through one proxy.

    Attributes:
        failures: what was wrong, by the name of the sequence.
    """

    def __init__(self, number: int, socket: Path) -> None:
        self._number = number
        self._socket = socket
        self._ids = count()
        self.failures: dict[str, str] = {}

    async def run(self, named: dict[str, Sequence]) -> None:
        other = await asyncio.open_unix_connection(self._socket)
        for index, (name, sequence) in enumerate(named.items()):
            # The other variants of the proxy get the other violations.
            if not sequence.is_ambiguous or index % 3 == self._number % 3:
                other = await self._send(name, index, sequence.sent, other)
        other[1].close()

    async def _send(self, name: str, index: int, sent: bytes, other: Connection) -> Connection:
        """Send one sequence, and meanwhile a request of another caller on its connection."""
        sent = self._numbered(sent + request(headers=b"Connection: close\r\n"), index)
        reader, writer = await asyncio.open_unix_connection(self._socket)
        size = Random(index).choice((len(sent), 100, max(7, len(sent) // 50)))  # noqa: S311
        for at in range(0, len(sent), size):
            writer.write(sent[at : at + size])
        received = await self._read(reader)
        other = await self._send_other(name, other)
        while more := await self._read(reader):
            received += more
        writer.close()
        ids = Counter(re.findall(rb"(?i)\r\nx-request-id: (id-\d+)\r\n", received))
        if any(number > 1 or one not in sent for one, number in ids.items()):
            self.failures[name] = f"the caller got the responses {ids}"
        return other

    async def _send_other(self, name: str, connection: Connection) -> Connection:
        """Send the request of another caller; return the connection for its next one."""
        reader, writer = connection
        sent = self._numbered(request(), 0)
        try:
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(len(b"ok"))
        except (OSError, asyncio.IncompleteReadError) as error:
            self.failures[name] = f"another caller got {error!r}"
            return await asyncio.open_unix_connection(self._socket)
        if set(re.findall(rb"id-\d+", sent)) != set(re.findall(rb"id-\d+", head)):
            self.failures[name] = f"another caller got {head!r}"
        return connection

    def _numbered(self, data: bytes, index: int) -> bytes:
        """Return `data` with other ids, and smuggled paths that name proxy and sequence."""
        data = data.replace(SMUGGLED, SMUGGLED[:-8] + b"%d%07d" % (self._number, index))
        first = self._number * 10_000_000
        return re.sub(re.escape(ID), lambda _: b"id-%08d" % (first + next(self._ids)), data)

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                return await reader.read(1_000_000)
        except (TimeoutError, ConnectionError):
            return b""


async def test_each_caller_gets_its_own_responses_behind_a_proxy(folder: Path) -> None:
    require("nginx", "haproxy")
    named = sequences()
    names = list(named)
    async with (
        running() as server,
        nginx(folder, server.port) as nginx_sockets,
        haproxy(folder, server.port) as haproxy_sockets,
    ):
        sockets = nginx_sockets | haproxy_sockets
        traffic = {
            name: Traffic(number, path) for number, (name, path) in enumerate(sockets.items())
        }
        await asyncio.gather(*(each.run(named) for each in traffic.values()))
        processed = Counter(
            dict(scope["headers"]).get(b"x-request-id", b"") for scope in server.app.scopes
        )
        smuggled = [
            (list(traffic)[int(path[-8])], names[int(path[-7:])])
            for path in (scope["path"] for scope in server.app.scopes)
            if path.startswith(SMUGGLED[:-8].decode())
        ]

    assert {name: each.failures for name, each in traffic.items() if each.failures} == {}
    assert [found for found in smuggled if not named[found[1]].is_ambiguous] == []
    assert [one for one, number in processed.items() if one and number > 1] == []
