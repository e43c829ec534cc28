"""Validation of the options."""

import pytest

from app.sandbox.options import Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": -1}, "orders"),
        ({"orders": 100_001}, "orders"),
        ({"token_lifetime_seconds": 0}, "token_lifetime_seconds"),
        ({"max_calls_per_second": -1}, "max_calls_per_second"),
        ({"unknown_order": "500"}, "unknown_order"),
        ({"access_key_id": "a:b"}, "access_key_id"),
        ({"access_key_secret": ""}, "access_key_secret"),
        ({"pool_id": "池"}, "pool_id"),
    ],
)
def test_an_invalid_option_is_rejected_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**options)  # type: ignore[arg-type]  # invalid on purpose


@pytest.mark.parametrize("orders", [0, 100_000])
def test_the_bounds_of_the_number_of_orders_are_inclusive(orders: int) -> None:
    assert Options(orders=orders).orders == orders


def test_the_pool_id_differs_from_the_access_key_id() -> None:
    assert Options().pool_id != Options().access_key_id
