"""The table of faults: what the upstream does, and what callers are expected to get."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.faults import tcp_faults
from tests.faults.tcp_proxy import Fault, TcpProxy

REJECTED_BACKOFF_SECONDS = 10.0
"""How long a rejected credential is not used again."""

SLOW_SECONDS = 1.2
"""Longer than MAX_STALE_WAIT, shorter than every timeout."""

RETRY_AFTER_SECONDS = 60
"""Longer than the deadline, and the longest Retry-After that the proxy honours."""

STALE_WAIT_ONLY = frozenset({"MAX_STALE_WAIT"})
ALL_TIMEOUTS = frozenset({"MAX_STALE_WAIT", "CONNECT_TIMEOUT", "READ_TIMEOUT", "DEADLINE"})


_FAILED = "502 upstream_failed"
_MALFORMED = "502 upstream_malformed"
_REJECTED = "502 upstream_credential_rejected"
_THROTTLED = "503 upstream_throttled"
_TIMEOUT = "504 upstream_timeout"
_UNREACHABLE = "502 upstream_unreachable"
_LIST = "path=get-orders"
_TOKEN = "path=get-management-token"


class Certificates:
    """Server certificates of one run, valid and invalid, and the CA file of the valid one."""

    def __init__(self, folder: Path) -> None:
        known_ca, unknown_ca = trustme.CA(), trustme.CA()
        self.ca_file = folder / "ca.pem"
        known_ca.cert_pem.write_to_path(str(self.ca_file))
        month_ago = datetime.now(UTC) - timedelta(days=30)
        day = timedelta(days=1)
        self.valid = _context(known_ca.issue_cert("localhost"))
        self.wrong_host = _context(known_ca.issue_cert("upstream.example"))
        self.expired = _context(
            known_ca.issue_cert("localhost", not_before=month_ago, not_after=month_ago + day)
        )
        self.unknown_ca = _context(unknown_ca.issue_cert("localhost"))


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


NetworkFault = Callable[[TcpProxy, Certificates], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault.

    Attributes:
        description: what the upstream does, for operators.
        uncached: the expected status and problem code if nothing is cached; 200 for a success.
        stale_if_error: the expected `detail` of a stale-if-error response; empty if the fetch
            succeeds.
        sandbox_faults: faults of the sandbox, in its own notation.
        response_fault: what happens to each response on its way.
        network_fault: what happens to the TCP proxy itself.
        tls: whether the upstream is served over TLS.
        settings: additional `ORDERS_UPSTREAM__` settings.
        short_timeouts: the timeouts that this fault runs into.
        backoff: seconds without a further call after one failure.
        recoverable: False if the fault cannot end while the proxy runs; then only the uncached
            response is tested.
    """

    description: str
    uncached: str
    stale_if_error: str = ""
    sandbox_faults: tuple[str, ...] = ()
    response_fault: Fault | None = None
    network_fault: NetworkFault | None = None
    tls: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    short_timeouts: frozenset[str] = frozenset()
    backoff: float = 1.0
    recoverable: bool = True


def _answer(description: str, uncached: str, *faults: str, backoff: float = 1.0) -> Row:
    """The sandbox answers the list call with an error."""
    return Row(
        description=description,
        uncached=uncached,
        stale_if_error=_code(uncached),
        sandbox_faults=faults,
        backoff=backoff,
    )


def _throttled(description: str, fault: str) -> Row:
    """The call is retried after a second, longer than a caller with a stale response waits."""
    return Row(
        description=description,
        uncached=_THROTTLED,
        stale_if_error="upstream_timeout",
        sandbox_faults=(fault,),
        short_timeouts=STALE_WAIT_ONLY,
    )


def _response(description: str, uncached: str, fault: Fault) -> Row:
    """The TCP proxy corrupts every response."""
    return Row(
        description=description,
        uncached=uncached,
        stale_if_error=_code(uncached),
        response_fault=fault,
        short_timeouts=_timeouts(uncached),
    )


def _network(
    description: str, fault: NetworkFault, uncached: str = _UNREACHABLE, *, tls: bool = False
) -> Row:
    """The TCP proxy is not reachable as it should be."""
    return Row(
        description=description,
        uncached=uncached,
        stale_if_error=_code(uncached),
        network_fault=fault,
        tls=tls,
        short_timeouts=_timeouts(uncached),
    )


def _timeouts(uncached: str) -> frozenset[str]:
    return ALL_TIMEOUTS if uncached == _TIMEOUT else frozenset()


def _code(uncached: str) -> str:
    return uncached.partition(" ")[2]


async def _refuse(proxy: TcpProxy, _: Certificates) -> None:
    await proxy.stop()


async def _never_read(proxy: TcpProxy, _: Certificates) -> None:
    await proxy.start(reads=False)


async def _use_wrong_host(proxy: TcpProxy, certificates: Certificates) -> None:
    await proxy.start(tls=certificates.wrong_host)


async def _use_expired(proxy: TcpProxy, certificates: Certificates) -> None:
    await proxy.start(tls=certificates.expired)


async def _use_unknown_ca(proxy: TcpProxy, certificates: Certificates) -> None:
    await proxy.start(tls=certificates.unknown_ca)


ROWS: Mapping[str, Row] = {
    # Slow.
    "slow": Row(
        description="responds after MAX_STALE_WAIT, before DEADLINE",
        uncached="200",
        stale_if_error="upstream_timeout",
        sandbox_faults=(f"latency={SLOW_SECONDS},{_LIST}",),
        short_timeouts=STALE_WAIT_ONLY,
    ),
    "trickle": _response("sends the body byte by byte", _TIMEOUT, tcp_faults.trickle(0.02)),
    "trickled-headers": _response(
        "sends a header byte by byte",
        _TIMEOUT,
        tcp_faults.trickle_head(b"x", 0.1, start=b"HTTP/1.1 200 OK\r\nX-Endless: "),
    ),
    "interim-responses": _response(
        "sends interim (1xx) responses and no final one",
        _TIMEOUT,
        tcp_faults.trickle_head(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.1),
    ),
    "no-response": _response(
        "accepts the request, never responds", _TIMEOUT, tcp_faults.no_response
    ),
    "stalled-response": _response(
        "stops in the middle of a response", _TIMEOUT, tcp_faults.stall_midway
    ),
    "never-reads": _network("accepts the connection, never reads", _never_read, _TIMEOUT),
    "no-tls-handshake": _network(
        "accepts the connection, never starts the TLS handshake", _never_read, _TIMEOUT, tls=True
    ),
    # Unreachable.
    "refused": _network("refuses connections", _refuse),
    "dns-failure": Row(
        description="its host name does not resolve",
        uncached=_UNREACHABLE,
        settings={"BASE_URL": "https://upstream.invalid"},
        recoverable=False,
    ),
    # Broken connections.
    "closed": _response(
        "closes the connection instead of responding",
        _UNREACHABLE,
        tcp_faults.close_before_response,
    ),
    "closed-on-reuse": _response(
        "closes a keep-alive connection when it is reused", "200", tcp_faults.close_on_reuse
    ),
    "half-closed": _response(
        "half-closes the connection within a response", _UNREACHABLE, tcp_faults.half_close_midway
    ),
    "reset": _response(
        "resets the connection instead of responding",
        _UNREACHABLE,
        tcp_faults.reset_before_response,
    ),
    "reset-midway": _response(
        "resets the connection within a response", _UNREACHABLE, tcp_faults.reset_midway
    ),
    "reset-after": _response(
        "resets the connection after each response", "200", tcp_faults.reset_after_response
    ),
    # TLS.
    "private-ca": Row(
        description="has a certificate of the CA in CA_FILE (no fault)", uncached="200", tls=True
    ),
    "wrong-host": _network("has a certificate for another host", _use_wrong_host, tls=True),
    "expired": _network("has an expired certificate", _use_expired, tls=True),
    "unknown-ca": _network("has a certificate of an unknown CA", _use_unknown_ca, tls=True),
    # Malformed responses.
    "length-too-long": _response(
        "sends fewer bytes than Content-Length, keeps the connection open",
        _TIMEOUT,
        tcp_faults.content_length_too_long,
    ),
    "length-too-long-closed": _response(
        "sends fewer bytes than Content-Length, closes the connection",
        _UNREACHABLE,
        tcp_faults.content_length_too_long_then_close,
    ),
    "length-too-short": _response(
        "sends more bytes than Content-Length", _MALFORMED, tcp_faults.content_length_too_short
    ),
    "duplicate-response": _response(
        "sends every response twice", "200", tcp_faults.duplicate_response
    ),
    "truncated-gzip": _response("sends truncated gzip", _UNREACHABLE, tcp_faults.truncated_gzip),
    "deflated": _response(
        "sends deflate within gzip, under the name x-gzip", "200", tcp_faults.deflated
    ),
    "unknown-coding": _response(
        "sends another content coding than gzip or deflate",
        _MALFORMED,
        tcp_faults.unknown_coding,
    ),
    "invalid-gzip": _response("sends invalid gzip", _MALFORMED, tcp_faults.invalid_gzip),
    "gzip-bomb": _response(
        "sends 3 KiB of gzip that decode to 3 MiB", _MALFORMED, tcp_faults.gzip_bomb
    ),
    "oversized-body": _response("sends 3 MiB", _MALFORMED, tcp_faults.oversized_body),
    "endless-body": _response("sends an endless body", _MALFORMED, tcp_faults.endless_body),
    "endless-headers": _response("sends endless headers", _UNREACHABLE, tcp_faults.endless_headers),
    "not-http": _response("sends another protocol than HTTP", _UNREACHABLE, tcp_faults.not_http),
    "invalid-json": _response(
        "sends invalid JSON", _MALFORMED, tcp_faults.replace_with(b'{"statusCode": 200, "da')
    ),
    "no-envelope": _response(
        "sends JSON without the envelope", _MALFORMED, tcp_faults.replace_with(b"[]")
    ),
    "no-total": _response(
        "sends a list without a total",
        _MALFORMED,
        tcp_faults.replace_with(b'{"statusCode": 200, "data": {"list": []}}'),
    ),
    "redirect": _response("redirects", _MALFORMED, tcp_faults.redirect),
    "html-200": _answer("responds with HTTP 200 and an HTML page", _MALFORMED, "html=200"),
    # Error responses.
    "http-502": _answer("responds with HTTP 502 and an HTML page", _FAILED, "html=502"),
    "http-503": _answer("responds with HTTP 503 and an HTML page", _FAILED, "html=503"),
    "status-500": _answer("responds with statusCode 500", _FAILED, f"status=500,{_LIST}"),
    "status-400": _answer(
        "responds with statusCode 400", "502 upstream_rejected", f"status=400,{_LIST}"
    ),
    "status-402": _answer(
        "responds with statusCode 402", "502 upstream_plan_required", f"status=402,{_LIST}"
    ),
    "status-429": _throttled("responds with statusCode 429 and HTTP 200", f"status=429,{_LIST}"),
    "http-429": _throttled("responds with HTTP 429, without Retry-After", f"throttle,{_LIST}"),
    "http-429-retry-after": _answer(
        f"responds with HTTP 429 and Retry-After: {RETRY_AFTER_SECONDS}",
        _THROTTLED,
        f"throttle={RETRY_AFTER_SECONDS},{_LIST}",
        backoff=RETRY_AFTER_SECONDS,
    ),
    # Rejected credentials.
    "status-401": _answer(
        "responds with statusCode 401",
        _REJECTED,
        f"status=401,{_LIST}",
        backoff=REJECTED_BACKOFF_SECONDS,
    ),
    "status-403": _answer(
        "responds with statusCode 403, apiCode 2224 (wrong pool)",
        _REJECTED,
        f"status=403,api_code=2224,{_LIST}",
        backoff=REJECTED_BACKOFF_SECONDS,
    ),
    "key-rejected": Row(
        description="rejects the access key; the cached token stays valid",
        uncached=_REJECTED,
        sandbox_faults=(f"status=403,api_code=2333,{_TOKEN}",),
        backoff=REJECTED_BACKOFF_SECONDS,
    ),
    "token-revoked": Row(
        description="revokes the token once",
        uncached="200",
        sandbox_faults=(f"revoke_tokens,times=1,{_LIST}",),
    ),
    "tokens-revoked": _answer(
        "revokes every token",
        _REJECTED,
        f"revoke_tokens,{_LIST}",
        backoff=REJECTED_BACKOFF_SECONDS,
    ),
    # Schema drift.
    "odd-rows": Row(
        description="sends rows with unexpected values",
        uncached="200",
        sandbox_faults=("odd_rows",),
    ),
    "list-is-object": Row(
        description="sends an object instead of the list",
        uncached="200",
        sandbox_faults=("list_object",),
    ),
    "arrivals": Row(
        description="adds an order with every call (no fault)",
        uncached="200",
        sandbox_faults=("arrivals=1",),
    ),
}
"""The rows by name. The name is also the id of the test."""
