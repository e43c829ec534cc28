"""Blocks as bytes for a shared store."""

from decimal import Decimal
from zlib import crc32
from zoneinfo import ZoneInfo

import msgspec
import pytest

from app.cache.store import SCHEMA_VERSION
from app.orders.block_codec import decode_block, encode_block
from app.orders.blocks import Block
from app.orders.mapping import Row, map_order

WIRE = {
    "orderNo": "202209251234224",
    "goodsName": "企业版",
    "goodsNameEn": "Enterprise",
    "goodsUnitPrice": "199.00",
    "quantity": "many",
    "actualAmount": "398.00",
    "status": "2",
    "createTime": "2022-09-25 12:34:22",
}


def block() -> Block:
    rows = tuple(
        map_order(WIRE | {"orderNo": number}, ZoneInfo("Asia/Shanghai")) for number in ("1", "2")
    )
    return Block(3, rows, 152, as_of="2026-11-23T12:00:00.000Z", request_id="r-1", sandbox=True)


def test_a_block_is_the_same_after_it_was_encoded_and_decoded():
    decoded = decode_block(encode_block(block()))
    assert decoded == block()
    assert decoded.rows[0].amount == Decimal("398.00")
    assert str(decoded.rows[0].amount) == "398.00"
    assert decoded.rows[0].unparsed[0].field == "quantity"


def test_equal_texts_of_decoded_rows_are_one_object():
    first, second = decode_block(encode_block(block())).rows
    assert first.status is second.status
    assert first.search_names is second.search_names


@pytest.mark.parametrize("position", [0, 4, 100, -1])
def test_a_block_with_a_wrong_byte_cannot_be_decoded(position: int):
    data = bytearray(encode_block(block()))
    data[position] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        decode_block(bytes(data))


@pytest.mark.parametrize("value", [b"", [], {"index": 0}, {"rows": 5}], ids=repr)
def test_what_is_no_block_cannot_be_decoded(value: object):
    data = msgspec.msgpack.encode(value)
    with pytest.raises(ValueError, match="no block"):
        decode_block(crc32(data).to_bytes(4) + data)


def test_the_form_of_a_block_belongs_to_the_version_of_the_schema():
    fields = [
        *(field.name for field in msgspec.structs.fields(Row)),
        *sorted(Block.__dataclass_fields__),
    ]
    assert (SCHEMA_VERSION, fields) == (
        1,
        [
            *("order_no", "body", "unparsed", "has_amount", "status", "type", "source"),
            *("search_names", "amount", "created_ns", "raw", "rev"),
            *("as_of", "digest", "index", "request_id", "rows", "sandbox", "total"),
        ],
    )
