"""Which changes of the list are noticed, block by block."""

from collections.abc import Callable, Sequence

import pytest

from app.cache.grace_cache import Entry
from app.orders.blocks import Block
from app.orders.epochs import MAX_FOLLOWING, NO_EPOCH, Epochs
from app.upstream.wire import BLOCK_SIZE
from tests.support.book import row

Numbers = list[str]


def numbers(count: int, prefix: str = "n") -> Numbers:
    return [f"{prefix}{number}" for number in range(count)]


class Reader:
    """Reads blocks of a list one after the other.

    Attributes:
        list: the order numbers.
        read: the last fetch of each block.
    """

    def __init__(self, size: int) -> None:
        self.epochs = Epochs()
        self.list = numbers(size)
        self.read: dict[int, Entry[Block]] = {}
        self.sequence = 0
        self.total = 0

    def block(self, index: int) -> Block:
        rows = tuple(
            row(number) for number in self.list[index * BLOCK_SIZE : (index + 1) * BLOCK_SIZE]
        )
        return Block(index, rows, len(self.list), as_of="", request_id=None, sandbox=False)

    def start(self, index: int) -> Callable[[], bool]:
        """Start to fetch a block; return what ends the fetch, with the list as it is now."""
        self.sequence += 1
        sequence, block = self.sequence, self.block(index)

        def complete() -> bool:
            entry = Entry(block, 0.0, sequence)
            if all(sequence > other.sequence for other in self.read.values()):
                self.total = block.total
            self.read[index] = entry
            return self.epochs.add(entry, total=self.total, latest_sequence=self.sequence)

        return complete

    def fetch(self, *indexes: int) -> None:
        for index in indexes:
            self.start(index)()

    def outdated(self) -> list[int]:
        return sorted(index for index, entry in self.read.items() if self.epochs.is_outdated(entry))


def reader_of(size: int) -> Reader:
    """Return a reader that has read each block of a list, the ends first."""
    reader = Reader(size)
    last = (size - 1) // BLOCK_SIZE
    reader.fetch(0, last, *range(1, last), 0)
    assert reader.outdated() == []
    return reader


def test_blocks_of_a_list_that_does_not_change_are_never_outdated():
    reader = reader_of(220)
    reader.fetch(3, 1, 4, 0, 2, 2, 4)
    assert reader.outdated() == []


def test_another_total_makes_all_other_blocks_outdated():
    reader = reader_of(220)
    reader.list.append("new")
    reader.fetch(2)
    assert reader.outdated() == [0, 1, 3, 4]
    reader.fetch(0, 4, 1, 3)
    assert reader.outdated() == []


def test_an_update_makes_no_block_outdated():
    reader = reader_of(220)
    block = reader.block(2)
    reader.sequence += 1
    updated = tuple(row(one.order_no, rev="2") for one in block.rows)
    entry = Entry(
        Block(2, updated, 220, as_of="", request_id=None, sandbox=False), 0.0, reader.sequence
    )
    assert reader.epochs.add(entry, total=220, latest_sequence=reader.sequence)
    assert reader.outdated() == [2]  # what was read before is another block
    reader.read[2] = entry
    assert reader.outdated() == []


@pytest.mark.parametrize("position", [10, 70, 130, 215])
@pytest.mark.parametrize("first_read", [0, 2, 4])
def test_one_order_added_in_front_and_one_removed_are_noticed_by_any_block_that_they_changed(
    position: int, first_read: int
):
    reader = reader_of(220)
    del reader.list[position]
    reader.list.insert(0, "new")
    reader.fetch(first_read)
    changed = position // BLOCK_SIZE >= first_read
    assert reader.outdated() == ([index for index in range(5) if index != first_read] * changed)


def test_a_change_after_the_ends_were_read_shows_where_two_blocks_meet():
    reader = reader_of(220)
    reader.list.append("new")
    reader.fetch(2, 0, 4, 1)  # the total has changed
    del reader.list[160]
    reader.list.insert(0, "newest")
    reader.fetch(3)  # differs from what it was, but was outdated anyway
    assert reader.outdated() == [0, 1, 2, 4]


def test_an_end_that_was_outdated_shows_that_orders_were_added_and_removed():
    reader = reader_of(220)
    reader.list.insert(0, "new")
    reader.fetch(2)
    del reader.list[120]
    reader.list.insert(0, "newest")
    reader.fetch(0)
    assert reader.outdated() == [1, 2, 3, 4]
    assert not reader.epochs.grows_at_end


def test_additions_alone_at_the_front_leave_blocks_with_the_new_total_valid():
    reader = reader_of(220)
    reader.list[:0] = ["new1", "new2"]
    reader.fetch(2, 0, 4)
    assert reader.outdated() == [1, 3]


def test_additions_alone_at_the_end_leave_blocks_with_the_new_total_valid():
    reader = reader_of(220)
    reader.list += ["new1", "new2"]
    reader.fetch(2, 4, 0)
    assert reader.outdated() == [1, 3]
    assert reader.epochs.grows_at_end


def test_additions_that_fill_the_last_block_are_explained_too():
    reader = reader_of(249)
    reader.list += ["new1", "new2", "new3"]
    reader.fetch(2, 4, 0, 5)
    assert reader.outdated() == [1, 3]


def test_orders_that_move_out_of_the_last_block_were_not_added():
    reader = reader_of(249)
    reader.list[:0] = ["new1", "new2", "new3"]
    reader.fetch(2, 4, 0, 5)
    assert reader.outdated() == [1, 3]


def test_removals_alone_leave_blocks_with_the_new_total_valid():
    reader = reader_of(220)
    del reader.list[60:63]
    del reader.list[10]
    reader.fetch(2, 0, 4)
    assert reader.outdated() == [1, 3]


def test_removals_alone_that_empty_the_last_block_are_explained():
    reader = reader_of(220)
    del reader.list[60:90]
    reader.fetch(2, 3, 0)
    assert reader.outdated() == [1, 4]


@pytest.mark.parametrize("added", [1, 3])
def test_removals_and_additions_at_the_end_make_the_others_outdated(added: int):
    reader = reader_of(220)
    del reader.list[60:62]
    reader.list += numbers(added, "new")
    reader.fetch(2, 4)
    assert reader.outdated() == [0, 1, 2, 3]


def test_a_shorter_list_with_additions_at_its_end_makes_the_others_outdated():
    reader = reader_of(202)
    del reader.list[60:64]
    reader.list.append("new")
    reader.fetch(2, 3)
    assert reader.outdated() == [0, 1, 2, 4]


def test_a_new_last_block_is_not_explained_if_what_followed_it_is_unknown():
    reader = reader_of(220)
    reader.epochs.retain([0, 1, 2, 3])
    del reader.list[60:90]
    reader.fetch(2, 3)
    assert 2 in reader.outdated()


def test_a_list_that_lost_very_many_blocks_is_not_explained():
    reader = reader_of((MAX_FOLLOWING + 4) * BLOCK_SIZE)
    del reader.list[100 : 100 + (MAX_FOLLOWING + 2) * BLOCK_SIZE - 10]
    reader.fetch(0, 2, 1)
    assert reader.outdated()[0] == 0


@pytest.mark.parametrize("index", [0, 2])
def test_orders_added_in_the_middle_of_an_end_are_not_explained(index: int):
    reader = reader_of(130)
    reader.list.insert(index * BLOCK_SIZE + 10, "new")
    reader.fetch(1, index)
    assert 1 in reader.outdated()


def test_an_end_with_only_new_orders_is_not_explained():
    reader = reader_of(130)
    reader.list[:0] = numbers(50, "new")
    reader.fetch(1, 0)
    assert 1 in reader.outdated()


def test_a_list_that_was_empty_can_be_filled():
    reader = Reader(0)
    reader.fetch(0)
    reader.list = numbers(60)
    reader.fetch(1, 0)
    assert reader.outdated() == []


def test_a_fetch_that_was_in_progress_when_a_change_was_noticed_is_outdated():
    reader = reader_of(220)
    complete = reader.start(3)
    del reader.list[10]
    reader.list.insert(0, "new")
    reader.fetch(0)
    complete()
    assert reader.outdated() == [1, 2, 3, 4]
    reader.fetch(4, 1, 2, 3)
    assert reader.outdated() == []


def test_a_fetch_that_completes_late_with_another_total_is_outdated():
    reader = reader_of(220)
    complete = reader.start(3)
    reader.list.append("new")
    reader.fetch(4, 0)
    complete()
    assert reader.outdated() == [1, 2, 3]


def test_a_fetch_that_started_before_the_former_total_was_last_stated_is_outdated():
    reader = reader_of(220)
    reader.list.append("new")
    early = reader.start(1)
    del reader.list[-1]
    reader.fetch(2)
    reader.list.append("newer")
    reader.fetch(3)
    early()
    assert reader.outdated() == [0, 1, 2, 4]


def test_the_first_block_is_unverified_until_it_is_fetched_after_the_last_one_was_known():
    reader = Reader(220)
    reader.fetch(0, 4, 1)
    assert [reader.epochs.is_unverified(reader.read[index]) for index in (0, 1, 4)] == [
        True,
        False,
        False,
    ]
    reader.fetch(0)
    assert not reader.epochs.is_unverified(reader.read[0])
    single = Reader(20)
    single.fetch(0)
    assert not single.epochs.is_unverified(single.read[0])


def test_a_block_past_the_end_is_no_evidence():
    reader = reader_of(220)
    del reader.list[60:90]
    reader.fetch(4)
    assert reader.outdated() == [0, 1, 2, 3]
    reader.fetch(0, 3, 1, 2, 4)
    assert reader.outdated() == []


def test_what_has_not_changed_is_reported_as_unchanged():
    reader = Reader(130)
    rows = reader.block(1).rows
    block = Block(1, rows, 130, as_of="", request_id=None, sandbox=False)
    add = reader.epochs.add
    assert add(Entry(block, 0.0, 1), total=130, latest_sequence=1)
    assert not add(Entry(block, 0.0, 2), total=130, latest_sequence=2)
    assert add(Entry(block, 0.0, 2, outdated=True), total=130, latest_sequence=2)


def test_a_block_that_was_replaced_belongs_to_no_epoch():
    reader = reader_of(130)
    old = reader.read[1]
    reader.fetch(1)
    assert reader.epochs.epoch_of(old) == NO_EPOCH
    reader.epochs.retain([0])
    assert reader.epochs.epoch_of(reader.read[1]) == NO_EPOCH
    assert len(reader.epochs) == 1


def test_while_the_list_contradicts_itself_for_good_nothing_is_outdated():
    reader = reader_of(130)
    reader.list.append("new")
    reader.fetch(0)
    reader.epochs.contradicts_for_good = True
    assert reader.outdated() == []
    assert not reader.epochs.is_current(reader.read[1])
    assert not reader.epochs.is_unverified(reader.read[0])


def test_a_block_that_states_another_total_than_before_ends_the_permanent_contradiction():
    reader = reader_of(130)
    reader.epochs.contradicts_for_good = True
    reader.fetch(1)
    assert reader.epochs.contradicts_for_good
    reader.list.append("new")
    reader.fetch(1)
    assert not reader.epochs.contradicts_for_good


def found(reader: Reader, order_no: str) -> Sequence[int]:
    return [entry.value.index for entry in reader.epochs.find(order_no)]


def test_an_order_is_found_in_each_block_that_has_it():
    reader = reader_of(130)
    reader.list.insert(0, "new")
    reader.fetch(1)
    assert (found(reader, "n49"), found(reader, "n99"), found(reader, "no")) == ([0, 1], [], [])
    reader.fetch(0, 2)
    assert (found(reader, "n49"), found(reader, "n99")) == ([1], [2])
    reader.epochs.retain([0])
    assert (found(reader, "n49"), found(reader, "new")) == ([], [0])
    assert reader.epochs.first_entries(1) == [reader.read[0]]
    assert reader.epochs.first_entries(2) is None


def test_orders_without_a_number_are_in_no_index():
    reader = Reader(60)
    reader.list[10] = reader.list[20] = ""
    reader.fetch(0, 1)
    reader.list[10] = "new"
    reader.fetch(0)
    assert (found(reader, ""), found(reader, "new")) == ([], [0])


def test_blocks_of_an_earlier_state_belong_together_unless_orders_were_both_added_and_removed():
    reader = reader_of(220)
    pair = [reader.read[1], reader.read[2]]
    reader.list.insert(0, "new")
    reader.fetch(0)
    assert reader.epochs.are_of_one_state(pair)  # the other total alone shows that they are older
    assert not reader.epochs.are_of_one_state([reader.read[0], reader.read[1]])
    del reader.list[130]
    reader.list.insert(0, "newer")
    reader.fetch(0)
    # The removal may lie between their fetches.
    assert not reader.epochs.are_of_one_state(pair)


def test_a_fetch_makes_a_block_current_only_if_it_started_after_the_change_was_noticed():
    reader = reader_of(220)
    assert reader.epochs.outdated_until(1) == 0
    end_known_at = reader.epochs.outdated_until(0)
    assert end_known_at == reader.read[4].sequence
    del reader.list[130]
    reader.list.insert(0, "new")
    reader.fetch(0)
    assert reader.outdated() == [1, 2, 3, 4]
    assert reader.epochs.outdated_until(1) == reader.sequence
    reader.epochs.contradicts_for_good = True
    assert reader.epochs.outdated_until(1) == 0


def test_a_block_that_was_complete_before_the_latest_change_does_not_undo_what_is_known():
    reader = reader_of(220)
    old = reader.block(3)
    reader.list.insert(0, "new")
    reader.fetch(0)
    outdated_until = reader.epochs.outdated_until(1)
    late = Entry(old, 0.0, 2)
    reader.epochs.add(late, total=reader.total, latest_sequence=3)
    assert reader.epochs.is_outdated(late)
    assert reader.epochs.outdated_until(1) == outdated_until
