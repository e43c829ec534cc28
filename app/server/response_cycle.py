"""The response to one request, whose head is checked and joined at once."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {ord("\t")})
"""What no field value may contain (RFC 9110 section 5.5)."""

_SEPARATORS: Final = bytes({*range(0x21), 0x7F, *b'()<>@,;:\\[]={}"'})
"""What no field name may contain (RFC 9110 section 5.1), as uvicorn checks it."""

_CONNECTION_FIELDS: Final = frozenset((b"connection", b"transfer-encoding"))


class ResponseCycle(RequestResponseCycle):
    """A request and its response.

    uvicorn searches each field of the response for characters that are not allowed, which takes
    longer than all else that it does for a response. Here all names and all values are searched at
    once. What is sent is the same: a head that uvicorn would change or reject is left to it.

    `send` is overridden. It reads `chunked_encoding`, `default_headers`, `disconnected`, `flow`,
    `keep_alive`, `response_started`, `scope` and `transport`, and sets `chunked_encoding`,
    `expected_content_length`, `response_started` and `waiting_for_100_continue`.
    """

    async def send(self, message: Any) -> None:
        is_start = message["type"] == "http.response.start" and not self.response_started
        if not is_start or self.disconnected or self.flow.write_paused:
            await super().send(message)
            return
        status = message["status"]
        fields = [*self.default_headers, *message.get("headers", ())]
        names = [name for name, _ in fields]
        if not (_CONNECTION_FIELDS.isdisjoint(names) and _are_valid(names, fields)):
            await super().send(message)  # it interprets these fields, and raises the errors
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        if self.chunked_encoding is None and b"content-length" in names:
            self.expected_content_length = int(fields[names.index(b"content-length")][1])
            self.chunked_encoding = False
        if not self.keep_alive:
            fields.append((b"connection", b"close"))
        has_body = self.scope["method"] != "HEAD" and status not in (204, 304)
        if self.chunked_encoding is None and has_body:
            self.chunked_encoding = True
            fields.append((b"transfer-encoding", b"chunked"))
        lines = b"\r\n".join(map(b": ".join, fields))
        self.transport.write(b"%b%b\r\n\r\n" % (STATUS_LINE[status], lines))


def _are_valid(names: Sequence[bytes], fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether `fields` with these names can be sent as they are."""
    name_bytes = b"".join(names)
    value_bytes = b"".join([value for _, value in fields])
    return (
        name_bytes.islower()
        and len(name_bytes.translate(None, _SEPARATORS)) == len(name_bytes)
        and len(value_bytes.translate(None, _CONTROLS)) == len(value_bytes)
    )
