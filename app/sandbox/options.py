"""The options of a sandbox: plain values that a command line can give."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from app.sandbox.faults import Fault

UnknownOrder = Literal["null", "empty", "404", "422"]
"""How the vendor reports an unknown order: the observed and the suspected ways."""

MAX_ORDERS = 100_000

_DEFAULT_KEY_ID = "5a4db0c000000000000a0001"
_DEFAULT_KEY_TEXT = "5a4db0c0000000000000000000a05ec7"
_DEFAULT_POOL_ID = "5a4db0c000000000000b0001"
_IDENTIFIER = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one sandbox.

    Attributes:
        orders: number of orders, 0 to 100,000.
        seed: selects the orders; the same seed and number always give the same orders.
        token_lifetime_seconds: lifetime of a management token, at least 1.
        access_key_id: differs from the pool id, as a collaborator's key does.
        access_key_secret: the secret of that key.
        pool_id: id of the user pool.
        max_calls_per_second: calls above this rate get HTTP 429, as on the vendor's free plan;
            0 means no limit.
        unknown_order: the reply for an order or a payment that does not exist.
        faults: the initial faults, in the syntax of `Fault.parse`: `latency=2`,
            `status=500,times=3,path=get-orders`.

    Raises:
        ValueError: a value is invalid; the message names the option.
    """

    orders: int = 137
    seed: int = 7
    token_lifetime_seconds: int = 7200
    access_key_id: str = _DEFAULT_KEY_ID
    access_key_secret: str = _DEFAULT_KEY_TEXT
    pool_id: str = _DEFAULT_POOL_ID
    max_calls_per_second: int = 300
    unknown_order: UnknownOrder = "null"
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.orders <= MAX_ORDERS:
            raise ValueError(f"orders must be 0 to {MAX_ORDERS}, not {self.orders}")
        if self.token_lifetime_seconds < 1:
            raise ValueError("token_lifetime_seconds must be at least 1")
        if self.max_calls_per_second < 0:
            raise ValueError("max_calls_per_second must be 0 (no limit) or more")
        if self.unknown_order not in get_args(UnknownOrder):
            raise ValueError(f"unknown_order must be one of {', '.join(get_args(UnknownOrder))}")
        for name in ("access_key_id", "access_key_secret", "pool_id"):
            if not _IDENTIFIER.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} must be 1 to 64 letters, digits, '_' or '-'")
        self.parse_faults()

    def parse_faults(self) -> tuple[Fault, ...]:
        return tuple(Fault.parse(text) for text in self.faults)
