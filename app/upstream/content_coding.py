"""Decodes the content codings of a response body (RFC 9110 section 8.4), in bounded memory."""

import re
import zlib

from app.upstream.errors import UpstreamMalformed

MAX_CODINGS = 2
"""Codings applied one after the other. We accept gzip, so there is usually one."""

MAX_GZIP_MEMBERS = 1000
"""Members of one gzip body (RFC 1952 section 2.2)."""

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS

_ALIASES = {"x-gzip": "gzip"}
_NAME = re.compile(r"[a-z0-9._-]{1,20}")


def parse_codings(content_encoding: str) -> list[str]:
    """Return the codings that a Content-Encoding names, in the order in which to decode them.

    Raises:
        UpstreamMalformed: a coding that is not supported, or more than `MAX_CODINGS`.
    """
    names = (name.strip().lower() for name in content_encoding.split(","))
    codings = [_ALIASES.get(name, name) for name in names if name not in ("", "identity")]
    for coding in codings:
        if coding not in ("gzip", "deflate"):
            shown = coding if _NAME.fullmatch(coding) else "of the response"
            raise UpstreamMalformed(f"the content coding {shown} is not supported")
    if len(codings) > MAX_CODINGS:
        raise UpstreamMalformed("the response has too many content codings")
    return codings[::-1]


class BodyDecoder:
    """Decodes a body piece by piece; at no stage it may be larger than `max_bytes`.

    Raises:
        UpstreamMalformed: the body is too large, not valid in its codings, or in another coding.
    """

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        codings = parse_codings(content_encoding)
        self._bytes_left = max_bytes
        self._inflaters = [_Inflater(coding, max_bytes) for coding in codings]

    def decode(self, data: bytes) -> bytes:
        """Return what the next piece of the body decodes to."""
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise _too_large()
        for inflater in self._inflaters:
            data = inflater.decode(data)
        return data

    def is_complete(self) -> bool:
        """Return whether the body may end here; one without any data may."""
        return all(inflater.is_complete() for inflater in self._inflaters)


class _Inflater:
    """Decodes gzip of any number of members, or deflate with or without the zlib format."""

    def __init__(self, coding: str, max_bytes: int) -> None:
        self._coding = coding
        self._bytes_left = max_bytes
        self._members_left = MAX_GZIP_MEMBERS if coding == "gzip" else 1
        self._first_byte = b""
        self._stream: zlib._Decompress | None = None  # None before a gzip member, or any deflate

    def is_complete(self) -> bool:
        return not self._first_byte and (self._stream is None or self._stream.eof)

    def decode(self, data: bytes) -> bytes:
        decoded = bytearray()
        while data:
            if self._stream is None or self._stream.eof:
                data = self._start(data)
            if self._stream is None or not data:
                break
            try:
                # No more than may be kept: a piece can expand to a thousand times its size.
                piece = self._stream.decompress(data, self._bytes_left + 1)
            except zlib.error:
                raise UpstreamMalformed(f"the response is not valid {self._coding}") from None
            self._bytes_left -= len(piece)
            if self._bytes_left < 0:
                raise _too_large()
            decoded += piece
            data = self._stream.unused_data
        return bytes(decoded)

    def _start(self, data: bytes) -> bytes:
        """Begin the next stream of the body; return the data without what precedes it.

        If there is too little data to know the format, it is stored, and no stream begins.
        """
        if self._stream and self._coding == "gzip":
            data = data.lstrip(b"\0")  # zeros may follow the last member, as for gzip(1)
            if not data:
                return data
        if not self._members_left:
            raise UpstreamMalformed(f"the response has data after the end of its {self._coding}")
        data, self._first_byte = self._first_byte + data, b""
        if self._coding == "deflate" and len(data) == 1:
            self._first_byte = data
            return b""
        self._members_left -= 1
        self._stream = zlib.decompressobj(
            _GZIP if self._coding == "gzip" else _deflate_format(data)
        )
        return data


def _deflate_format(data: bytes) -> int:
    """Return whether `data` starts with the header of the zlib format (RFC 1950 section 2.2).

    Some servers send the data without it, so both are accepted (RFC 9110 section 8.4.1.2).
    """
    is_zlib = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
    return _ZLIB if is_zlib else _RAW_DEFLATE


def _too_large() -> UpstreamMalformed:
    return UpstreamMalformed("the response is too large")
