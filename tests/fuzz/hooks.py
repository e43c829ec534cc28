"""What the document cannot say to a generator. Loaded by Schemathesis, in its own place."""

import os
from typing import Any
from zoneinfo import available_timezones

import schemathesis
from hypothesis import strategies as st

schemathesis.openapi.format("time-zone", st.sampled_from(sorted(available_timezones())))

ORDER_NUMBERS = os.environ["ORDER_NUMBERS"].split(",")


@schemathesis.hook
def before_generate_path_parameters(_context: Any, strategy: Any) -> Any:
    """Known numbers beside those that Schemathesis makes up."""
    known = st.fixed_dictionaries({"order_no": st.sampled_from(ORDER_NUMBERS)})
    return st.one_of(strategy, known)
