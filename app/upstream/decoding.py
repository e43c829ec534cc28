"""Decodes the JSON of a response in bounded time: each number as its text, all text encodable.

`msgspec` decodes a list of orders as documented. `json` decodes any other response that has no more
values than expected. From one that has more, `msgspec` cuts out the fields that are read, and skips
all others without making an object of them.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, NoReturn

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, defstruct

from app.upstream.wire import (
    BLOCK_SIZE,
    ENVELOPE_FIELDS,
    LIST_FIELDS,
    ORDER_FIELDS,
    PAYMENT_FIELDS,
    JsonNumber,
    WireOrder,
    WireText,
)

MAX_VALUES = 10_000
"""Values of a response that are decoded: 200 for each row, which has ten fields."""

MAX_DEPTH = 32
"""Objects and arrays inside each other; those nested deeper are decoded as null."""


class Decoded(NamedTuple):
    """The JSON value of a response.

    Attributes:
        value: the value.
        is_cut: whether it had too many values, so that unknown fields are missing.
        data_digest: SHA-256 of the JSON of `data`; None unless the envelope is one of success, as
            documented.
        is_unchanged: whether that is the digest that the caller knows. Then `data` is missing.
    """

    value: Any
    is_cut: bool
    data_digest: bytes | None = None
    is_unchanged: bool = False


def decode(body: bytes, known_digest: bytes | None = None) -> Decoded:
    """Return the JSON value of a response.

    Numbers are `JsonNumber`, and the rows of a list `WireOrder` if all of them can be. Lone
    surrogates, which are valid JSON but cannot be encoded as UTF-8, become U+FFFD. Of fields with
    the same name the last one counts.

    Args:
        body: the JSON text.
        known_digest: the digest of data that the caller has already.

    Raises:
        ValueError: it is not JSON, or its known fields have more than `MAX_VALUES` values.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    is_cut = _count_values(body) > MAX_VALUES
    try:
        if is_cut:
            body = _known_fields(body)
            if _count_values(body) > MAX_VALUES:
                raise ValueError("too many values")
            return Decoded(_decode(body), is_cut)
        return _decode_success(body, known_digest) or Decoded(_decode(body), is_cut)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decode(json_text: bytes | Raw, max_depth: int = MAX_DEPTH) -> Any:
    value = json.loads(
        bytes(json_text).decode(),
        parse_int=JsonNumber,
        parse_float=JsonNumber,
        parse_constant=_reject_constant,
    )
    return _cleaned(value, max_depth)


def _count_values(body: bytes) -> int:
    """Return an upper bound of the number of values: those marks also count that are in a text."""
    return sum(map(body.count, (b",", b"[", b"{")))


def _reject_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _cleaned(value: Any, depth: int) -> Any:
    if type(value) is str:
        return _encodable(value)
    if type(value) is dict:
        members = value.items() if depth else ()
        cleaned = {_encodable(key): _cleaned(member, depth - 1) for key, member in members}
        return cleaned if depth else None
    if type(value) is list:
        return [_cleaned(item, depth - 1) for item in value] if depth else None
    return value


def _encodable(text: str) -> str:
    """Return a text with each lone surrogate replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Each of the three bytes of a surrogate is replaced. `re.sub` takes twice as long.
        replaced = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return replaced.replace("\ufffd" * 3, "\ufffd")
    return text


def _fields(name: str, fields: Iterable[str]) -> type[Any]:
    """Return a type whose instances have these fields, each as the JSON that was sent."""
    members = [(field, Raw | UnsetType, UNSET) for field in sorted(fields)]
    return defstruct(name, members)


class _Success(Struct, rename="camel", forbid_unknown_fields=True):
    """The envelope of a success, with `data` as the JSON that was sent."""

    status_code: Literal[200]
    data: Raw
    message: WireText = UNSET
    request_id: WireText = UNSET
    api_code: Raw | UnsetType = UNSET


class _OrderList(Struct, rename="camel", forbid_unknown_fields=True):
    """The data of a list of orders as documented."""

    total_count: Raw
    rows: list[WireOrder] = msgspec.field(name="list")


_success_decoder = msgspec.json.Decoder(_Success)
_list_decoder = msgspec.json.Decoder(_OrderList)


def _decode_success(body: bytes, known_digest: bytes | None) -> Decoded | None:
    """Return a success with a known envelope, whose texts are texts; None if it is not one.

    Raises:
        ValueError: its `data` is not JSON.
    """
    try:
        sent = _success_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    depth = MAX_DEPTH - 1  # inside the envelope
    value: dict[str, Any] = {"statusCode": JsonNumber(sent.status_code)}
    texts = {"message": sent.message, "requestId": sent.request_id}
    value |= {name: text for name, text in texts.items() if text is not UNSET}
    if sent.api_code is not UNSET:
        value["apiCode"] = _decode(sent.api_code, depth)
    digest = hashlib.sha256(sent.data).digest()
    is_unchanged = digest == known_digest
    if not is_unchanged:
        value["data"] = _decode_list(sent.data) or _decode(sent.data, depth)
    return Decoded(value, False, digest, is_unchanged)


def _decode_list(data: Raw) -> dict[str, Any] | None:
    """Return the data of a list of orders as documented; None if it is not one."""
    try:
        decoded = _list_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return {"totalCount": _decode(decoded.total_count), "list": decoded.rows}


_Envelope = _fields("_Envelope", ENVELOPE_FIELDS | PAYMENT_FIELDS)
_Data = _fields(
    "_Data", LIST_FIELDS | PAYMENT_FIELDS | {*ORDER_FIELDS, "access_token", "expires_in"}
)
_Row = _fields("_Row", ORDER_FIELDS)
# A struct, unlike a list, skips the items that it has no field for. One too many is reported.
_Rows = defstruct(
    "_Rows",
    [(f"row_{index}", Raw | UnsetType, UNSET) for index in range(BLOCK_SIZE + 1)],
    array_like=True,
)


def _known_fields(body: bytes) -> bytes:
    """Return the JSON of a response with only the fields and rows that are read.

    Raises:
        ValueError: it is not JSON, or not an object.
        RecursionError: it is nested too deeply.
    """
    envelope = msgspec.json.decode(body, type=_Envelope)
    if _starts_with(envelope.data, b"{"):
        envelope.data = data = msgspec.json.decode(envelope.data, type=_Data)
        if _starts_with(data.list, b"["):
            rows = msgspec.json.decode(data.list, type=_Rows)
            data.list = [
                _known_row(row) for row in msgspec.structs.astuple(rows) if row is not UNSET
            ]
    return msgspec.json.encode(envelope)


def _known_row(row: Raw) -> Any:
    return msgspec.json.decode(row, type=_Row) if _starts_with(row, b"{") else row


def _starts_with(value: Raw | UnsetType, mark: bytes) -> bool:
    return isinstance(value, Raw) and memoryview(value)[:1] == mark
