"""Changes since an earlier state, compared with two plain dicts."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.changes import (
    MAX_CHANGES,
    MAX_MISSING,
    MAX_REPLACED,
    MAX_STEPS,
    Change,
    CursorExpired,
    History,
)
from app.orders.compute import CHUNK_SIZE
from app.orders.snapshot import Content, Snapshot
from tests.support.book import row
from tests.support.run import run

State = dict[str, str]
BLOCK = Block(0, (), 0, as_of="", request_id=None, sandbox=False)
sequence = count(1)


def snapshot(
    state: State,
    *,
    contradictory: bool = False,
    status: type[str] = str,
    content: Content | None = None,
) -> Snapshot:
    """Return a snapshot that was read after all others."""
    rows = tuple(row(number, rev=rev, status=status("paid")) for number, rev in state.items())
    number = next(sequence)
    entry = Entry(BLOCK, 0.0, number)
    content = content or Content(rows, (0,))
    return Snapshot(content, (entry,), entry, contradictory, generation=number, completed_at=number)


async def record(history: History, state: State) -> None:
    """Record a state that two readings show."""
    await history.record(snapshot(state))
    await history.record(snapshot(state))


def history_of(*states: State) -> tuple[History, list[str]]:
    """Return a history that recorded these states, and the cursor of each."""
    history = History()
    cursors = []
    for state in states:
        run(record(history, state))
        cursors.append(history.cursor)
    return history, cursors


def by_order_no(changes: Sequence[Change]) -> dict[str, tuple[str, str | None]]:
    return {one.order_no: (one.change, one.row.rev if one.row else None) for one in changes}


states_of = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"), max_size=8)


@pytest.mark.without_coverage
@settings(max_examples=200)
@given(states=st.lists(states_of, min_size=1, max_size=8))
def test_the_changes_since_any_recorded_state_lead_to_the_present_one(states: list[State]):
    history, cursors = history_of(*states)
    now = states[-1]
    for state, cursor in zip(states, cursors, strict=True):
        expected = dict.fromkeys(state.keys() - now.keys(), ("removed", None)) | {
            number: ("updated" if number in state else "created", rev)
            for number, rev in now.items()
            if state.get(number) != rev
        }
        assert by_order_no(history.since(cursor)) == expected
    assert (len(set(cursors)) == 1) == all(state == states[0] for state in states)


async def test_the_orders_of_the_previous_state_are_freed_a_chunk_at_a_time():
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
    await history.record(snapshot({str(at): "1" for at in range(3 * CHUNK_SIZE)}, status=Status))
    others = asyncio.ensure_future(count_turns())
    await record(history, {"another": "1"})
    others.cancel()
    assert sum(freed) == 3 * CHUNK_SIZE
    assert max(freed) == CHUNK_SIZE


def test_the_cursor_depends_on_the_orders_and_not_on_their_order_or_the_process():
    _, (first,) = history_of({"a": "1", "b": "2"})
    _, (_, second) = history_of({}, {"b": "2", "a": "1"})
    _, (third,) = history_of({"a": "2", "b": "1"})
    assert first == second != third


def test_an_older_snapshot_that_is_recorded_late_is_ignored():
    old, new = snapshot({"a": "1"}), snapshot({"a": "1", "b": "1"})
    history = History()
    for one in (old, new, old):
        run(history.record(one))
    assert history.latest is new
    assert history.since(history.cursor) == ()


def test_orders_without_a_number_are_no_changes():
    history, (first, _) = history_of({"a": "1"}, {"a": "1", "": "2"})
    assert history.since(first) == ()


def test_an_unknown_cursor_is_expired():
    history, _ = history_of({"a": "1"}, {"a": "2"})
    with pytest.raises(CursorExpired):
        history.since("0" * 32)


def test_an_order_is_removed_when_a_second_reading_lacks_it_too():
    history, (cursor,) = history_of({"a": "1", "b": "1"})
    assert not run(history.record(snapshot({"a": "1"})))
    assert history.cursor == cursor
    assert run(history.record(snapshot({"a": "1"})))
    assert by_order_no(history.since(cursor)) == {"b": ("removed", None)}


def test_the_second_reading_has_to_begin_after_the_first_one_was_complete():
    history, (cursor,) = history_of({"a": "1", "b": "1"})
    first = snapshot({"a": "1"})
    run(history.record(first))
    later = snapshot({}, content=first.content)
    both = replace(later, blocks=(*first.blocks, *later.blocks))
    assert not run(history.record(both))
    assert history.cursor == cursor
    assert run(history.record(snapshot({}, content=first.content)))
    assert by_order_no(history.since(cursor)) == {"b": ("removed", None)}


def test_an_order_that_the_second_reading_has_was_not_removed():
    history, (cursor,) = history_of({"a": "1", "b": "1"})
    assert not run(history.record(snapshot({"a": "1"})))
    assert run(history.record(snapshot({"a": "1", "b": "2"})))
    assert by_order_no(history.since(cursor)) == {"b": ("updated", "2")}
    assert not run(history.record(snapshot({"a": "1"})))


def test_a_contradictory_reading_adds_and_updates_orders_but_removes_none():
    history, (cursor,) = history_of({"a": "1", "b": "1"})
    for _ in range(3):
        run(history.record(snapshot({"a": "2", "c": "1"}, contradictory=True)))
    expected = {"a": ("updated", "2"), "c": ("created", "1")}
    assert by_order_no(history.since(cursor)) == expected
    assert not run(history.record(snapshot({"a": "2", "c": "1"})))
    assert by_order_no(history.since(cursor)) == expected
    assert run(history.record(snapshot({"a": "2", "c": "1"})))
    assert by_order_no(history.since(cursor)) == expected | {"b": ("removed", None)}


def contradictory_for_good(*numbers: str) -> Snapshot:
    rows = tuple(row(number, rev="1") for number in numbers)
    content = Content(rows, (0,), keeps_duplicates=True)
    return snapshot({}, contradictory=True, content=content)


def test_orders_that_a_list_lacks_while_it_contradicts_itself_for_good_are_bounded():
    many = [str(at) for at in range(MAX_MISSING)]
    history, (cursor,) = history_of(dict.fromkeys((*many, "a", "b"), "1"))
    run(history.record(contradictory_for_good("a", "b")))
    assert history.cursor == cursor
    run(history.record(contradictory_for_good("a", "c")))
    with pytest.raises(CursorExpired):
        history.since(cursor)
    _, (same_orders,) = history_of({"a": "1", "c": "1"})
    assert history.cursor == same_orders
    run(history.record(contradictory_for_good("a", "b", "c")))
    assert by_order_no(history.since(same_orders)) == {"b": ("created", "1")}


def test_a_reading_that_contradicts_itself_once_forgets_no_order_however_many_it_lacks():
    many = [str(at) for at in range(MAX_MISSING + 1)]
    history, (cursor,) = history_of(dict.fromkeys((*many, "a"), "1"))
    assert not run(history.record(snapshot({"a": "1"}, contradictory=True)))
    assert history.cursor == cursor


def test_a_contradictory_reading_can_be_the_first_state():
    history = History()
    assert history.cursor == ""
    run(history.record(snapshot({"a": "1"}, contradictory=True)))
    cursor = history.cursor
    run(history.record(snapshot({"a": "1", "b": "1"})))
    assert by_order_no(history.since(cursor)) == {"b": ("created", "1")}


def test_of_two_orders_with_one_number_the_first_one_counts():
    rows = (row("a", rev="1"), row("a", rev="2"))
    history, (cursor,) = history_of({"a": "1"})
    run(history.record(snapshot({}, content=Content(rows, (0,)))))
    assert history.cursor == cursor


def test_a_new_snapshot_with_the_same_content_is_the_same_state():
    history, (cursor,) = history_of({"a": "1"})
    latest = history.latest
    assert latest is not None
    again = snapshot({}, content=latest.content)
    run(history.record(again))
    run(history.record(again))
    assert (history.latest, history.cursor) == (again, cursor)


def test_the_oldest_states_are_dropped_by_their_number_and_by_the_size_of_their_changes():
    history, cursors = history_of(*({"a": str(at)} for at in range(MAX_STEPS + 2)))
    assert by_order_no(history.since(cursors[1])) == {"a": ("updated", str(MAX_STEPS + 1))}
    with pytest.raises(CursorExpired):
        history.since(cursors[0])
    many = {str(at): "1" for at in range(MAX_REPLACED)}
    history, cursors = history_of({}, many, many | {"a": "1"})
    with pytest.raises(CursorExpired):
        history.since(cursors[0])
    assert by_order_no(history.since(cursors[1])) == {"a": ("created", "1")}


def test_a_cursor_with_too_many_changes_since_is_expired():
    many = {str(at): "1" for at in range(MAX_CHANGES)}
    history, cursors = history_of({}, many, many | {"a": "1"})
    assert len(history.since(cursors[1])) == 1
    with pytest.raises(CursorExpired):
        history.since(cursors[0])
    assert len(history.since(cursors[1])) == 1


def test_a_cursor_that_has_expired_stays_expired_even_if_the_changes_are_undone():
    many = {str(at): "1" for at in range(MAX_CHANGES + 1)}
    history, cursors = history_of({"a": "1"}, many | {"a": "1"})
    with pytest.raises(CursorExpired):
        history.since(cursors[0])
    run(record(history, {"a": "2"}))
    with pytest.raises(CursorExpired):
        history.since(cursors[0])


def test_a_snapshot_has_a_cursor_only_if_it_is_exactly_the_present_state():
    history = History()
    first, second = snapshot({"A": "1", "B": "1"}), snapshot({"A": "1"})
    assert history.cursor_of(first) == ""
    run(history.record(first))
    assert history.cursor_of(first) == history.cursor
    run(history.record(second))
    # B counts as present until a second reading confirms that it was removed.
    assert (history.cursor_of(first), history.cursor_of(second)) == ("", "")
    third = snapshot({"A": "1"}, content=second.content)
    run(history.record(third))
    assert history.cursor_of(third) == history.cursor
