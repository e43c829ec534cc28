"""The options of a sandbox: plain values that a command line can give."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from app.sandbox.faults import Fault

UnknownOrder = Literal["null", "empty", "404", "422"]
"""How the vendor reports an unknown order: the observed and the suspected ways."""

MAX_ORDERS = 100_000

ISSUER_PATH = "/issuer"
CLIENT_ID = "orders-sandbox"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105 - public
ROLE = "finance"
"""What the claim `roles` has for the person who may read orders."""

_Identifier = Annotated[str, Field(pattern="^[0-9A-Za-z_-]{1,64}$")]


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(hide_input_in_errors=True))
class Options:
    """The options of one sandbox.

    Attributes:
        seed: selects the orders; the same seed and number always give the same orders.
        access_key_id: differs from the pool id, as a collaborator's key does.
        max_calls_per_second: calls above this rate get HTTP 429, as on the vendor's free plan;
            0 means no limit.
        unknown_order: the reply for an order or a payment that does not exist.
        faults: the initial faults.

    Raises:
        ValueError: a value is invalid; the message names the option.
    """

    orders: Annotated[int, Field(ge=0, le=MAX_ORDERS)] = 137
    seed: int = 7
    token_lifetime_seconds: PositiveInt = 7200
    access_key_id: _Identifier = "5a4db0c000000000000a0001"
    access_key_secret: _Identifier = "5a4db0c0000000000000000000a05ec7"  # noqa: S105 - public
    pool_id: _Identifier = "5a4db0c000000000000b0001"
    max_calls_per_second: NonNegativeInt = 300
    unknown_order: UnknownOrder = "null"
    faults: tuple[Fault, ...] = ()
