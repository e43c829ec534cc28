"""What goes wrong in one world, drawn from its seed."""

from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.simulation.plan import Plan, Seam, Settings

FIRST_DISTURBED_SEED = 5 * 10**9
"""Seeds from here on draw these worlds."""


class Disturbance(Enum):
    """What goes wrong, from some time on."""

    FAILING_ORDERS = "the upstream fails for some orders, which are requested all the time"
    UNKNOWN_ORDERS = "unknown orders are requested all the time"
    OTHER_ORDER = "the upstream answers with another order than the requested one"
    OTHER_POOL = "the upstream issues tokens of another pool"
    LONG_PAUSE = "the upstream asks for a pause of a day, once"
    WRONG_KEY = "the access key is wrong until the operator configures another one"


@dataclass(frozen=True, slots=True)
class DisturbedPlan(Plan):
    """One world. It has no callers of its own: each page and order is requested all the time.

    Attributes:
        starts_at: when it starts; before that everything is loaded once.
        loops: callers that request one order after the other.
        interval: seconds between two requests of a page, or of an order by one caller.
    """

    disturbance: Disturbance = Disturbance.FAILING_ORDERS
    starts_at: float = 0.0
    loops: int = 0
    interval: float = 0.5


def draw_disturbed_plan(seed: int) -> DisturbedPlan:
    """Return the plan of the world of `seed`."""
    rng = Random(seed)  # noqa: S311  not a secret
    disturbance = rng.choice(tuple(Disturbance))
    is_flood = disturbance is Disturbance.UNKNOWN_ORDERS
    starts_at = rng.choice((4.0, 5.0, 6.5))
    duration = 80.0 if disturbance is Disturbance.LONG_PAUSE else 25.0
    return DisturbedPlan(
        seed=seed,
        seam=Seam.TRANSPORT,
        unfair=rng.random() < 0.3,
        settings=Settings(
            ttl=rng.choice((2.0, 5.0)),
            # Only where background refreshes are watched may they be what keeps pages fresh.
            stale_while_revalidate=300.0 if is_flood else 0.0,
            stale_if_error=300.0 if is_flood else 0.0,
            max_stale_wait=1.0,
            no_cache_min_age=0.0,
            deadline=8.0,
            max_concurrency=rng.choice((2, 4)) if is_flood else 8,
            max_rate=rng.choice((3, 5)) if is_flood else 50,
        ),
        size=rng.choice((10, 60, 120)),
        latencies=rng.choice(((0.0,), (0.25,), (0.25, 0.5))),
        callers=(),
        token_lifetime=rng.choice((5, 10)) if disturbance is Disturbance.OTHER_POOL else 7200,
        ends_at=starts_at + duration,
        disturbance=disturbance,
        starts_at=starts_at,
        loops=rng.choice((12, 20)) if is_flood else rng.choice((1, 3)),
        interval=0.0 if is_flood else rng.choice((0.25, 0.5)),
    )
