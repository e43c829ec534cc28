"""What a sandbox is like: plain values, all of which a command line can give. Knows no HTTP."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from app.sandbox.faults import Fault

UnknownOrder = Literal["null", "empty", "404", "422"]
"""The four ways in which the vendor is known, or thought, to say that there is no such order."""

MOST_ORDERS = 100_000

_MADE_UP_KEY_ID = "5a4db0c000000000000a0001"
_MADE_UP_KEY_TEXT = "5a4db0c0000000000000000000a05ec7"
_MADE_UP_POOL = "5a4db0c000000000000b0001"
_WORD = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One sandbox. A value that makes no sense is a `ValueError` in words for an operator.

    Attributes:
        orders: how many orders there are, 0 to 100,000.
        seed: which orders; the same seed and number give the same orders, always.
        token_lifetime_seconds: what `expires_in` says and the token keeps.
        access_key_id: made for the sandbox; not the pool id, as with a collaborator's key.
        access_key_secret: made for the sandbox.
        pool_id: made for the sandbox.
        max_calls_per_second: more are HTTP 429, as the vendor's free plan does; 0 is no limit.
        unknown_order: how an order or a payment that does not exist is answered.
        faults: as `Fault.read` reads them: `latency=2`, `status=500,times=3,path=get-orders`.
    """

    orders: int = 137
    seed: int = 7
    token_lifetime_seconds: int = 7200
    access_key_id: str = _MADE_UP_KEY_ID
    access_key_secret: str = _MADE_UP_KEY_TEXT
    pool_id: str = _MADE_UP_POOL
    max_calls_per_second: int = 300
    unknown_order: UnknownOrder = "null"
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.orders <= MOST_ORDERS:
            raise ValueError(f"orders is 0 to {MOST_ORDERS}, not {self.orders}")
        if self.token_lifetime_seconds < 1:
            raise ValueError("token_lifetime_seconds is at least 1")
        if self.max_calls_per_second < 0:
            raise ValueError("max_calls_per_second is 0 (no limit) or more")
        if self.unknown_order not in get_args(UnknownOrder):
            raise ValueError(f"unknown_order is one of {', '.join(get_args(UnknownOrder))}")
        for name in ("access_key_id", "access_key_secret", "pool_id"):
            if not _WORD.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} is 1 to 64 letters, digits, '_' or '-'")
        self.standing_faults()

    def standing_faults(self) -> tuple[Fault, ...]:
        """The faults that the sandbox starts with."""
        return tuple(Fault.read(text) for text in self.faults)
