"""What a row tells beside what we promise of it."""

import json

from app.orders.blocks import Block
from app.orders.row_extras import RowExtras, origin_json
from tests.support.book import row

BLOCK = Block(0, (), 0, "2026-11-23T12:00:00.000Z", "answer-1", sandbox=False)


def test_a_row_tells_what_was_asked_for_and_no_more():
    one = row("n1", rev="0123456789abcdef", raw=b'{"orderNo":"n1","quantity":1.50}')
    for names in ((), ("rev",), ("raw",), ("origin",), ("rev", "raw", "origin")):
        told = RowExtras(names, lambda _: origin_json(BLOCK)).render_row(0, one)
        assert set(json.loads(told)) == {"order_no", *names}
    assert b'"raw":{"orderNo":"n1","quantity":1.50}' in told


def test_an_upstream_answer_without_an_id_has_an_origin_without_one():
    block = Block(0, (), 0, BLOCK.as_of, None, sandbox=False)
    assert json.loads(origin_json(block)) == {"fetched_at": BLOCK.as_of}
    assert json.loads(origin_json(BLOCK))["upstream_request_id"] == "answer-1"
