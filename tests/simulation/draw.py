"""Draws the plan of a world from its seed. The order of the draws is part of what a seed means.

Nearly all times lie on a grid of a quarter of a second, and many exactly on the boundaries of a
cached answer's life (TTL, TTL + STALE_WHILE_REVALIDATE, ...), so that events coincide: then their
order matters.
"""

from random import Random

from app.cache.freshness import CacheDirective
from tests.simulation.plan import (
    ALL_ORDERS,
    BLOCK_SIZE,
    Caller,
    ChangeKind,
    Fault,
    FaultPeriod,
    KeyRotation,
    ListChange,
    Plan,
    Seam,
    Settings,
)

GRID = 0.25
TRANSPORT_EVERY = 20
OUTAGE_EVERY = 250
SIZES = (0, 1, 49, 50, 51, 51, 75, 99, 100, 100, 101, 101, 130, 150, 151, 180, 180)
LIMITS = (10, 25, 30, 40, 49, 50)

FIRST_SMALL_SEED = 10**9
"""Seeds from here on draw small worlds, with few callers and few events."""


def seam_of(seed: int) -> Seam:
    """Return where the world of `seed` is simulated.

    One in twenty uses the HTTP client, which costs several times as much; no small one does.
    """
    if seed >= FIRST_SMALL_SEED:
        return Seam.FETCH
    uses_client = seed % TRANSPORT_EVERY == 0 or seed % (2 * OUTAGE_EVERY) == 1
    return Seam.TRANSPORT if uses_client else Seam.FETCH


def draw_plan(seed: int) -> Plan:
    """Return the plan of the world of `seed`."""
    rng = Random(seed)  # noqa: S311  not a secret
    seam = seam_of(seed)
    if seed >= FIRST_SMALL_SEED:
        return _small_plan(seed, rng)
    if seed % OUTAGE_EVERY == 1:
        return _outage_plan(seed, seam, rng)
    settings = _settings(rng, seam)
    size = rng.choice(SIZES)
    key_times = _key_times(rng, settings)
    ends_at = max(key_times) + 2.0
    is_fast = rng.random() < 0.6
    faults = _fault_periods(rng, key_times, ends_at) if rng.random() < 0.5 else ()
    return Plan(
        seed=seed,
        seam=seam,
        unfair=rng.random() < 0.4,
        settings=settings,
        size=size,
        latencies=(0.0, 0.25, 0.5, 1.0) if is_fast else (0.0, 0.5, 2.0, 3.5, 7.75, 9.0),
        callers=_callers(rng, settings, size, key_times),
        changes=_changes(rng, size, key_times) if rng.random() < 0.6 else (),
        faults=faults,
        rotation=(_rotation(rng, key_times, may_delete=not faults) if rng.random() < 0.4 else None),
        revocations=tuple(_time_near(rng, key_times) for _ in range(rng.randrange(3))),
        token_lifetime=rng.choice((5, 10, 30, 7200)),
        ends_at=ends_at,
        checks_recovery=rng.random() < 0.3,
    )


def _small_plan(seed: int, rng: Random) -> Plan:
    """Return a plan with two to four callers around three times.

    Most races need no more, and it costs a third.
    """
    settings = _settings(rng, Seam.FETCH)
    size = rng.choice((1, 51, 75, 101))
    stale_until = settings.ttl + settings.stale_while_revalidate
    second = rng.choice((0.0, GRID, 1.0, settings.ttl, stale_until))
    key_times = (0.0, second, second + rng.choice((0.0, GRID, 1.0)))
    ends_at = max(key_times) + 2.0
    callers = rng.sample(_callers(rng, settings, size, key_times), rng.randrange(2, 5))
    return Plan(
        seed=seed,
        seam=Seam.FETCH,
        unfair=rng.random() < 0.5,
        settings=settings,
        size=size,
        latencies=(0.0, 0.25, 0.5, 1.0) if rng.random() < 0.7 else (0.0, 0.5, 2.0, 7.75, 9.0),
        callers=tuple(sorted(callers, key=lambda caller: caller.at)),
        changes=_changes(rng, size, key_times)[:2] if rng.random() < 0.6 else (),
        faults=_fault_periods(rng, key_times, ends_at)[:1] if rng.random() < 0.4 else (),
        ends_at=ends_at,
    )


def _outage_plan(seed: int, seam: Seam, rng: Random) -> Plan:
    """Return a plan of ten minutes without an upstream, at the default settings."""
    settings = Settings(
        ttl=60,
        stale_while_revalidate=300,
        stale_if_error=86400,
        max_stale_wait=2,
        no_cache_min_age=5,
        deadline=8,
    )
    size = rng.choice((1, 50, 101, 180))
    outage_starts_at = 2.0 + GRID * rng.randrange(400)
    outage_ends_at = outage_starts_at + 600.0
    ends_at = outage_ends_at + 2 * settings.ttl
    block_ranges = [(start, start + BLOCK_SIZE) for start in range(0, size, BLOCK_SIZE)]
    callers = tuple(
        Caller(at + GRID * rng.randrange(8), start, stop)
        for start, stop in (*block_ranges, ALL_ORDERS)
        for at in (0.0, *range(3, int(ends_at), 8))
    )
    return Plan(
        seed=seed,
        seam=seam,
        unfair=rng.random() < 0.4,
        settings=settings,
        size=size,
        latencies=(0.0, 0.25, 0.5, 1.0),
        callers=tuple(sorted(callers, key=lambda caller: caller.at)),
        faults=(FaultPeriod(outage_starts_at, 600.0, rng.choice(tuple(Fault)), 1.0),),
        ends_at=ends_at,
        outage_ends_at=outage_ends_at,
        checks_recovery=True,
    )


def _settings(rng: Random, seam: Seam) -> Settings:
    low_limits = seam is Seam.TRANSPORT and rng.random() < 0.6
    ttl = 10.0 if low_limits else rng.choice((2.0, 5.0, 10.0))
    stale_while_revalidate = rng.choice((0.0, 5.0, 20.0))
    return Settings(
        ttl=ttl,
        stale_while_revalidate=stale_while_revalidate,
        stale_if_error=stale_while_revalidate + rng.choice((0.0, 10.0, 60.0)),
        max_stale_wait=rng.choice((1.0, 2.0)),
        no_cache_min_age=rng.choice((0.0, 1.0, 5.0)),
        deadline=rng.choice((4.0, 8.0)),
        max_concurrency=rng.choice((1, 2, 3)) if low_limits else 8,
        max_rate=rng.choice((2, 3, 5)) if low_limits else 50,
        max_blocks=rng.choice((1, 2)) if rng.random() < 0.1 else 100,
    )


def _key_times(rng: Random, settings: Settings) -> tuple[float, ...]:
    """Return the times around which events happen.

    They are close together, or as far apart as an answer needs to become stale or to expire.
    """
    if rng.random() < 0.15:  # all within one TTL
        return tuple(GRID * rng.randrange(int(settings.ttl / GRID)) for _ in range(8))
    ttl, stale_until = settings.ttl, settings.ttl + settings.stale_while_revalidate
    steps = (0.0, GRID, 1.0, ttl, ttl, stale_until, settings.max_age)
    time = 0.0
    key_times = [time]
    for _ in range(rng.randrange(2, 7)):
        step = rng.choice(steps)
        time += step + (rng.choice((-GRID, 0.0, 0.0, GRID)) if step > GRID else 0.0)
        key_times.append(time)
    return tuple(key_times)


def _time_near(rng: Random, key_times: tuple[float, ...]) -> float:
    return rng.choice(key_times) + rng.choice((0.0, 0.0, 0.0, GRID, 2 * GRID, 1.0, 2.0))


def _callers(
    rng: Random, settings: Settings, size: int, key_times: tuple[float, ...]
) -> tuple[Caller, ...]:
    some_disconnect = rng.random() < 0.4
    some_send_directives = rng.random() < 0.4
    ranges = _ranges(rng, size) + (ALL_ORDERS,) * rng.choice((0, 0, 1, 2))
    directives = (CacheDirective.NO_CACHE, CacheDirective.ONLY_IF_CACHED, CacheDirective.DEFAULT)
    timeouts = (0.0, GRID, 1.0, settings.max_stale_wait)
    callers = []
    for _ in range(rng.randrange(4, 16)):
        directive = rng.choice(directives) if some_send_directives else CacheDirective.DEFAULT
        timeout = rng.choice(timeouts) if rng.random() < 0.4 else None
        start, stop = rng.choice(ranges)
        at = _time_near(rng, key_times)
        callers.append(Caller(at, start, stop, directive, timeout if some_disconnect else None))
    return tuple(sorted(callers, key=lambda caller: caller.at))


def _ranges(rng: Random, size: int) -> tuple[tuple[int, int], ...]:
    """Return the positions of a few pages; often of one that needs two blocks, and of each."""
    if size > 2 * BLOCK_SIZE and rng.random() < 0.4:
        return tuple((start, start + 40) for start in range(40, size, 40))
    if size > BLOCK_SIZE and rng.random() < 0.6:
        limit = rng.choice((30, 40, 49))
        boundary = rng.randrange(1, (size - 1) // BLOCK_SIZE + 1) * BLOCK_SIZE
        start = boundary // limit * limit
        both = (start, start + limit)
        return both, (boundary - 10, boundary), (boundary, boundary + 10), _page(rng, size)
    return tuple(_page(rng, size) for _ in range(rng.randrange(1, 4)))


def _page(rng: Random, size: int) -> tuple[int, int]:
    limit = rng.choice(LIMITS)
    start = rng.randrange(size // limit + 3) * limit
    return start, start + limit


def _changes(rng: Random, size: int, key_times: tuple[float, ...]) -> tuple[ListChange, ...]:
    kinds = (
        ChangeKind.ADDED,
        ChangeKind.ADDED,
        ChangeKind.REMOVED,
        ChangeKind.REPLACED,
        ChangeKind.EDITED,
    )
    many = rng.random() < 0.3
    return tuple(
        ListChange(
            rng.choice(key_times) + GRID * rng.randrange(20)
            if many
            else _time_near(rng, key_times),
            rng.choice(kinds),
            0 if rng.random() < 0.5 else rng.randrange(size + 1),
        )
        for _ in range(rng.randrange(6, 13) if many else rng.randrange(1, 5))
    )


def _fault_periods(
    rng: Random, key_times: tuple[float, ...], ends_at: float
) -> tuple[FaultPeriod, ...]:
    return tuple(
        FaultPeriod(
            _time_near(rng, key_times),
            rng.choice((GRID, 2.0, 10.0, ends_at)),
            rng.choice(tuple(Fault)),
            rng.choice((0.5, 1.0, 1.0)),
        )
        for _ in range(rng.randrange(1, 3))
    )


def _rotation(rng: Random, key_times: tuple[float, ...], *, may_delete: bool) -> KeyRotation:
    valid = rng.random() < 0.7
    old_deleted_after = rng.choice((None, 10.0, 15.0)) if valid and may_delete else None
    return KeyRotation(_time_near(rng, key_times), valid, old_deleted_after)
