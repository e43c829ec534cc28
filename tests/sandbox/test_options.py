"""What a sandbox may be asked to be."""

import pytest

from app.sandbox import Options


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"orders": -1}, "orders"),
        ({"orders": 100_001}, "orders"),
        ({"token_lifetime_seconds": 0}, "token_lifetime_seconds"),
        ({"max_calls_per_second": -1}, "max_calls_per_second"),
        ({"unknown_order": "500"}, "unknown_order"),
        ({"access_key_id": "a:b"}, "access_key_id"),
        ({"access_key_secret": ""}, "access_key_secret"),
        ({"pool_id": "池"}, "pool_id"),
        ({"faults": ("hang", "earthquake")}, "earthquake"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(
    given: dict[str, object], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Options(**given)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("orders", [0, 100_000])
def test_the_number_of_orders_has_inclusive_bounds(orders: int) -> None:
    assert Options(orders=orders).orders == orders


def test_the_pool_is_not_the_access_key() -> None:
    assert Options().pool_id != Options().access_key_id
