"""What happens in one world, drawn whole from its seed: plain data, so that a failure can be read.

Long because every kind of event is drawn here, in one order, from one seed.

Nearly all times lie on a grid of a quarter of a second, and many on the very bounds of a life (ttl,
ttl + grace, ...), so that things meet in one moment: that is where the order of events matters.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random

from app.cache.policy import CacheDirective

BLOCK = 50
ALL = (0, 10**6)
GRID = 0.25
HOUR = 3600
TRANSPORT_EACH = 20
OUTAGE_EACH = 250
SIZES = (0, 1, 49, 50, 51, 51, 75, 99, 100, 100, 101, 101, 130, 150, 151, 180, 180)
LIMITS = (10, 25, 30, 40, 49, 50)

SMALL = 10**9
"""Seeds from here on draw small worlds: few callers, one or two things that happen to them."""


class Seam(Enum):
    """Where the simulated upstream stands in."""

    FETCH = "fetch"
    """Right behind the book: no client, no credential. Small and fast."""
    TRANSPORT = "transport"
    """Behind the HTTP client: the whole way out is real."""


class Trouble(Enum):
    """What the upstream does wrong while it is in trouble."""

    FAILS = "fails"
    HANGS = "hangs"
    BREAKS = "breaks"
    THROTTLES = "throttles"
    GARBLES = "garbles"
    REFUSES = "refuses"


class Change(Enum):
    """How the list changes."""

    COMES = "comes"
    GOES = "goes"
    SWAPS = "swaps"
    """One gone, one come: neither total nor number need show it."""
    EDITED = "edited"
    """Nothing moves."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """The settings of a world, in seconds and numbers."""

    ttl: float
    grace: float
    keep: float
    wait: float
    min_age: float
    deadline: float
    max_concurrency: int = 8
    max_rate: int = 50
    max_blocks: int = 100

    @property
    def breaker_pause(self) -> float:
        """Seconds for which an ill upstream is left in peace."""
        return min(self.ttl, 5.0)

    @property
    def tight(self) -> bool:
        """Whether calls have to wait for each other."""
        return self.max_concurrency < 8 or self.max_rate < 50

    @property
    def life(self) -> float:
        """Seconds after which an answer is gone."""
        return self.ttl + self.grace + self.keep


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who asks for positions `start` to `stop`, and may leave before the answer.

    Who asks for `ALL` of them asks for the whole list, of which nothing may be missing.
    """

    at: float
    start: int
    stop: int
    ask: CacheDirective = CacheDirective.DEFAULT
    leaves_after: float | None = None

    @property
    def all(self) -> bool:
        """Whether the whole list is asked for."""
        return (self.start, self.stop) == ALL


@dataclass(frozen=True, slots=True)
class Shift:
    """The list changes at some position."""

    at: float
    change: Change
    position: int


@dataclass(frozen=True, slots=True)
class Spell:
    """From `at` on, for so long, `share` of the calls meet trouble."""

    at: float
    lasts: float
    trouble: Trouble
    share: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """The operator sets another credential, and maybe ends the old one so many seconds later."""

    at: float
    good: bool
    old_ends_after: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One world."""

    seed: int
    seam: Seam
    unfair: bool
    config: Knobs
    size: int
    latencies: tuple[float, ...]
    callers: tuple[Caller, ...]
    shifts: tuple[Shift, ...] = ()
    spells: tuple[Spell, ...] = ()
    revoked: tuple[float, ...] = ()
    token_life: int = 7200
    context: Exchange | None = None
    ends: float = 0.0
    returns: float | None = None
    """When the upstream is back from a long outage, through which each block is asked for often."""
    heals: bool = False
    """Whether what comes after is looked at, when the upstream is well and still again."""

    @property
    def still(self) -> bool:
        """Whether the list never changes."""
        return not self.shifts

    @property
    def sound(self) -> bool:
        """Whether the upstream never fails, and answers before anyone's time is over."""
        return not self.spells and max(self.latencies) < self.config.deadline / 2

    @property
    def easy(self) -> bool:
        """Whether nothing at all can keep a caller from a good answer."""
        if self.seam is Seam.FETCH:
            return self.sound
        return self.sound and not self.config.tight and not self.revoked and self.token_life > HOUR

    @property
    def roomy(self) -> bool:
        """Whether every block can be held."""
        return self.config.max_blocks >= 100


def seam_of(seed: int) -> Seam:
    """One world in twenty has the whole way out; it costs several times as much. No small one."""
    if seed >= SMALL:
        return Seam.FETCH
    whole = seed % TRANSPORT_EACH == 0 or seed % (2 * OUTAGE_EACH) == 1
    return Seam.TRANSPORT if whole else Seam.FETCH


def draw(seed: int) -> Plan:
    """The world of `seed`."""
    rng = Random(seed)  # noqa: S311  a world, not a secret
    seam = seam_of(seed)
    if seed >= SMALL:
        return _small(seed, rng)
    if seed % OUTAGE_EACH == 1:
        return _outage(seed, seam, rng)
    config = _knobs(rng, seam)
    size = rng.choice(SIZES)
    moments = _moments(rng, config)
    ends = max(moments) + 2.0
    quick = rng.random() < 0.6
    spells = _spells(rng, moments, ends) if rng.random() < 0.5 else ()
    return Plan(
        seed=seed,
        seam=seam,
        unfair=rng.random() < 0.4,
        config=config,
        size=size,
        latencies=(0.0, 0.25, 0.5, 1.0) if quick else (0.0, 0.5, 2.0, 3.5, 7.75, 9.0),
        callers=_callers(rng, config, size, moments),
        shifts=_shifts(rng, size, moments) if rng.random() < 0.6 else (),
        spells=spells,
        context=_exchange(rng, moments, may_end=not spells) if rng.random() < 0.4 else None,
        revoked=tuple(_near(rng, moments) for _ in range(rng.randrange(3))),
        token_life=rng.choice((5, 10, 30, 7200)),
        ends=ends,
        heals=rng.random() < 0.3,
    )


def _small(seed: int, rng: Random) -> Plan:
    """Two to four callers around three moments: a race of a few needs no more. Costs a third."""
    config = _knobs(rng, Seam.FETCH)
    size = rng.choice((1, 51, 75, 101))
    second = rng.choice((0.0, GRID, 1.0, config.ttl, config.ttl + config.grace))
    moments = (0.0, second, second + rng.choice((0.0, GRID, 1.0)))
    ends = max(moments) + 2.0
    callers = rng.sample(_callers(rng, config, size, moments), rng.randrange(2, 5))
    return Plan(
        seed=seed,
        seam=Seam.FETCH,
        unfair=rng.random() < 0.5,
        config=config,
        size=size,
        latencies=(0.0, 0.25, 0.5, 1.0) if rng.random() < 0.7 else (0.0, 0.5, 2.0, 7.75, 9.0),
        callers=tuple(sorted(callers, key=lambda caller: caller.at)),
        shifts=_shifts(rng, size, moments)[:2] if rng.random() < 0.6 else (),
        spells=_spells(rng, moments, ends)[:1] if rng.random() < 0.4 else (),
        ends=ends,
    )


def _outage(seed: int, seam: Seam, rng: Random) -> Plan:
    """Ten minutes without an upstream, at the settings that are the default."""
    config = Knobs(ttl=60, grace=300, keep=86400, wait=2, min_age=5, deadline=8)
    size = rng.choice((1, 50, 101, 180))
    began = 2.0 + GRID * rng.randrange(400)
    returns = began + 600.0
    ends = returns + 2 * config.ttl
    callers = tuple(
        Caller(at + GRID * rng.randrange(8), start, stop)
        for start, stop in (*((start, start + BLOCK) for start in range(0, size, BLOCK)), ALL)
        for at in (0.0, *range(3, int(ends), 8))
    )
    return Plan(
        seed=seed,
        seam=seam,
        unfair=rng.random() < 0.4,
        config=config,
        size=size,
        latencies=(0.0, 0.25, 0.5, 1.0),
        callers=tuple(sorted(callers, key=lambda caller: caller.at)),
        spells=(Spell(began, 600.0, rng.choice(tuple(Trouble)), 1.0),),
        ends=ends,
        returns=returns,
        heals=True,
    )


def _knobs(rng: Random, seam: Seam) -> Knobs:
    tight = seam is Seam.TRANSPORT and rng.random() < 0.6
    return Knobs(
        ttl=10.0 if tight else rng.choice((2.0, 5.0, 10.0)),
        grace=rng.choice((0.0, 5.0, 20.0)),
        keep=rng.choice((0.0, 10.0, 60.0)),
        wait=rng.choice((1.0, 2.0)),
        min_age=rng.choice((0.0, 1.0, 5.0)),
        deadline=rng.choice((4.0, 8.0)),
        max_concurrency=rng.choice((1, 2, 3)) if tight else 8,
        max_rate=rng.choice((2, 3, 5)) if tight else 50,
        max_blocks=rng.choice((1, 2)) if rng.random() < 0.1 else 100,
    )


def _moments(rng: Random, config: Knobs) -> tuple[float, ...]:
    """When things happen: at once, soon, or just when something turns stale, kept or gone."""
    if rng.random() < 0.15:  # all within one ttl
        return tuple(GRID * rng.randrange(int(config.ttl / GRID)) for _ in range(8))
    steps = (0.0, GRID, 1.0, config.ttl, config.ttl, config.ttl + config.grace, config.life)
    moment = 0.0
    moments = [moment]
    for _ in range(rng.randrange(2, 7)):
        step = rng.choice(steps)
        moment += step + (rng.choice((-GRID, 0.0, 0.0, GRID)) if step > GRID else 0.0)
        moments.append(moment)
    return tuple(moments)


def _near(rng: Random, moments: tuple[float, ...]) -> float:
    return rng.choice(moments) + rng.choice((0.0, 0.0, 0.0, GRID, 2 * GRID, 1.0, 2.0))


def _callers(
    rng: Random, config: Knobs, size: int, moments: tuple[float, ...]
) -> tuple[Caller, ...]:
    leaving = rng.random() < 0.4
    odd = rng.random() < 0.4
    windows = _windows(rng, size) + (ALL,) * rng.choice((0, 0, 1, 2))
    callers = []
    for _ in range(rng.randrange(4, 16)):
        ask = (
            rng.choice(
                (CacheDirective.NO_CACHE, CacheDirective.ONLY_IF_CACHED, CacheDirective.DEFAULT)
            )
            if odd
            else CacheDirective.DEFAULT
        )
        leaves = rng.choice((0.0, GRID, 1.0, config.wait)) if rng.random() < 0.4 else None
        start, stop = rng.choice(windows)
        callers.append(Caller(_near(rng, moments), start, stop, ask, leaves if leaving else None))
    return tuple(sorted(callers, key=lambda caller: caller.at))


def _windows(rng: Random, size: int) -> tuple[tuple[int, int], ...]:
    """A few pages as callers ask for them; often one that needs two blocks, and each of the two."""
    if size > 2 * BLOCK and rng.random() < 0.4:
        return tuple((start, start + 40) for start in range(40, size, 40))
    if size > BLOCK and rng.random() < 0.6:
        limit = rng.choice((30, 40, 49))
        edge = rng.randrange(1, (size - 1) // BLOCK + 1) * BLOCK
        start = edge // limit * limit
        return (start, start + limit), (edge - 10, edge), (edge, edge + 10), _window(rng, size)
    return tuple(_window(rng, size) for _ in range(rng.randrange(1, 4)))


def _window(rng: Random, size: int) -> tuple[int, int]:
    limit = rng.choice(LIMITS)
    start = rng.randrange(size // limit + 3) * limit
    return start, start + limit


def _shifts(rng: Random, size: int, moments: tuple[float, ...]) -> tuple[Shift, ...]:
    changes = (Change.COMES, Change.COMES, Change.GOES, Change.SWAPS, Change.EDITED)
    busy = rng.random() < 0.3
    return tuple(
        Shift(
            rng.choice(moments) + GRID * rng.randrange(20) if busy else _near(rng, moments),
            rng.choice(changes),
            0 if rng.random() < 0.5 else rng.randrange(size + 1),
        )
        for _ in range(rng.randrange(6, 13) if busy else rng.randrange(1, 5))
    )


def _spells(rng: Random, moments: tuple[float, ...], ends: float) -> tuple[Spell, ...]:
    return tuple(
        Spell(
            _near(rng, moments),
            rng.choice((GRID, 2.0, 10.0, ends)),
            rng.choice(tuple(Trouble)),
            rng.choice((0.5, 1.0, 1.0)),
        )
        for _ in range(rng.randrange(1, 3))
    )


def _exchange(rng: Random, moments: tuple[float, ...], *, may_end: bool) -> Exchange:
    good = rng.random() < 0.7
    ends_after = rng.choice((None, 10.0, 15.0)) if good and may_end else None
    return Exchange(_near(rng, moments), good, ends_after)
