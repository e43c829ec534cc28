"""Answers that are sent again: which, to whom, and never a wrong one."""

import asyncio

from app.edge.content_coding import EncodedBodies
from app.orders.rendering import RenderedResponse
from app.orders.response_cache import ResponseCache, Validity
from tests.support.proxy import Proxy

PAGE = "/v1/orders?page=1&limit=50"


async def test_all_who_waited_for_the_same_page_are_sent_the_same_bytes() -> None:
    proxy = Proxy()

    answers = await asyncio.gather(*(proxy.get(PAGE) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert proxy.calls() == 1


async def test_a_page_that_was_read_again_is_composed_again() -> None:
    proxy = Proxy()
    first = await proxy.get(PAGE)
    await proxy.clock.advance(6)

    second = await proxy.get(PAGE, cache_control="no-cache")

    assert second.json()["meta"]["as_of"] > first.json()["meta"]["as_of"]


async def test_a_compressed_page_is_the_same_page_from_the_first_answer_on() -> None:
    proxy = Proxy()
    asked = {"accept_encoding": "gzip", "x_request_id": "caller-0001"}
    miss = await proxy.get(PAGE, **asked)
    hit = await proxy.get(PAGE, **asked)
    plain = await proxy.get(PAGE, accept_encoding="identity")
    head = await proxy.get(PAGE, "HEAD", **asked)
    unchanged = await proxy.get(PAGE, if_none_match=plain.headers["etag"], **asked)

    assert [each.headers.get("content-encoding") for each in (miss, hit, head)] == ["gzip"] * 3
    assert "content-encoding" not in plain.headers
    assert miss.content == hit.content == plain.content  # httpx has decoded the first two
    assert len({each.headers["etag"] for each in (miss, hit, plain, head, unchanged)}) == 1
    lengths = [int(each.headers["content-length"]) for each in (miss, hit, head)]
    assert len(set(lengths)) == 1
    assert lengths[0] < int(plain.headers["content-length"]) // 4
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert "content-encoding" not in unchanged.headers


async def test_a_payment_is_never_coded() -> None:
    proxy = Proxy(environ={"ORDERS_CALLERS__ANONYMOUS": "true"})
    number = (await proxy.get("/v1/orders?limit=1")).json()["data"][0]["order_no"]
    answer = await proxy.get(f"/v1/orders/{number}", accept_encoding="gzip, identity;q=0")

    assert answer.headers["content-encoding"] == "gzip"
    with_scope = Proxy(sandbox=True)
    payment = await with_scope.get(
        f"/v1/orders/{number}/payment", accept_encoding="gzip, identity;q=0"
    )
    assert payment.status_code == 200
    assert "content-encoding" not in payment.headers


async def test_what_is_made_of_a_page_counts_in_its_weight() -> None:
    body = b"x" * 2000
    answer = RenderedResponse(body, b'W/"1"', 0.0, (), (), EncodedBodies(body))
    prepared = ResponseCache(max_bytes=answer.size + 10)
    asked = ("/v1/orders", b"page=1")
    prepared.get_or_render(asked, Validity((), lambda: True), lambda: answer)
    prepared.update_size(asked)
    assert prepared.get(asked) is not None

    await answer.codings.encoded("gzip")
    prepared.update_size(asked)

    assert prepared.get(asked) is None
