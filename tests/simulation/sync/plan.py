"""What happens in a world whose list is read as a whole while it changes."""

from dataclasses import dataclass
from enum import Enum

from tests.simulation.plan import Plan

NEWEST = -1
"""The position of the order that was added last."""


class Inserts(Enum):
    """Where new orders appear, and where an order that moves goes."""

    FRONT = "at the front"
    BACK = "at the back"
    ANYWHERE = "anywhere"


class Defect(Enum):
    """How the upstream's list contradicts itself for good."""

    OVERLAP = "the last order of the first page is the first of the second page, too"
    UNSTABLE_SORT = "each call sorts tied orders differently"
    TWICE_IN_BLOCK = "a page has one order number twice"
    TWICE_IN_LIST = "two pages have the same order number"
    TOTAL_BY_PAGE = "pages state different totals"
    TOTAL_TOO_SMALL = "the total is smaller than the number of rows"
    TOTAL_TOO_LARGE = "the total is greater than the number of rows"
    MORE_ONCE = "one answer states 400 orders more"
    MILLION_ONCE = "one answer states a million orders"
    TRILLION_ONCE = "one answer states nearly 10^12 orders"

    @property
    def is_transient(self) -> bool:
        """Whether a single answer is wrong."""
        return self in (Defect.MORE_ONCE, Defect.MILLION_ONCE, Defect.TRILLION_ONCE)


@dataclass(frozen=True, slots=True)
class Follower:
    """A client that takes the export and follows the changes.

    Attributes:
        interval: seconds between two polls; None if it polls when the proxy advises.
        pause: seconds between its first two requests.
    """

    at: float
    interval: float | None = None
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Purge:
    """A purge of the cache, which removes everything if it is to `drop`."""

    at: float
    drop: bool


@dataclass(frozen=True, slots=True)
class SyncPlan(Plan):
    """One world. Its callers request pages and, with `ALL_ORDERS`, exports.

    Attributes:
        wrong_call: the call for a page that is answered with an absurd total.
    """

    inserts: Inserts = Inserts.FRONT
    followers: tuple[Follower, ...] = ()
    defect: Defect | None = None
    wrong_call: int = 0
    purges: tuple[Purge, ...] = ()

    @property
    def loses_nothing(self) -> bool:
        """Whether the contract promises that no order is missing in an unmarked answer."""
        return self.inserts is not Inserts.ANYWHERE and self.defect is None

    @property
    def is_wrong_for_good(self) -> bool:
        """Whether the list contradicts itself also when it rests."""
        return self.defect is not None and not self.defect.is_transient

    @property
    def rest_seconds(self) -> float:
        """How long the list has to rest until everything is fresh, confirmed and followed."""
        return 4 * self.settings.ttl + 20
