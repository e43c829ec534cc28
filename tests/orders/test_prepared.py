"""Answers that are sent again: which, to whom, and never a wrong one."""

import asyncio

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
