"""Checks of a complete request head, in addition to those of llhttp.

llhttp accepts some heads for which other servers and proxies compute another end of the body. Such
a request is rejected and its connection closed: what follows it could be taken for another request
(request smuggling, RFC 9112 section 11.2).
"""

from urllib.parse import urlsplit

from app.edge.host_check import parse_authority

RawHeaders = list[tuple[bytes, bytes]]

VERSIONS = ("1.0", "1.1")

_FRAMING = frozenset((b"content-length", b"transfer-encoding"))


class RequestRejected(ValueError):
    """Raised to reject the request with the problem `code`, and to close the connection."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def check_framing(method: bytes, version: str, headers: RawHeaders, *, upgrade: bool) -> int:
    """Return the value of Content-Length, or 0.

    Args:
        method: the request method.
        version: the HTTP version, such as `1.1`.
        headers: the header fields, with lower-case names.
        upgrade: whether llhttp would end the request at its head, and leave HTTP after it.

    Raises:
        RequestRejected: it is not certain where the request ends (RFC 9112 section 6).
    """
    framing = [header for header in headers if header[0] in _FRAMING]
    if version not in VERSIONS or method == b"CONNECT" or len(framing) > 1:
        raise RequestRejected("bad_request")
    if not framing:
        return 0
    name, value = framing[0]
    is_chunked = name == b"transfer-encoding"
    # No other coding is supported, and HTTP/1.0 has none (RFC 9112 section 6.1).
    if is_chunked and (value.lower() != b"chunked" or version == "1.0"):
        raise RequestRejected("bad_request")
    if not is_chunked and not value.isdigit():
        raise RequestRejected("bad_request")
    length = 0 if is_chunked else int(value)
    if upgrade and (length or is_chunked):
        # llhttp does not read the body of an upgrade.
        raise RequestRejected("bad_request")
    return length


def normalize_target(method: bytes, version: str, target: bytes, headers: RawHeaders) -> bytes:
    """Return path and query of `target`, or `*`.

    The host of an absolute-form target replaces the Host header in `headers` (RFC 9112 section
    3.2.2).

    Raises:
        RequestRejected: the form is not allowed, or Host is missing, repeated or invalid.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        raise RequestRejected("bad_request")
    if b"#" in target or any(parse_authority(host) is None for host in hosts):
        raise RequestRejected("bad_request")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    parts = urlsplit(target)
    is_http = parts.scheme in (b"http", b"https")
    if not (is_http and parts.netloc and parse_authority(parts.netloc)):
        raise RequestRejected("bad_request")
    headers[:] = [header for header in headers if header[0] != b"host"]
    headers.append((b"host", parts.netloc))
    return (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")
