"""Tell the operator which question was not answered, and why: our own words, never a value."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from app.upstream.errors import UpstreamError, UpstreamNotFound, UpstreamUnavailable

_logger = logging.getLogger("orders_bff.upstream")


@contextmanager
def log_failed_call(path: str) -> Iterator[None]:
    """A line if what is done within ends without an answer from `path`, however often it is tried.

    That there is no such order is an answer. What was not even asked has no line: what keeps us
    from asking has one.
    """
    try:
        yield
    except (UpstreamNotFound, UpstreamUnavailable):
        raise
    except UpstreamError as failure:
        facts = {
            "question": path.rpartition("/")[2],
            "kind": type(failure).__name__,
            "reason": str(failure),
            "status_code": failure.status_code,
            "api_code": failure.api_code,
            "upstream_request_id": failure.request_id,
        }
        known = {name: fact for name, fact in facts.items() if fact is not None}
        _logger.warning("unanswered", extra={"fields": known})
        raise
