"""What changed since a state that was seen, against two plain lists."""

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.changed import Change
from app.orders.changes import MAX_CHANGES, MAX_REPLACED, MAX_STEPS, CursorExpired, History
from app.orders.slices import SLICE
from app.orders.snapshot import Content, Snapshot
from tests.support.book import row
from tests.support.run import run

State = dict[str, str]
ENTRY = Entry(Block(0, (), 0, "", None, sandbox=False), 0.0, 1)
generations = count()


def whole(state: State, *, inconsistent: bool = False, status: type[str] = str) -> Snapshot:
    rows = tuple(row(number, rev=rev, status=status("paid")) for number, rev in state.items())
    return Snapshot(Content(rows, (0,)), (ENTRY,), (), ENTRY, inconsistent, next(generations))


def seen(*states: State) -> tuple[History, list[str]]:
    """A history that saw these states, and the cursor of each."""
    history = History()
    cursors = []
    for state in states:
        run(history.record(whole(state)))
        cursors.append(history.cursor)
    return history, cursors


def told(found: Sequence[Change]) -> dict[str, tuple[str, str | None]]:
    return {one.order_no: (one.change, one.row.rev if one.row else None) for one in found}


states_of = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"), max_size=8)


@settings(max_examples=200, deadline=None)
@given(states=st.lists(states_of, min_size=1, max_size=8))
def test_from_each_state_that_was_seen_the_changes_lead_to_the_present_one(states: list[State]):
    history, cursors = seen(*states)
    now = states[-1]
    for state, cursor in zip(states, cursors, strict=True):
        expected = dict.fromkeys(state.keys() - now.keys(), ("removed", None)) | {
            number: ("updated" if number in state else "created", rev)
            for number, rev in now.items()
            if state.get(number) != rev
        }
        assert told(history.since(cursor)) == expected
    assert (len(set(cursors)) == 1) == all(state == states[0] for state in states)


async def test_the_orders_of_the_state_before_are_let_go_a_few_at_a_time():
    freed: list[int] = [0]

    class Status(str):
        __slots__ = ()

        def __del__(self) -> None:
            freed[-1] += 1

    async def count_turns() -> None:
        while True:
            await asyncio.sleep(0)
            freed.append(0)

    history = History()
    await history.record(whole({str(at): "1" for at in range(3 * SLICE)}, status=Status))
    others = asyncio.ensure_future(count_turns())
    await history.record(whole({"another": "1"}))
    others.cancel()
    assert sum(freed) == 3 * SLICE
    assert max(freed) == SLICE


def test_the_same_orders_have_the_same_cursor_wherever_they_stand_and_whoever_saw_them():
    _, (first,) = seen({"a": "1", "b": "2"})
    _, (_, second) = seen({}, {"b": "2", "a": "1"})
    _, (third,) = seen({"a": "2", "b": "1"})
    assert first == second != third


def test_a_list_that_was_overtaken_while_somebody_waited_with_it_is_not_the_present_one():
    old, new = whole({"a": "1"}), whole({"a": "1", "b": "1"})
    history = History()
    for one in (old, new, old):
        run(history.record(one))
    assert history.latest is new
    assert history.since(history.cursor) == ()


def test_orders_without_a_number_are_no_change():
    history, (first, _) = seen({"a": "1"}, {"a": "1", "": "2"})
    assert history.since(first) == ()


def test_a_state_that_was_never_seen_is_gone():
    history, _ = seen({"a": "1"}, {"a": "2"})
    with pytest.raises(CursorExpired):
        history.since("0" * 32)


def test_a_list_that_shifts_is_no_state():
    history, (cursor,) = seen({"a": "1"})
    run(history.record(whole({}, inconsistent=True)))
    assert history.cursor == cursor
    assert history.latest is not None
    assert not history.latest.inconsistent


def test_a_list_that_says_the_same_again_is_the_same_state():
    history, (cursor,) = seen({"a": "1"})
    latest = history.latest
    assert latest is not None
    again = Snapshot(
        latest.content, (ENTRY,), (), ENTRY, inconsistent=False, generation=latest.generation
    )
    run(history.record(again))
    run(history.record(again))
    assert (history.latest, history.cursor) == (again, cursor)


def test_the_oldest_states_are_forgotten_by_number_and_by_what_they_changed():
    history, cursors = seen(*({"a": str(at)} for at in range(MAX_STEPS + 2)))
    assert told(history.since(cursors[1])) == {"a": ("updated", str(MAX_STEPS + 1))}
    with pytest.raises(CursorExpired):
        history.since(cursors[0])
    many = {str(at): "1" for at in range(MAX_REPLACED)}
    history, cursors = seen(many, {}, {"a": "1"})
    with pytest.raises(CursorExpired):
        history.since(cursors[0])
    assert told(history.since(cursors[1])) == {"a": ("created", "1")}


def test_who_is_too_far_behind_is_sent_to_the_export():
    many = {str(at): "1" for at in range(MAX_CHANGES)}
    history, cursors = seen({}, many, many | {"a": "1"})
    assert len(history.since(cursors[1])) == 1
    with pytest.raises(CursorExpired):
        history.since(cursors[0])
