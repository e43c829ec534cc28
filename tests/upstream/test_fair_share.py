"""Every kind of calls that wait gets its share, and none collects shares while it has no calls."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.current_caller import CallerKey
from app.upstream.fair_share import FairShare, Turn


@dataclass(frozen=True)
class Call:
    turn: Turn | None
    number: int = 0
    callers: tuple[CallerKey, ...] = ((),)


ALL = [Call(turn) for turn in Turn]
LIST, DETAIL, BACKGROUND = ALL


def take(shares: FairShare, calls: list[Call], times: int) -> list[Turn | None]:
    return [call.turn for _ in range(times) if (call := shares.take(calls))]


def test_if_all_kinds_wait_each_gets_its_share():
    assert Counter(take(FairShare(), ALL, 100)) == {turn: 10 * turn.value for turn in Turn}


def test_background_refreshes_get_their_share_however_many_details_wait():
    turns = take(FairShare(), [DETAIL, BACKGROUND], 100)
    assert Counter(turns) == {Turn.DETAIL: 60, Turn.BACKGROUND: 40}


def test_a_kind_that_waits_alone_goes_at_once():
    assert take(FairShare(), [BACKGROUND], 3) == [Turn.BACKGROUND] * 3


def test_without_calls_there_is_no_next_one():
    assert FairShare().take([]) is None


def test_of_one_kind_the_first_call_goes_first():
    first, second = Call(Turn.LIST, 1), Call(Turn.LIST, 2)
    assert FairShare().take([BACKGROUND, first, second]) is first


def test_a_token_call_is_always_the_next_one():
    shares = FairShare()
    token = Call(None)
    take(shares, ALL, 7)
    assert all(shares.take([*ALL, token]) is token for _ in range(5))


@given(st.lists(st.sets(st.sampled_from(ALL), min_size=1), max_size=60))
def test_no_kind_waits_longer_than_its_share_whatever_waited_before(history: list[set[Call]]):
    shares = FairShare()
    for waiting in history:
        shares.take(waiting)
    turns = take(shares, ALL, 12)
    assert set(turns) == set(Turn)
    assert max(Counter(turns).values()) <= 9


def test_a_kind_that_was_idle_has_no_credit():
    shares = FairShare()
    take(shares, [LIST], 1000)
    assert Counter(take(shares, [LIST, BACKGROUND], 14))[Turn.BACKGROUND] <= 5


def test_callers_share_the_starts_of_one_kind_and_the_kinds_keep_their_shares() -> None:
    shares = FairShare()
    greedy = [Call(Turn.DETAIL, number, (("greedy",),)) for number in range(50)]
    polite = [Call(Turn.DETAIL, number, (("polite",),)) for number in range(3)]
    queue = [*greedy, *polite, BACKGROUND]
    started = []
    for _ in range(10):
        call = shares.take(queue)
        assert call
        started.append((call.turn, call.callers))
        if call is not BACKGROUND:
            queue.remove(call)
    counts = Counter(started)
    assert counts[Turn.DETAIL, (("polite",),)] == counts[Turn.DETAIL, (("greedy",),)] == 3
    assert counts[Turn.BACKGROUND, ((),)] == 4
