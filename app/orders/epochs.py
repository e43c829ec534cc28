"""Which cached blocks are known to describe one state of the list.

Blocks are fetched at different times, and the list changes in between. Blocks of one *epoch* state
the same total, share no order number, and nothing that was read since the first of them shows that
orders were both added and removed. Evidence of such a change starts a new epoch, and every block
that was not fetched since is outdated. The evidence is:

1. A block states another total.
2. A block of the present epoch has other order numbers than before, with the same total.
3. The first or the last block has changed in a way that additions alone, or removals alone, do not
   explain. While orders are only added, or only removed, the total identifies the state.
4. Two blocks of the present epoch share an order number.

Changes of orders that stay where they are are no evidence. ADR 16 shows why this finds every order
that would be lost, if new orders appear at one end of the list.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from app.cache.grace_cache import Entry
from app.orders.blocks import Block, is_last, number_of_blocks
from app.upstream.wire import BLOCK_SIZE

NO_EPOCH = 0

MAX_FOLLOWING = 4
"""Blocks that the list may have lost at its end if its new last block is to be explained."""


class _Read(Struct, gc=False):
    """The last fetch of a block. The garbage collector does not track it.

    Attributes:
        epoch: the epoch that it belongs to, `NO_EPOCH` if it is outdated already.
        reference: the block to compare the next fetch with: of the last fetch that was not outdated
            when it completed.
    """

    entry: Entry[Block]
    epoch: int
    reference: Block | None


class Epochs:
    """The last fetch of each block, and the epoch of each.

    Attributes:
        contradicts_for_good: whether the list contradicts itself although it does not change. Then
            no block is outdated: fetching it again would not help.
        grows_at_end: whether the last orders that were added appeared at the end of the list.
    """

    def __init__(self) -> None:
        self._reads: dict[int, _Read] = {}
        self._indexes: dict[str, tuple[int, ...]] = {}
        self._epoch = self._first_certain = NO_EPOCH + 1
        self._total: int | None = None
        # Fetches up to these numbers may have read an earlier state of the list.
        self._total_stated_at = 0
        self._outdated_until = 0
        self._end_known_at = 0
        self._contradicted_at: int | None = None
        self._latest_sequence = 0
        self.contradicts_for_good = False
        self.grows_at_end = False

    def __len__(self) -> int:
        return len(self._reads)

    def add(self, entry: Entry[Block], *, total: int, latest_sequence: int) -> bool:
        """Record a completed fetch, or that a block was marked as outdated.

        Args:
            entry: the block.
            total: the present total, which the fetch that started last states.
            latest_sequence: the number of the fetch that had started last when this one was
                complete.

        Returns:
            Whether anything has changed: rows, the total or the epoch of a block.
        """
        block, former_epoch = entry.value, self._epoch
        self._latest_sequence = max(self._latest_sequence, latest_sequence)
        read = self._reads.get(block.index)
        if read and read.entry.sequence > entry.sequence:
            return False
        if read and read.entry.sequence == entry.sequence:
            read.entry = entry
            return True
        if read and read.entry.value.total != block.total:
            self.contradicts_for_good = False
            self._contradicted_at = None
        total_changed = total != self._total
        if total_changed:
            self._start_epoch(self._total_stated_at)
            self._total = total
        reference = read.reference if read else None
        if block.total == total:
            self._total_stated_at = max(self._total_stated_at, latest_sequence)
            is_valid = total_changed or entry.sequence > self._outdated_until
        else:
            self._outdated_until = max(self._outdated_until, latest_sequence)
            is_valid = False
        if is_valid and block.index < number_of_blocks(total):
            was_current = read is not None and read.epoch == former_epoch and not total_changed
            if self._is_evidence(reference, block, was_current=was_current):
                self._start_epoch(latest_sequence, by_evidence=True)
            if reference is None and is_last(block):
                self._end_known_at = latest_sequence
            reference = block
        epoch = self._epoch if is_valid else NO_EPOCH
        changed = (
            read is None
            or former_epoch != self._epoch
            or read.epoch != epoch
            or read.entry.value.rows is not block.rows
            or read.entry.value.total != block.total
        )
        self._index(block, read.entry.value if read else None)
        self._reads[block.index] = _Read(entry, epoch, reference)
        return changed

    def last_fetched(self, index: int) -> Block | None:
        """Return the block as it was fetched last, None if it is not known."""
        read = self._reads.get(index)
        return read.entry.value if read else None

    def epoch_of(self, entry: Entry[Block]) -> int:
        """Return the epoch of a block, `NO_EPOCH` if it has been replaced by another one."""
        read = self._reads.get(entry.value.index)
        if read is None:
            return NO_EPOCH
        latest = read.entry.value
        if latest.rows is not entry.value.rows or latest.total != entry.value.total:
            return NO_EPOCH
        return read.epoch

    def is_outdated(self, entry: Entry[Block]) -> bool:
        """Return whether the list has changed since a block was fetched, as far as is known."""
        return not self.contradicts_for_good and self.epoch_of(entry) != self._epoch

    def is_current(self, entry: Entry[Block]) -> bool:
        """Return whether a block belongs to the present epoch."""
        return self.epoch_of(entry) == self._epoch

    def outdated_until(self, index: int) -> int:
        """Return the number of the fetch up to which a block is outdated or unverified."""
        if self.contradicts_for_good:
            return 0
        return max(self._outdated_until, self._end_known_at if index == 0 else 0)

    def are_of_one_state(self, entries: Sequence[Entry[Block]]) -> bool:
        """Return whether blocks describe one state of the list, which may be an earlier one."""
        epochs = {self.epoch_of(entry) for entry in entries}
        return len(epochs) == 1 and epochs.pop() >= self._first_certain

    def must_be_fetched(self, entry: Entry[Block]) -> bool:
        """Return whether a block has to be fetched again before the whole list is one state."""
        return not self.is_current(entry) or self.is_unverified(entry)

    def is_unverified(self, entry: Entry[Block]) -> bool:
        """Return whether this is the first block, fetched before the last one was first known.

        Without it the last block could not be found. A change in between has left no evidence.
        """
        return (
            entry.value.index == 0
            and not is_last(entry.value)
            and entry.sequence <= self._end_known_at
            and not self.contradicts_for_good
        )

    def record_reading(self, entries: Sequence[Entry[Block]], *, contradictory: bool) -> None:
        """Record that all blocks were read; after two contradictory readings it is for good."""
        if not contradictory:
            self._contradicted_at = None
        elif self._contradicted_at is None:
            self._contradicted_at = self._latest_sequence
        elif all(entry.sequence > self._contradicted_at for entry in entries):
            self.contradicts_for_good = True

    def first_entries(self, count: int) -> list[Entry[Block]] | None:
        """Return the last fetch of each of the first blocks, None if one is unknown."""
        reads = [self._reads.get(index) for index in range(count)]
        entries = [read.entry for read in reads if read]
        return entries if len(entries) == count else None

    def find(self, order_no: str) -> Iterator[Entry[Block]]:
        """Yield the blocks that have an order, in block order."""
        for index in sorted(self._indexes.get(order_no, ())):
            yield self._reads[index].entry

    def retain(self, indexes: Sequence[int]) -> None:
        """Forget all blocks but these."""
        for index in self._reads.keys() - set(indexes):
            self._remove_from_index(index, self._reads.pop(index).entry.value)

    def _start_epoch(self, outdated_until: int, *, by_evidence: bool = False) -> None:
        self._epoch += 1
        if by_evidence:
            # The change may lie between the fetches of any blocks of the epochs before.
            self._first_certain = self._epoch
        self._outdated_until = max(self._outdated_until, outdated_until)

    def _is_evidence(self, reference: Block | None, block: Block, *, was_current: bool) -> bool:
        is_same = reference is None or _numbers(reference) == _numbers(block)
        if reference and not is_same and (was_current or not self._is_explained(reference, block)):
            return True
        return self._shares_an_order(block)

    def _is_explained(self, old: Block, new: Block) -> bool:
        """Return whether additions alone, or removals alone, may have made `new` of `old`.

        Only the first block shows what was added at the front, and only the last one what was added
        at the end.
        """
        is_end = is_last(old) or is_last(new)
        if new.index != 0 and not is_end:
            return True
        before = _numbers(old)
        following = range(old.index + 1, number_of_blocks(old.total) if is_end else 0)
        if len(following) > MAX_FOLLOWING:
            return False
        for index in following:
            read = self._reads.get(index)
            if read is None or read.reference is None or read.reference.total != old.total:
                return False
            before += _numbers(read.reference)
        added = _added(before, new)
        if added is None:
            return False
        at_front, at_end = added[0] if new.index == 0 else 0, added[1] if is_end else 0
        if at_front or at_end:
            self.grows_at_end = at_end > 0
        return {at_front, at_end} <= {0, new.total - old.total}

    def _shares_an_order(self, block: Block) -> bool:
        """Return whether another block of the present epoch has an order of `block`."""
        if self._indexes.keys().isdisjoint(_numbers(block)):
            return False
        return any(
            index != block.index and self._reads[index].epoch == self._epoch
            for row in block.rows
            for index in self._indexes.get(row.order_no, ())
        )

    def _index(self, block: Block, former: Block | None) -> None:
        if former:
            if former.rows is block.rows:
                return
            self._remove_from_index(block.index, former)
        only = (block.index,)  # one object for all rows
        for row in block.rows:
            others = self._indexes.get(row.order_no)
            if row.order_no and (others is None or block.index not in others):
                self._indexes[row.order_no] = only if others is None else others + only

    def _remove_from_index(self, index: int, block: Block) -> None:
        for row in block.rows:
            indexes = self._indexes.get(row.order_no, ())
            others = tuple(other for other in indexes if other != index)
            if others:
                self._indexes[row.order_no] = others
            elif indexes:
                del self._indexes[row.order_no]


def _numbers(block: Block) -> list[str]:
    return [row.order_no for row in block.rows]


def _added(before: Sequence[str], new: Block) -> tuple[int, int] | None:
    """Return how many orders were added at the front and at the end, None if that is not clear.

    `before` has the order numbers from the first one of the block on, up to the end of the list
    if `new` is to show what was added there.
    """
    after = _numbers(new)
    common = set(before).intersection(after)
    kept = [number for number in before if number in common]
    if not kept:
        return None if before else (new.total, 0)
    first, last = after.index(kept[0]), after.index(kept[-1])
    if after[first : last + 1] != kept:
        return None
    # What follows the last known order was added, unless it was only moved to the next block.
    follows = new.total - 1 - (new.index * BLOCK_SIZE + last)
    if last == len(after) - 1:
        follows -= len(before) - 1 - before.index(kept[-1])
    return first, max(follows, 0)
