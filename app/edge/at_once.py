"""The short way: an answer that needs no waiting is given in the server's callback, without a task.

Most requests are polls for a page that is held and fresh. A scope, a task and the walk through
every layer cost such a request more than all else. So the server asks here first. What decides is
what decides on the long way, too; whatever is in any way out of the ordinary (another origin's
page, a condition on the cache, a body, a refusal) is not answered here and goes the long way.
Knows no route.
"""

from collections.abc import Callable
from typing import NamedTuple

from app.edge.access_log import SECURITY, VARY, AccessLog
from app.edge.callers import Callers
from app.edge.exchange import Exchange
from app.edge.header_lines import lines_of
from app.edge.hosts import Hosts

_OUT_OF_THE_ORDINARY = frozenset(
    (b"cache-control", b"content-length", b"expect", b"origin", b"transfer-encoding", b"upgrade")
)
"""Headers that ask for more than the page."""

_MOST_HEADERS = 32
_MOST_BYTES = 4096
"""Of all header values: larger heads have bounds of their own on the long way."""

_CONSTANT = lines_of([*SECURITY, VARY])


class Whole(NamedTuple):
    """A whole answer: its status, its header lines as they stand on the wire, its body."""

    status: int
    lines: bytes
    body: bytes


Held = Callable[[bytes, Exchange], Whole | None]
"""What is held for the target of a GET, if it may be sent to the exchange's caller as it is."""


class ShortWay:
    """Answers a GET of HTTP/1.1, or gives None: then it has to go the long way.

    Args:
        log: writes the access line.
        hosts: says which hosts lead here.
        callers: says who asks.
        held: gives what is held.
    """

    def __init__(self, log: AccessLog, hosts: Hosts, callers: Callers, held: Held) -> None:
        self._log = log
        self._hosts = hosts
        self._callers = callers
        self._held = held

    def __call__(self, target: bytes, raw: list[tuple[bytes, bytes]]) -> Whole | None:
        headers = dict(raw)
        if len(headers) != len(raw) or not _OUT_OF_THE_ORDINARY.isdisjoint(headers):
            return None
        if len(headers) > _MOST_HEADERS or sum(map(len, headers.values())) > _MOST_BYTES:
            return None
        if not self._hosts.leads_here(headers.get(b"host")):
            return None
        exchange = self._log.begin("GET", headers)
        exchange.caller = self._callers.caller_of(headers)
        whole = self._held(target, exchange)
        if whole is None:
            return None
        exchange.status = whole.status
        self._log.end(exchange)
        own = b"x-request-id: %b\r\n" % exchange.request_id.encode()
        return Whole(whole.status, b"".join((whole.lines, own, _CONSTANT)), whole.body)
