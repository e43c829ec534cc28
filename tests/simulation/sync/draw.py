"""Draws the plan of a world from its seed. The first seeds of each kind are far apart."""

from random import Random

from tests.simulation.draw import GRID, TRANSPORT_EVERY
from tests.simulation.plan import (
    ALL_ORDERS,
    BLOCK_SIZE,
    Caller,
    ChangeKind,
    Fault,
    FaultPeriod,
    ListChange,
    Seam,
    Settings,
)
from tests.simulation.sync.plan import NEWEST, Defect, Follower, Inserts, Purge, SyncPlan

FIRST_SYNC_SEED = 2 * 10**9
"""Seeds from here on: new orders appear at one end of the list."""

FIRST_ANYWHERE_SEED = 3 * 10**9
"""Seeds from here on: new orders appear anywhere."""

FIRST_DEFECT_SEED = 4 * 10**9
"""Seeds from here on: the list contradicts itself."""

SIZES = (0, 1, 49, 50, 51, 75, 99, 100, 101, 120, 149, 151, 180, 201, 260, 400)
LIMITS = (10, 30, 40, 49, 50)
ADDED, REMOVED, EDITED = ChangeKind.ADDED, ChangeKind.REMOVED, ChangeKind.EDITED

PATTERNS = (
    (ADDED, REMOVED),
    (ADDED, REMOVED),
    (REMOVED, ADDED),
    (ADDED, ADDED, REMOVED, REMOVED),
    (ADDED,),
    (ADDED, ADDED, ADDED),
    (REMOVED,),
    (REMOVED, REMOVED),
    (ChangeKind.MOVED,),
    (EDITED,),
)
"""What happens to the list at one moment."""


def draw_sync_plan(seed: int) -> SyncPlan:
    """Return the plan of the world of `seed`, which is at least `FIRST_SYNC_SEED`."""
    rng = Random(seed)  # noqa: S311  not a secret
    if seed >= FIRST_DEFECT_SEED:
        return _defect_plan(seed, rng)
    if seed >= FIRST_ANYWHERE_SEED:
        return _changing_plan(seed, rng, Inserts.ANYWHERE)
    return _changing_plan(seed, rng, rng.choice((Inserts.FRONT, Inserts.FRONT, Inserts.BACK)))


def _changing_plan(seed: int, rng: Random, inserts: Inserts) -> SyncPlan:
    settings = _settings(rng)
    size = rng.choice(SIZES)
    ends_at = settings.ttl * rng.choice((2, 4, 6, 8))
    is_fast = rng.random() < 0.7
    return SyncPlan(
        seed=seed,
        seam=Seam.FETCH,
        unfair=rng.random() < 0.3,
        settings=settings,
        size=size,
        latencies=rng.choice(((0.0,), (0.0, 0.25, 0.5), (0.0, 0.5, 1.0, 2.0)))
        if is_fast
        else (0.0, 0.5, 3.5, 7.75),
        callers=_callers(rng, size, ends_at),
        changes=_changes(rng, ends_at),
        faults=_faults(rng, ends_at) if rng.random() < 0.3 else (),
        ends_at=ends_at,
        inserts=inserts,
        followers=_followers(rng, ends_at),
        purges=_purges(rng, ends_at) if rng.random() < 0.3 else (),
    )


def _defect_plan(seed: int, rng: Random) -> SyncPlan:
    settings = _settings(rng)
    size = rng.choice((3, 51, 75, 100, 101, 137, 151, 201))
    ends_at = settings.ttl * rng.choice((4, 6))
    changes = rng.random() < 0.3
    defect = rng.choice(tuple(Defect))
    # That more rows than the total count is decided where a response is parsed.
    uses_client = defect is Defect.TOTAL_TOO_SMALL or seed % TRANSPORT_EVERY == 0
    return SyncPlan(
        seed=seed,
        seam=Seam.TRANSPORT if uses_client else Seam.FETCH,
        unfair=rng.random() < 0.3,
        settings=settings,
        size=size,
        latencies=rng.choice(((0.0,), (0.0, 0.25), (0.0, 0.25, 0.5))),
        callers=_callers(rng, size, ends_at),
        changes=_changes(rng, ends_at) if changes else (),
        ends_at=ends_at,
        followers=_followers(rng, ends_at),
        defect=defect,
        wrong_call=rng.choice((0, 0, 1, 2, rng.randrange(20))),
    )


def _settings(rng: Random) -> Settings:
    stale_while_revalidate = rng.choice((0.0, 5.0, 20.0))
    return Settings(
        ttl=rng.choice((2.0, 5.0, 10.0)),
        stale_while_revalidate=stale_while_revalidate,
        stale_if_error=stale_while_revalidate + rng.choice((0.0, 10.0, 60.0)),
        max_stale_wait=rng.choice((1.0, 2.0)),
        no_cache_min_age=rng.choice((0.0, 1.0, 5.0)),
        deadline=8.0,
    )


def _times(rng: Random, ends_at: float, count: int) -> list[float]:
    return sorted(GRID * rng.randrange(int(ends_at / GRID)) for _ in range(count))


def _callers(rng: Random, size: int, ends_at: float) -> tuple[Caller, ...]:
    exports = [Caller(at, *ALL_ORDERS) for at in _times(rng, ends_at, rng.choice((0, 4, 8, 16)))]
    ranges = [_range(rng, size) for _ in range(rng.choice((1, 3, 8)))]
    pages = [
        Caller(at, *rng.choice(ranges)) for at in _times(rng, ends_at, rng.choice((4, 12, 30)))
    ]
    return tuple(sorted(exports + pages, key=lambda caller: caller.at))


def _range(rng: Random, size: int) -> tuple[int, int]:
    """Return the positions of a page, often of one that needs two blocks."""
    limit = rng.choice(LIMITS)
    if size > BLOCK_SIZE and rng.random() < 0.6:
        boundary = rng.randrange(1, (size - 1) // BLOCK_SIZE + 1) * BLOCK_SIZE
        return boundary // limit * limit, boundary // limit * limit + limit
    start = rng.randrange(size // limit + 2) * limit
    return start, start + limit


def _changes(rng: Random, ends_at: float) -> tuple[ListChange, ...]:
    if rng.random() < 0.1:
        return _undone_changes(rng, ends_at)
    patterns = rng.sample(PATTERNS, rng.choice((1, 2, 4, len(PATTERNS))))
    count = min(int(ends_at / rng.choice((0.25, 1.0, 1.0, 3.0, 10.0))) + 1, 60)
    return tuple(
        ListChange(at, kind, rng.randrange(10**6))
        for at in _times(rng, ends_at, count)
        for kind in rng.choice(patterns)
    )


def _undone_changes(rng: Random, ends_at: float) -> tuple[ListChange, ...]:
    """Return changes that add an order and remove it again a little later."""
    changes: list[ListChange] = []
    for at in _times(rng, ends_at, rng.choice((2, 5, 10))):
        changes.append(ListChange(at, ADDED, 0))
        changes.append(ListChange(at + GRID * rng.randrange(1, 20), REMOVED, NEWEST))
    return tuple(sorted(changes, key=lambda change: change.at))


def _faults(rng: Random, ends_at: float) -> tuple[FaultPeriod, ...]:
    return tuple(
        FaultPeriod(
            at, rng.choice((1.0, 5.0, ends_at)), rng.choice(tuple(Fault)), rng.choice((0.2, 0.5, 1))
        )
        for at in _times(rng, ends_at, rng.randrange(1, 3))
    )


def _purges(rng: Random, ends_at: float) -> tuple[Purge, ...]:
    times = _times(rng, ends_at, rng.choice((1, 2, 4)))
    return tuple(Purge(at, drop=rng.random() < 0.5) for at in times)


def _followers(rng: Random, ends_at: float) -> tuple[Follower, ...]:
    intervals = (None, None, 1.0, 3.0)
    return tuple(
        Follower(at, rng.choice(intervals), pause=rng.choice((0.0, 0.0, 1.0, 5.0)))
        for at in _times(rng, ends_at / 2, rng.choice((1, 2)))
    )
