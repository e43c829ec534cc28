"""Generators for what the document cannot express.

Schemathesis loads this file by itself, where the packages of this repository are not installed.
"""

import os
from typing import Any

import schemathesis
from hypothesis import strategies as st

schemathesis.openapi.format("time-zone", st.sampled_from(os.environ["TIME_ZONES"].split(",")))

ORDER_NUMBERS = os.environ["ORDER_NUMBERS"].split(",")


@schemathesis.hook
def before_generate_path_parameters(_context: Any, strategy: Any) -> Any:
    """Mix existing order numbers with generated ones."""
    known = st.fixed_dictionaries({"order_no": st.sampled_from(ORDER_NUMBERS)})
    return st.one_of(strategy, known)
