"""One long table: byte sequences as clients and attackers send them, each named by the rule that it tests.

Section numbers are those of RFC 9112 unless another RFC is named.
"""

from collections.abc import Iterator
from dataclasses import dataclass

ID = b"id-00000000"
"""Replaced by another id of the same length in each request."""
SMUGGLED = b"/smuggled-00000000"
"""The path of a request that is only the content of a body, and must never be processed."""

HOST = b"Host: localhost\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: "
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BAD = "bad_request"


@dataclass(frozen=True)
class Sequence:
    """What is sent on one connection, and what has to follow.

    Attributes:
        sent: the bytes.
        expected: of each response the status, or the problem code if the server rejects it.
        closes: whether the server closes the connection then.
        is_ambiguous: whether a proxy may see other requests in it: a violation of the RFC that some
            accept.
    """

    sent: bytes
    expected: tuple[int | str, ...]
    closes: bool = False
    is_ambiguous: bool = False


def request(
    target: bytes = b"/v1/me",
    headers: bytes = b"",
    body: bytes = b"",
    *,
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    host: bytes = HOST,
) -> bytes:
    """Return one request with an id; `headers` are complete lines."""
    first = method + b" " + target + b" " + version + b"\r\n"
    return first + host + b"X-Request-Id: " + ID + b"\r\n" + headers + b"\r\n" + body


GET = request()
HIDDEN = request(SMUGGLED)
"""A request as the content of a body."""


def post(headers: bytes, body: bytes = b"", **options: bytes) -> bytes:
    """Return a request to a route that reads the body before it responds."""
    return request(b"/read-body", headers, body, method=b"POST", **options)


def length(value: bytes | int, name: bytes = b"Content-Length") -> bytes:
    text = b"%d" % value if isinstance(value, int) else value
    return name + b": " + text + b"\r\n"


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x" % len(data) + extension + b"\r\n" + data + b"\r\n"


def sequences() -> dict[str, Sequence]:
    """Return all sequences by name."""
    named: dict[str, Sequence] = {}
    for group in (
        _bodies,
        _lengths,
        _codings,
        _chunks,
        _upgrades,
        _expectations,
        _versions,
        _line_ends,
        _fields,
        _targets,
        _hosts,
        _batches,
        _other_protocols,
    ):
        for name, sequence in group():
            assert name not in named, name
            named[name] = sequence
    return named


Named = Iterator[tuple[str, Sequence]]


def _accepted(sent: bytes, *more: int) -> Sequence:
    """One request, after which the connection can be used again."""
    return Sequence(sent + GET, (200, *more, 200))


def _rejected(sent: bytes, code: str = BAD, *, is_ambiguous: bool = True) -> Sequence:
    return Sequence(sent + GET, (code,), closes=True, is_ambiguous=is_ambiguous)


def _bodies() -> Named:
    for method in (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"):
        name = method.decode()
        body = length(len(HIDDEN))
        yield (
            f"a {name} with a request as its body",
            _accepted(request(b"/read-body", body, HIDDEN, method=method)),
        )
        chunked = chunk(HIDDEN) + chunk(b"")
        yield (
            f"a {name} with a request as a chunk",
            _accepted(request(b"/read-body", CHUNKED, chunked, method=method)),
        )
        yield (
            f"a {name} whose body nobody reads",
            _accepted(request(b"/v1/me", body, HIDDEN, method=method)),
        )
        yield (
            f"a {name} whose chunks nobody reads",
            _accepted(request(b"/v1/me", CHUNKED, chunked, method=method)),
        )
    yield "two requests as a body", _accepted(post(length(2 * len(HIDDEN)), HIDDEN * 2))
    yield "a body of line ends", _accepted(post(length(16), b"\r\n" * 8))
    yield "a body that starts like a head ends", _accepted(post(length(6), b"\r\n\r\nab"))
    yield "a body that ends in half a line end", _accepted(post(length(5), b"\r\n\r\n\r"))
    yield (
        "a body of 64 KiB and one byte (RFC 9110 15.5.14)",
        Sequence(post(length(65537)) + GET, ("request_too_large",), closes=True),
    )


def _lengths() -> Named:
    size = len(HIDDEN)
    for value in (b"%d", b"0%d", b"0000000000000000000%d", b"  %d", b"\t%d", b"%d  ", b"%d \t"):
        name = f"Content-Length of {value!r}"
        yield name, _accepted(post(length(value % size), HIDDEN))
    for value in (
        b"+%d", b"-%d", b"0x%x", b"%d.0", b"%de0", b"%d_0", b"%d,%d", b"%d, %d", b"%d %d", b"%d;",
        b"\x0b%d", b"\x0c%d", b"%d\x0b", b"%d\x00", b"\xc2\xb2%d", b'"%d"', b"'%d'", b"%da",
        b"18446744073709551616%d", b"99999999999999999999%d", b"%d\r\n 0", b"%d\r\n\t0", b"\r\n %d",
    ):  # fmt: skip
        text = value % ((size,) * value.count(b"%"))
        yield f"Content-Length of {value!r} (6.2)", _rejected(post(length(text), HIDDEN))
    yield "an empty Content-Length (6.2)", _rejected(post(b"Content-Length:\r\n", HIDDEN))
    yield "a blank Content-Length (6.2)", _rejected(post(b"Content-Length: \r\n", HIDDEN))
    for first, second in ((size, size), (0, size), (size, 0), (1, 2)):
        lines = length(first) + length(second)
        yield f"Content-Lengths {first} and {second} (6.3)", _rejected(post(lines, HIDDEN))
    for field in (b"content-length", b"CONTENT-LENGTH", b"cOnTeNt-LeNgTh"):
        yield f"{field!r} in any case", _accepted(post(length(size, field), HIDDEN))
    for field in (
        b"Content-Length ", b"Content-Length\t", b" Content-Length", b"\tContent-Length",
        b"Content-Length\x00", b"Content\x00Length", b"Content-Length\x0b", b"Content Length",
        b"\xefContent-Length", b"Content-Length\r", b"\x7fContent-Length",
    ):  # fmt: skip
        yield f"the field name {field!r} (5.1)", _rejected(post(length(size, field), HIDDEN))


def _codings() -> Named:
    body = chunk(HIDDEN) + chunk(b"")
    for value in (b"chunked", b"Chunked", b"CHUNKED", b"  chunked", b"\tchunked"):
        line = b"Transfer-Encoding:" + value + b"\r\n"
        yield f"Transfer-Encoding of {value!r}", _accepted(post(line, body))
    for value in (
        b"", b" ", b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked",
        b"chunked, identity", b"identity, chunked", b",chunked", b"chunked,", b", chunked", b"xchunked",
        b"chunkedx", b"chunke", b"chunked;a", b"chunked;q=1", b'"chunked"', b"'chunked'", b"[chunked]",
        b"\x0bchunked", b"chunked\x0b", b"\x00chunked", b"chunked\x00", b"chun\x00ked", b"chunked\r\n ",
        b"\r\n chunked", b"\r\n\tchunked", b"x\r\n chunked", b"chunked, \r\n gzip", b"chunked chunked",
        b"c\xc5\xaehunked", b"chunked\x7f", b"null", b"0",
    ):  # fmt: skip
        line = b"Transfer-Encoding: " + value + b"\r\n"
        yield f"Transfer-Encoding of {value!r} (6.1)", _rejected(post(line, body))
    for first in (b"chunked", b"gzip", b"identity", b"x"):
        line = b"Transfer-Encoding: " + first + b"\r\n"
        yield (
            f"{first.decode()} in a line before chunked (6.1)",
            _rejected(post(line + CHUNKED, body)),
        )
        yield (
            f"{first.decode()} in a line after chunked (6.1)",
            _rejected(post(CHUNKED + line, body)),
        )
    for name in (
        b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding", b"\x0bTransfer-Encoding",
        b"Transfer\x00Encoding", b"Transfer-Encoding\x00", b"Transfer-Encoding\r", b"Transfer Encoding",
    ):  # fmt: skip
        line = name + b": chunked\r\n"
        yield f"the field name {name!r} (5.1)", _rejected(post(line, body))
        both = length(len(body)) + line
        yield f"Content-Length and the field name {name!r} (5.1)", _rejected(post(both, body))
    for size in (0, 5, len(body), len(HIDDEN)):
        pair = length(size), CHUNKED
        yield (
            f"Content-Length of {size} before chunked (6.3)",
            _rejected(post(b"".join(pair), body)),
        )
        yield (
            f"Content-Length of {size} after chunked (6.3)",
            _rejected(post(b"".join(pair[::-1]), body)),
        )
    for other in (b"gzip", b"identity", b"xchunked"):
        lines = length(len(HIDDEN)) + b"Transfer-Encoding: " + other + b"\r\n"
        yield f"Content-Length and {other.decode()} (6.3)", _rejected(post(lines, HIDDEN))
    for name in (b"Transfer_Encoding", b"Transfer-Encoding-", b"X-Transfer-Encoding", b"TE"):
        lines = length(len(HIDDEN)) + name + b": chunked\r\n"
        yield f"{name.decode()} is another field", _accepted(post(lines, HIDDEN))


def _chunks() -> Named:
    last = chunk(b"")

    def chunked(body: bytes) -> bytes:
        return post(CHUNKED, body)

    yield "many chunks", _accepted(chunked(b"".join(chunk(b"x" * n) for n in range(1, 30)) + last))
    for name, body in (
        ("2001 chunks of one byte", b"1\r\nx\r\n" * 2001),
        ("a chunk with 2001 empty lines", chunk(b"x\r\n\r\n" * 2001)),
    ):
        too_large = Sequence(chunked(body + last) + GET, ("request_too_large",), closes=True)
        yield f"{name} (RFC 9110 15.5.14)", too_large
    yield "a chunk with the end of a body", _accepted(chunked(chunk(b"0\r\n\r\n" + HIDDEN) + last))
    for digits in (b"%x", b"%X", b"0%x", b"000000%x"):
        line = digits % len(HIDDEN) + b"\r\n" + HIDDEN + b"\r\n"
        yield f"a chunk size of {digits!r}", _accepted(chunked(line + last))
    for digits in (
        b"+%x", b"-%x", b"0x%x", b" %x", b"\t%x", b"%x ", b"%x\t", b"%xg", b"g%x", b"%x_0", b"%x.",
        b"ffffffffffffffff%x", b"10000000000000000%x", b"%x\x00", b"%x\x0b", b"%x\xa0", b"\r\n%x",
    ):  # fmt: skip
        line = digits % len(HIDDEN) + b"\r\n" + HIDDEN + b"\r\n"
        yield f"a chunk size of {digits!r} (7.1)", _rejected(chunked(line + last))
    for extension in (b";a", b";a=b", b';a="b"', b';a="b;c"', b";a=b;c=d", b";" + b"a" * 300):
        for name, line in (("a", chunk(HIDDEN, extension)), ("the last", b"")):
            end = last if line else b"0" + extension + b"\r\n\r\n"
            yield f"{extension[:12]!r} on {name} chunk (7.1.1)", _accepted(chunked(line + end))
    for extension in (
        b";a\n", b";\r", b";a=b\r\r", b";a\x00", b";a\x01", b';a="b\n"', b" a", b"\n", b"\r",
        b';a="b\r\n',
    ):  # fmt: skip
        bad = b"%x" % len(HIDDEN) + extension + HIDDEN + b"\r\n" + last
        yield f"{extension!r} in place of the end of a chunk size (7.1)", _rejected(chunked(bad))
    for end in (b"", b"\n", b"\r", b"\n\r", b"\r\r\n", b"x\r\n", b"\r\n\r\n", b" \r\n"):
        bad = b"%x\r\n" % len(HIDDEN) + HIDDEN + end + last
        yield f"{end!r} after a chunk (7.1)", _rejected(chunked(bad))
    for end in (
        b"0\r\n\n",
        b"0\n\n",
        b"0\r\n\r",
        b"0\n\r\n",
        b"0\r\r\n\r\n",
        b"-0\r\n\r\n",
        b"0 \r\n\r\n",
    ):
        yield f"{end!r} at the end (7.1)", _rejected(chunked(chunk(HIDDEN) + end))
    for count in (1, 2, 50):
        trailers = b"X-T: y\r\n" * count + b"\r\n"
        yield f"{count} trailers (7.1.2)", _accepted(chunked(chunk(HIDDEN) + b"0\r\n" + trailers))
    for trailer in (
        b"Host: other.example",
        b"X-Request-Id: of-a-trailer",
        b"Expect: x",
        b"Upgrade: x\r\nConnection: upgrade",
    ):
        end = b"0\r\n" + trailer + b"\r\n\r\n"
        yield f"{trailer!r} as a trailer is ignored", _accepted(chunked(chunk(HIDDEN) + end))
    for trailer in (
        b"X", b"X : y", b" X: y", b"X: y\n", b"X: y\r", b"X: \x00", b": y", b"X: y\r\n z",
        b"Content-Length: 5", b"Connection: close", b"Connection: x, close", HIDDEN.split(b"\r\n")[0],
    ):  # fmt: skip
        end = b"0\r\n" + trailer + b"\r\n\r\n"
        yield f"{trailer!r} as a trailer (7.1.2)", _rejected(chunked(chunk(HIDDEN) + end))


def _upgrades() -> Named:
    """RFC 9110 section 7.8: the server may ignore an upgrade."""
    size = length(len(HIDDEN))
    for protocol in (b"websocket", b"h2c", b"h2c, websocket", b"TLS/1.0", b"x"):
        line, name = UPGRADE + protocol + b"\r\n", protocol.decode()
        body = chunk(HIDDEN) + chunk(b"")
        yield f"an upgrade to {name} without a body is ignored", _accepted(request(headers=line))
        yield (
            f"an upgrade to {name} with Content-Length: 0 is ignored",
            _accepted(request(headers=line + length(0))),
        )
        for where, lines in (("before", line + size), ("after", size + line)):
            yield (
                f"an upgrade to {name} {where} the length of a body",
                _rejected(post(lines, HIDDEN), is_ambiguous=False),
            )
            yield (
                f"an upgrade to {name} {where} the length, in a GET",
                _rejected(request(headers=lines, body=HIDDEN), is_ambiguous=False),
            )
        for where, lines in (("before", line + CHUNKED), ("after", CHUNKED + line)):
            yield (
                f"an upgrade to {name} {where} chunked",
                _rejected(post(lines, body), is_ambiguous=False),
            )
    h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    yield "the offer of Java's HttpClient", _accepted(request(headers=h2c))
    yield "that offer twice", Sequence(request(headers=h2c) * 2 + GET, (200, 200, 200))
    yield (
        "that offer with a body",
        _rejected(post(h2c + length(3), b"abc"), is_ambiguous=False),
    )
    yield (
        "an upgrade followed by a WebSocket frame",
        Sequence(
            request(headers=UPGRADE + b"websocket\r\n") + b"\x81\x05hello",
            (200, BAD),
            closes=True,
            is_ambiguous=True,
        ),
    )
    yield (
        "an upgrade with Connection: close",
        Sequence(
            request(headers=b"Connection: close, Upgrade\r\nUpgrade: x\r\n") + HIDDEN,
            (200,),
            closes=True,
            is_ambiguous=True,
        ),
    )
    yield "Upgrade without Connection", _accepted(post(b"Upgrade: h2c\r\n" + size, HIDDEN))
    yield (
        "Connection: upgrade without Upgrade",
        _accepted(post(b"Connection: upgrade\r\n" + size, HIDDEN)),
    )
    for target in (b"localhost:80", b"/", b"http://localhost/", b"*"):
        sent = request(target, method=b"CONNECT")
        yield f"CONNECT {target.decode()} (RFC 9110 9.3.6)", _rejected(sent + HIDDEN)


def _expectations() -> Named:
    """RFC 9110 section 10.1.1: without 100 it is not certain whether the client sends the body."""
    size = length(len(HIDDEN))
    for value in (b"100-continue", b"100-Continue", b"x", b"x, 100-continue", b"100-continue\t"):
        line, name = b"Expect: " + value + b"\r\n", value.decode()
        interim = (100,) if value.strip().lower() == b"100-continue" else ()
        yield (
            f"Expect of {name!r} with a body",
            Sequence(
                post(line + size, HIDDEN) + HIDDEN, (*interim, 200), closes=True, is_ambiguous=True
            ),
        )
        yield (
            f"Expect of {name!r} whose body nobody reads",
            Sequence(request(headers=line + size) + HIDDEN, (200,), closes=True, is_ambiguous=True),
        )
        yield (
            f"Expect of {name!r} without a body",
            Sequence(request(headers=line) + HIDDEN, (200,), closes=True, is_ambiguous=True),
        )


def _versions() -> Named:
    """Section 9.3."""
    size = length(len(HIDDEN))
    old = b"HTTP/1.0"
    for headers in (
        b"",
        b"Connection: keep-alive\r\n",
        b"Connection: Keep-Alive, x\r\n",
        b"Connection: close\r\n",
    ):
        name = headers.strip().decode() or "no Connection"
        for host in (HOST, b""):
            suffix = "" if host else " without a Host"
            yield (
                f"HTTP/1.0 with {name}{suffix}",
                Sequence(
                    request(headers=headers, version=old, host=host) + HIDDEN,
                    (200,),
                    closes=True,
                    is_ambiguous=True,
                ),
            )
        yield (
            f"HTTP/1.0 with {name} and a body",
            Sequence(
                post(headers + size, HIDDEN, version=old) + HIDDEN,
                (200,),
                closes=True,
                is_ambiguous=True,
            ),
        )
        yield (
            f"chunked in HTTP/1.0 with {name} (6.1)",
            _rejected(post(headers + CHUNKED, chunk(HIDDEN) + chunk(b""), version=old)),
        )
    for version in (
        b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/1", b"HTTP/1.10",
        b"HTTP/01.1", b"HTTP/1,1", b"http/1.1", b"HTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1\t", b"HTTP/1.1x", b"HTTP /1.1",
        b"ICE/1.0", b"",
    ):  # fmt: skip
        yield f"the version {version!r} (2.3)", _rejected(request(version=version) + HIDDEN)
    yield "no version (HTTP/0.9)", _rejected(b"GET /v1/me\r\n" + HOST + b"\r\n" + HIDDEN)
    for headers in (
        b"Connection: close\r\n",
        b"Connection: x, Close\r\n",
        b"Connection: close\r\nConnection: keep-alive\r\n",
    ):
        yield (
            f"a request after {headers.strip()!r} (9.6)",
            Sequence(request(headers=headers) + HIDDEN, (200,), closes=True, is_ambiguous=True),
        )
        yield (
            f"a body and a request after {headers.strip()!r} (9.6)",
            Sequence(post(headers + size, HIDDEN) + HIDDEN, (200,), closes=True, is_ambiguous=True),
        )
        yield (
            f"garbage after {headers.strip()!r} (9.6)",
            Sequence(
                request(headers=headers) + b"\x00garbage\r\n\r\n",
                (200,),
                closes=True,
                is_ambiguous=True,
            ),
        )
    yield "Connection: keep-alive", _accepted(request(headers=b"Connection: keep-alive\r\n"))


def _line_ends() -> Named:
    """Section 2.2, stricter: no bare CR or LF anywhere."""
    lines = post(length(len(HIDDEN))).split(b"\r\n")[:-1]
    for at in range(len(lines)):
        for end in (
            b"\n",
            b"\r",
            b"\n\r",
            b"\r\r\n",
            b"\x0b\r\n" if at == 0 else b"\r\n\n",
            b"\x00\r\n",
        ):
            head = b"\r\n".join(lines[: at + 1]) + end + b"\r\n".join(lines[at + 1 :]) + b"\r\n"
            if at == len(lines) - 1 and end == b"\r\n\n":
                continue  # the LF is the first byte of the body
            yield f"{end!r} after line {at + 1} of {len(lines)}", _rejected(head + HIDDEN)
    yield "two empty lines before a request", Sequence(b"\r\n\r\n" + GET, (200,))
    yield "5000 empty lines before a request", Sequence(b"\r\n" * 5000 + GET, (200,))
    yield "empty lines between requests", Sequence(GET + b"\r\n" * 3 + GET, (200, 200))
    for start in (b"\n", b"\r", b"\n\n\r"):
        yield f"{start!r} before a request is an empty line", Sequence(start + GET * 2, (200, 200))
        yield (
            f"{start!r} between requests is an empty line",
            Sequence(GET + start + GET, (200, 200)),
        )
    for start in (b" ", b"\t", b"\x00", b"\r\n \r\n", b"\xef\xbb\xbf"):
        yield f"{start!r} before a request", _rejected(start + HIDDEN)
        yield (
            f"{start!r} between requests",
            Sequence(GET + start + HIDDEN, (200, BAD), closes=True, is_ambiguous=True),
        )


def _fields() -> Named:
    """RFC 9110 section 5.5, and section 5 of RFC 9112."""
    size = length(len(HIDDEN))
    for line in (
        b"X", b"X y", b": y", b"X : y", b"X\t: y", b" X: y", b"\tX: y", b"X: a\r\n b", b"X: a\r\n\tb", b"X:\r\n b",
        b"X: a\x00b", b"X: a\x01b", b"X: a\x1fb", b"X: a\x7fb", b"X(: b", b'X"Y: b', b"X,Y: b", b"X/Y: b", b"X@Y: b",
        b"X[: b", b"X\\: b", b"X{: b", b"\x00: b", b"X\x00: b", b"X\xff: b", b"X\x80Y: b", b"\r\r: b",
    ):  # fmt: skip
        yield f"the line {line!r} in a head", _rejected(post(line + b"\r\n" + size, HIDDEN))
        yield (
            f"the line {line!r} at the end of a head",
            _rejected(post(size + line + b"\r\n", HIDDEN)),
        )
    for line in (
        b"X:",
        b"X: ",
        b"X:a",
        b"X: \t a \t ",
        b"X: a\tb",
        b"X: \xff\x80",
        b"!#$%&'*+-.^_`|~09: a",
        b"X: a:b",
    ):
        yield f"the line {line!r} is valid", _accepted(post(line + b"\r\n" + size, HIDDEN))
    yield (
        "129 fields (RFC 6585 5)",
        _rejected(request(headers=b"X:\r\n" * 129), "headers_too_large"),
    )
    yield (
        "65 KiB of fields (RFC 6585 5)",
        _rejected(request(headers=b"X: " + b"x" * 66_000 + b"\r\n"), "headers_too_large"),
    )


def _targets() -> Named:
    """Section 3.2."""
    size = length(len(HIDDEN))
    for target in (b"/v1/me?a=b", b"//v1/me", b"/v1/./me", b"/a;b", b"/%ff", b"/?", b"/a?b?c", b"http://localhost/", b"http://localhost",
                   b"HTTP://LOCALHOST:80?a", b"https://localhost/a", b"http://[::1]/", b"http://127.0.0.1:1/"):  # fmt: skip
        yield f"the target {target.decode()}", _accepted(request(target, size, HIDDEN))
    for target in (b"", b"a", b"?a", b"#", b"/a#b", b"/a b", b"/a\tb", b"/a\x00b", b"/a\x7fb", b"/\xff", b"/\xc3\xa4", b"ftp://localhost/",
                   b"http:/a", b"http:a", b"http://", b"http:///a", b"http://:80/", b"http://u@localhost/", b"http://u:p@localhost/",
                   b"http://a b/", b"http://localhost:x/", b"http://localhost:99999/", b"http://[::1/", b"http://local\\host/",
                   b"localhost", b"localhost:80", b"*", b"*/", b"//", b"javascript:1", b"urn:a"):  # fmt: skip
        if target != b"//":
            yield f"the target {target!r} (3.2)", _rejected(request(target, size, HIDDEN))
    yield "an escaped slash is no separator", Sequence(request(b"/v1%2Fme") + GET, (404, 200))
    yield "OPTIONS * (3.2.4)", _accepted(request(b"*", method=b"OPTIONS"))
    yield (
        "another host (RFC 9110 7.4)",
        Sequence(request(b"http://other.example/") + GET, (421, 200)),
    )
    yield (
        "a target of 8 KiB and one byte (3)",
        _rejected(request(b"/" + b"a" * 8192), "uri_too_long"),
    )
    for method in (
        b"get",
        b"GE T",
        b"GET\t",
        b"\x00GET",
        b"G\xffT",
        b"FOO",
        b"GETGET",
        b"PRI",
        b"",
    ):
        yield f"the method {method!r}", _rejected(request(method=method) + HIDDEN)


def _hosts() -> Named:
    """Section 3.2."""
    for host in (b"", HOST * 2, b"Host: a b\r\n", b"Host: a\r\nHost: localhost\r\n", b"Host: localhost\r\nhost: a\r\n",
                 b"Host: localhost, a\r\n", b"Host: u@localhost\r\n", b"Host: localhost/a\r\n", b"Host: localhost:80:80\r\n",
                 b"Host: localhost\x00\r\n", b"Host : localhost\r\n", b"Host: http://localhost\r\n", b"Host: localhost#\r\n"):  # fmt: skip
        yield f"the host {host!r}", _rejected(request(host=host) + HIDDEN)
        yield (
            f"the host {host!r} with an absolute-form target",
            _rejected(request(b"http://localhost/v1/me", host=host) + HIDDEN),
        )
    yield "an empty Host", Sequence(request(host=b"Host:\r\n") + GET, (421, 200))
    yield (
        "an absolute-form target replaces Host",
        _accepted(request(b"http://localhost/", host=b"Host: a.example\r\n")),
    )


def _batches() -> Named:
    """Section 9.3.2."""
    size = length(len(HIDDEN))
    bodies = (
        post(size, HIDDEN),
        post(CHUNKED, chunk(HIDDEN) + chunk(b"")),
        request(headers=size, body=HIDDEN),
    )
    for count in (2, 3, 10, 40):
        yield f"{count} requests", Sequence(GET * count, (200,) * count)
    for at, batch in enumerate(
        (bodies, bodies[::-1], bodies * 3, (GET, *bodies, GET), (*bodies, GET) * 3)
    ):
        sent = b"".join(batch)
        yield f"batch {at + 1} of requests with bodies", Sequence(sent, (200,) * len(batch))
        yield (
            f"batch {at + 1} and then garbage",
            Sequence(
                sent + b"\x00\r\n\r\n" + HIDDEN,
                (*(200,) * len(batch), BAD),
                closes=True,
                is_ambiguous=True,
            ),
        )
        yield (
            f"batch {at + 1} and then two lengths",
            Sequence(
                sent + post(size * 2, HIDDEN) + HIDDEN,
                (*(200,) * len(batch), BAD),
                closes=True,
                is_ambiguous=True,
            ),
        )
        yield (
            f"batch {at + 1} and then an upgrade with a body",
            Sequence(
                sent + post(UPGRADE + b"x\r\n" + size, HIDDEN) + GET,
                (*(200,) * len(batch), BAD),
                closes=True,
            ),
        )
        yield (
            f"batch {at + 1} and then Connection: close",
            Sequence(
                sent + request(headers=b"Connection: close\r\n") + HIDDEN,
                (*(200,) * len(batch), 200),
                closes=True,
                is_ambiguous=True,
            ),
        )


def _other_protocols() -> Named:
    for name, sent in (
        ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("a PROXY line", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
        ("a PROXY v2 header", b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c"),
        ("SSH", b"SSH-2.0-x\r\n"),
        ("SMTP", b"EHLO a.example\r\n"),
        ("a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("garbage", b"\x00\x01\x02\x03\r\n\r\n"),
        ("JSON", b'{"a": 1}\r\n\r\n'),
    ):
        yield name, _rejected(sent + HIDDEN)
