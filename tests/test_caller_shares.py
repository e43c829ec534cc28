"""Callers take turns, however many entries each has in a queue and whatever it had before."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.caller_shares import CallerShares
from app.current_caller import CallerKey


@dataclass(frozen=True)
class Entry:
    names: str
    number: int = 0

    @property
    def callers(self) -> list[CallerKey]:
        return [(name,) for name in self.names]


def entries(names: str, count: int) -> list[Entry]:
    return [Entry(names, number) for number in range(count)]


def served(shares: CallerShares, queue: list[Entry], turns: int) -> str:
    """Take turns, and return whose entries they were; each taken entry leaves the queue."""
    names = ""
    for _ in range(turns):
        entry = shares.take(queue)
        queue.remove(entry)
        names += entry.names[0]
    return names


def test_callers_take_turns_however_many_entries_each_has():
    queue = [*entries("g", 100), *entries("p", 3), *entries("q", 2)]
    assert served(CallerShares(), queue, 9) == "gpqgpqgpg"


def test_the_entries_of_one_caller_keep_their_order():
    shares, queue = CallerShares(), entries("a", 3)
    assert [shares.take(queue[number:]) for number in range(3)] == queue


def test_a_caller_who_comes_later_waits_for_one_turn_of_each_other_caller():
    shares, queue = CallerShares(), entries("g", 100)
    served(shares, queue, 50)
    queue += entries("p", 2)
    assert served(shares, queue, 4) in {"gpgp", "pgpg"}


def test_a_caller_who_had_nothing_to_do_collects_no_credit():
    shares = CallerShares()
    queue = [*entries("g", 100), Entry("p")]
    served(shares, queue, 60)
    queue += entries("p", 20)
    assert Counter(served(shares, queue, 10)) == {"g": 5, "p": 5}


def test_an_entry_of_several_callers_gets_the_turn_of_each_of_them():
    queue = [*entries("g", 10), Entry("gp")]
    shares = CallerShares()
    served(shares, queue, 1)
    assert shares.take(queue) == Entry("gp")


def test_an_entry_of_several_callers_counts_for_each_of_them_in_part():
    shares = CallerShares()
    queue = [Entry("ab"), *entries("c", 10), *entries("a", 10), *entries("b", 10)]
    assert Counter(served(shares, queue, 13)) == {"a": 5, "b": 4, "c": 4}


@given(
    st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=40),
    st.integers(0, 30),
)
def test_whoever_has_an_entry_is_served_within_as_many_turns_as_there_are_callers(
    names: list[str], history: int
):
    shares, queue = CallerShares(), entries("c", history) + entries("d", history)
    served(shares, queue, history)
    queue += [Entry(name, 100 + number) for number, name in enumerate(names)]
    queue += entries("p", 1)
    callers = {caller for entry in queue for caller in entry.callers}
    assert "p" in served(shares, queue, min(2 * len(callers), len(queue)))
