"""Generators for what the document cannot express. Schemathesis loads this file by itself."""

import os
from typing import Any
from zoneinfo import available_timezones

import schemathesis
from hypothesis import strategies as st

# Two files that are no zones, which some systems have.
time_zones = available_timezones() - {"Factory", "localtime"}
schemathesis.openapi.format("time-zone", st.sampled_from(sorted(time_zones)))

ORDER_NUMBERS = os.environ["ORDER_NUMBERS"].split(",")


@schemathesis.hook
def before_generate_path_parameters(_context: Any, strategy: Any) -> Any:
    """Mix existing order numbers with generated ones."""
    known = st.fixed_dictionaries({"order_no": st.sampled_from(ORDER_NUMBERS)})
    return st.one_of(strategy, known)
