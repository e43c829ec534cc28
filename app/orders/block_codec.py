"""Blocks as bytes for a shared store. They hold what is sent to callers, and no credential.

A change of `Block` or `Row`, or of what the mapping makes of an upstream row, needs another
`SCHEMA_VERSION` of the store.
"""

from functools import lru_cache
from sys import intern
from zlib import crc32

import msgspec

from app.orders.blocks import Block
from app.orders.mapping import CACHED_VALUES, Row

CHECKSUM_BYTES = 4

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Block)


def encode_block(block: Block) -> bytes:
    """Return a block as MessagePack, after a checksum."""
    data = _encoder.encode(block)
    return crc32(data).to_bytes(CHECKSUM_BYTES) + data


def decode_block(data: bytes) -> Block:
    """Return the block that `encode_block` has encoded.

    Raises:
        ValueError: it is something else.
    """
    checksum, data = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
    if checksum != crc32(data).to_bytes(CHECKSUM_BYTES):
        raise ValueError("the block is damaged")
    try:
        block = _decoder.decode(data)
    except msgspec.MsgspecError:
        raise ValueError("this is no block") from None
    for row in block.rows:
        _share_texts(row)
    return block


def _share_texts(row: Row) -> None:
    """Let equal texts of rows be one object, as in rows that were mapped here."""
    for name in ("status", "type", "source"):
        msgspec.structs.force_setattr(row, name, intern(getattr(row, name)))
    msgspec.structs.force_setattr(row, "search_names", _shared(row.search_names))


@lru_cache(CACHED_VALUES)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names
