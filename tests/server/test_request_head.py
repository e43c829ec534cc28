"""Requests of which it is not certain where they end are rejected."""

import pytest

from app.server.request_head import RawHeaders, RequestRejected, check_framing, normalize_target

LENGTH, CODING, HOST = b"content-length", b"transfer-encoding", b"host"


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], 0),
        ([(LENGTH, b"0")], 0),
        ([(LENGTH, b"007")], 7),
        ([(CODING, b"chunked")], 0),
        ([(CODING, b"Chunked")], 0),
    ],
)
def test_one_length_or_chunked_is_accepted(headers: RawHeaders, length: int) -> None:
    assert check_framing(b"POST", "1.1", headers, upgrade=False) == length


@pytest.mark.parametrize(
    "headers",
    [
        [(LENGTH, b"5"), (LENGTH, b"5")],
        [(LENGTH, b"5"), (CODING, b"chunked")],
        [(CODING, b"chunked"), (CODING, b"chunked")],
        [(CODING, b"gzip"), (CODING, b"chunked")],
        [(CODING, b"gzip, chunked")],
        [(CODING, b",chunked")],
        [(CODING, b"identity")],
        [(CODING, b"")],
        *[[(LENGTH, value)] for value in (b"", b"+5", b"-5", b"5 ", b"0x5", b"5,5", b"5_0")],
    ],
)  # fmt: skip
def test_every_other_framing_is_rejected(headers: RawHeaders) -> None:
    with pytest.raises(RequestRejected, match="bad_request"):
        check_framing(b"POST", "1.1", headers, upgrade=False)


@pytest.mark.parametrize(
    ("method", "version", "headers", "upgrade"),
    [
        (b"CONNECT", "1.1", [], True),
        (b"GET", "0.9", [], False),
        (b"GET", "2.0", [], False),
        (b"POST", "1.0", [(CODING, b"chunked")], False),
        (b"POST", "1.1", [(CODING, b"chunked")], True),
        (b"POST", "1.1", [(LENGTH, b"1")], True),
    ],
)
def test_bodies_that_llhttp_or_the_version_does_not_frame_are_rejected(
    method: bytes, version: str, headers: RawHeaders, upgrade: bool
) -> None:
    with pytest.raises(RequestRejected, match="bad_request"):
        check_framing(method, version, headers, upgrade=upgrade)


@pytest.mark.parametrize(
    ("target", "normal", "host"),
    [
        (b"/a?b", b"/a?b", b"a.example"),
        (b"//b.example/a", b"//b.example/a", b"a.example"),
        (b"http://b.example/a?b", b"/a?b", b"b.example"),
        (b"HTTPS://B.example:443", b"/", b"B.example:443"),
        (b"http://b.example?c", b"/?c", b"b.example"),
    ],
)
def test_the_host_of_an_absolute_form_target_replaces_the_header(
    target: bytes, normal: bytes, host: bytes
) -> None:
    headers = [(b"accept", b"*/*"), (HOST, b"a.example")]

    assert normalize_target(b"GET", "1.1", target, headers) == normal
    assert headers == [(b"accept", b"*/*"), (HOST, host)]


@pytest.mark.parametrize(
    "target", [b"*", b"a", b"", b"/a#b", b"ftp://a/", b"http:///a", b"http://"]
)
def test_other_targets_are_rejected(target: bytes) -> None:
    with pytest.raises(RequestRejected, match="bad_request"):
        normalize_target(b"GET", "1.1", target, [(HOST, b"a.example")])


@pytest.mark.parametrize("hosts", [[], [b"a", b"a"], [b"a b"]])
def test_a_missing_repeated_or_invalid_host_is_rejected(hosts: list[bytes]) -> None:
    with pytest.raises(RequestRejected, match="bad_request"):
        normalize_target(b"GET", "1.1", b"http://a.example/", [(HOST, host) for host in hosts])


def test_http_1_0_needs_no_host() -> None:
    assert normalize_target(b"GET", "1.0", b"/", []) == b"/"
