"""The table of faults: what each is, and what a caller is promised while it stands."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.faults import tcp_faults
from tests.faults.tcp_proxy import Damage, Wire

REJECTED_BACKOFF_SECONDS = 10.0
"""Seconds in which a rejected credential is not offered again."""

LATE = 1.2
"""Seconds: later than WAIT, and before every timeout."""

LATER = 60
"""Seconds: later than any deadline, and the longest that the proxy keeps to."""

WAITING = frozenset({"MAX_STALE_WAIT"})
EVERY_TIME = frozenset({"MAX_STALE_WAIT", "CONNECT_TIMEOUT", "READ_TIMEOUT", "DEADLINE"})


_FAILED = "502 upstream_failed"
_MALFORMED = "502 upstream_malformed"
_REJECTED = "502 upstream_credential_rejected"
_THROTTLED = "503 upstream_throttled"
_TIMEOUT = "504 upstream_timeout"
_UNREACHABLE = "502 upstream_unreachable"
_LIST = "path=get-orders"
_TOKEN = "path=get-management-token"


class Papers:
    """The certificates of one run: a CA that the proxy knows, and what can be wrong with them."""

    def __init__(self, folder: Path) -> None:
        known, unknown = trustme.CA(), trustme.CA()
        self.ca_file = folder / "ca.pem"
        known.cert_pem.write_to_path(str(self.ca_file))
        long_ago = datetime.now(UTC) - timedelta(days=30)
        a_day = timedelta(days=1)
        self.good = _context(known.issue_cert("localhost"))
        self.of_another_host = _context(known.issue_cert("upstream.example"))
        self.expired = _context(
            known.issue_cert("localhost", not_before=long_ago, not_after=long_ago + a_day)
        )
        self.of_an_unknown_ca = _context(unknown.issue_cert("localhost"))


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


Cut = Callable[[Wire, Papers], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault.

    Attributes:
        says: what happens, in an operator's words.
        cold: the status and the problem of a caller for whom nothing is held; 200 if it is served.
        kept: the problem for whose sake what is held is served; empty if the answer is a new one.
        faults: as the sandbox takes them.
        damage: what the wire does to each answer.
        cut: what happens to the wire itself.
        tls: the wire is TLS.
        environ: settings of its own.
        about: the times that it is about.
        pause: seconds in which the proxy does not ask again after one failure.
        comes_back: False for what cannot be mended while the proxy runs: no warm caller, then.
    """

    says: str
    cold: str
    kept: str = ""
    faults: tuple[str, ...] = ()
    damage: Damage | None = None
    cut: Cut | None = None
    tls: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    about: frozenset[str] = frozenset()
    pause: float = 1.0
    comes_back: bool = True


def _told(says: str, cold: str, *faults: str, pause: float = 1.0) -> Row:
    """What the sandbox answers in place of a list."""
    return Row(says=says, cold=cold, kept=_code(cold), faults=faults, pause=pause)


def _throttled(says: str, fault: str) -> Row:
    """Asked again after a second, and again: longer than a caller waits for whom there is more."""
    return Row(says=says, cold=_THROTTLED, kept="upstream_timeout", faults=(fault,), about=WAITING)


def _wired(says: str, cold: str, what: Damage, kept: str | None = None) -> Row:
    """What happens on the wire, to every answer."""
    return Row(
        says=says,
        cold=cold,
        kept=_code(cold) if kept is None else kept,
        damage=what,
        about=_times(cold),
    )


def _cut(says: str, cut: Cut, code: str = "502 upstream_unreachable", *, tls: bool = False) -> Row:
    return Row(says=says, cold=code, kept=_code(code), cut=cut, tls=tls, about=_times(code))


def _times(cold: str) -> frozenset[str]:
    return EVERY_TIME if cold == _TIMEOUT else frozenset()


def _code(cold: str) -> str:
    return cold.partition(" ")[2]


async def _refuse(wire: Wire, _: Papers) -> None:
    await wire.down()


async def _be_deaf(wire: Wire, _: Papers) -> None:
    await wire.up(deaf=True)


async def _of_another_host(wire: Wire, papers: Papers) -> None:
    await wire.up(tls=papers.of_another_host)


async def _expire(wire: Wire, papers: Papers) -> None:
    await wire.up(tls=papers.expired)


async def _of_an_unknown_ca(wire: Wire, papers: Papers) -> None:
    await wire.up(tls=papers.of_an_unknown_ca)


ROWS: Mapping[str, Row] = {
    # Slow.
    "late": Row(
        says="answers after WAIT, before DEADLINE",
        cold="200",
        kept="upstream_timeout",
        faults=(f"latency={LATE},{_LIST}",),
        about=WAITING,
    ),
    "drip": _wired("sends its answers byte by byte", _TIMEOUT, tcp_faults.drip(0.02)),
    "silent": _wired("reads the question, never answers", _TIMEOUT, tcp_faults.silence),
    "silent-within": _wired("stops in the midst of an answer", _TIMEOUT, tcp_faults.silence_within),
    "deaf": _cut("accepts the connection, never reads", _be_deaf, _TIMEOUT),
    "no-handshake": _cut("accepts the connection, begins no TLS", _be_deaf, _TIMEOUT, tls=True),
    # Away.
    "refused": _cut("refuses connections", _refuse),
    "no-such-name": Row(
        says="its name is not in DNS",
        cold=_UNREACHABLE,
        environ={"BASE_URL": "https://upstream.invalid"},
        comes_back=False,
    ),
    # Broken connections.
    "closed-before": _wired("closes instead of an answer", _UNREACHABLE, tcp_faults.close_before),
    "closed-idle": _wired(
        "closes a kept connection as it is used again", "200", tcp_faults.dies_idle
    ),
    "half-closed": _wired("ends its side within an answer", _UNREACHABLE, tcp_faults.half_close),
    "reset-before": _wired("resets instead of an answer", _UNREACHABLE, tcp_faults.reset_before),
    "reset-within": _wired("resets within an answer", _UNREACHABLE, tcp_faults.reset_within),
    "reset-after": _wired("resets after each answer", "200", tcp_faults.reset_after, ""),
    # TLS.
    "tls": Row(says="has a certificate of a CA that CA_FILE names", cold="200", tls=True),
    "wrong-host": _cut("has the certificate of another host", _of_another_host, tls=True),
    "expired": _cut("has a certificate that has ended", _expire, tls=True),
    "unknown-ca": _cut("has a certificate of an unknown CA", _of_an_unknown_ca, tls=True),
    # Wrong bytes.
    "length-too-long": _wired(
        "promises more bytes than come, stays open", _TIMEOUT, tcp_faults.longer_than_it_is
    ),
    "length-too-long-closed": _wired(
        "promises more bytes than come, closes", _UNREACHABLE, tcp_faults.longer_and_closed
    ),
    "length-too-short": _wired(
        "promises fewer bytes than come", _MALFORMED, tcp_faults.shorter_than_it_is
    ),
    "answered-twice": _wired("sends every answer twice", "200", tcp_faults.answered_twice),
    "gzip-cut": _wired("sends gzip that ends half-way", _UNREACHABLE, tcp_faults.gzip_cut),
    "gzip-garbage": _wired("sends gzip that is none", _MALFORMED, tcp_faults.gzip_garbage),
    "gzip-bomb": _wired("sends 9 KiB of gzip that hold 9 MiB", _MALFORMED, tcp_faults.gzip_bomb),
    "too-large": _wired("sends 9 MiB", _MALFORMED, tcp_faults.too_large),
    "endless-body": _wired("sends a body without end", _MALFORMED, tcp_faults.endless_body),
    "endless-head": _wired("sends headers without end", _UNREACHABLE, tcp_faults.endless_head),
    "no-http": _wired("speaks another protocol", _UNREACHABLE, tcp_faults.no_http),
    "no-json": _wired("sends no JSON", _MALFORMED, tcp_faults.instead(b'{"statusCode": 200, "da')),
    "no-envelope": _wired("sends JSON without its envelope", _MALFORMED, tcp_faults.instead(b"[]")),
    "no-total": _wired(
        "sends a list without a total",
        _MALFORMED,
        tcp_faults.instead(b'{"statusCode": 200, "data": {"list": []}}'),
    ),
    "redirect": _wired("sends us elsewhere", _MALFORMED, tcp_faults.redirect),
    "page": _told("sends an HTML page, HTTP 200", _MALFORMED, "html=200"),
    # What it says.
    "http-502": _told("HTTP 502, an HTML page", _FAILED, "html=502"),
    "http-503": _told("HTTP 503, an HTML page", _FAILED, "html=503"),
    "status-500": _told("statusCode 500", _FAILED, f"status=500,{_LIST}"),
    "status-400": _told("statusCode 400", "502 upstream_rejected", f"status=400,{_LIST}"),
    "status-402": _told("statusCode 402", "502 upstream_plan_required", f"status=402,{_LIST}"),
    "status-429": _throttled("statusCode 429, HTTP 200", f"status=429,{_LIST}"),
    "http-429": _throttled("HTTP 429, without Retry-After", f"throttle,{_LIST}"),
    "http-429-later": _told(
        f"HTTP 429, Retry-After: {LATER}", _THROTTLED, f"throttle={LATER},{_LIST}", pause=LATER
    ),
    # Our credential.
    "status-401": _told(
        "statusCode 401", _REJECTED, f"status=401,{_LIST}", pause=REJECTED_BACKOFF_SECONDS
    ),
    "status-403": _told(
        "statusCode 403, apiCode 2224: not this pool's",
        _REJECTED,
        f"status=403,api_code=2224,{_LIST}",
        pause=REJECTED_BACKOFF_SECONDS,
    ),
    "key-refused": Row(
        says="refuses our key a token; the one held is good",
        cold=_REJECTED,
        faults=(f"status=403,api_code=2333,{_TOKEN}",),
        pause=REJECTED_BACKOFF_SECONDS,
    ),
    "token-revoked": Row(
        says="revokes our token, once", cold="200", faults=(f"revoke_tokens,times=1,{_LIST}",)
    ),
    "token-revoked-always": _told(
        "revokes every token", _REJECTED, f"revoke_tokens,{_LIST}", pause=REJECTED_BACKOFF_SECONDS
    ),
    # Drift.
    "odd-rows": Row(says="sends rows with odd values", cold="200", faults=("odd_rows",)),
    "list-is-object": Row(says="sends the list as an object", cold="200", faults=("list_object",)),
    "list-moves": Row(says="gets a new order with every call", cold="200", faults=("arrivals=1",)),
}
"""By name, which is also that of its test."""
