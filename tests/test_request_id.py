"""Which id a request gets, and which tasks carry it."""

import asyncio
import re

import pytest

from app.request_id import adopt_or_mint, current, set_current


@pytest.mark.parametrize("offered", ["abcdefgh", "A.b_c-0123", "x" * 64])
def test_a_well_formed_id_is_adopted(offered: str) -> None:
    assert adopt_or_mint(offered) == offered


@pytest.mark.parametrize(
    "offered", [None, "", "short", "x" * 65, "with space", "new\nline12", "abcdefgh\n", "ünïcödé-1"]
)
def test_any_other_id_is_replaced_by_a_new_one(offered: str | None) -> None:
    minted = adopt_or_mint(offered)

    assert minted != offered
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", minted)


def test_new_ids_differ() -> None:
    assert adopt_or_mint(None) != adopt_or_mint(None)


async def test_a_task_keeps_the_id_of_the_request_that_started_it() -> None:
    async def work() -> str:
        return current()

    set_current("request-1")
    first = asyncio.create_task(work())
    set_current("request-2")

    assert await first == "request-1"
    assert await asyncio.create_task(work()) == "request-2"
