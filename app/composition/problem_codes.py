"""Which problem each error becomes: the one table for the errors of all packages."""

from app.cache.grace_cache import NotInCache, WaitTimeout
from app.edge.caller_limits import RateLimited
from app.edge.exception_handlers import problem_code
from app.orders.changes import CursorExpired
from app.orders.compute import ComputeQueueFull
from app.orders.export_file import TemporaryFileError, TooManyExports, WorkbookError
from app.orders.purge import PurgedRecently
from app.orders.readiness import Starting
from app.orders.snapshot_cache import ListLoading
from app.orders.snapshot_loader import ListTooLarge
from app.single_flight import TooManyWaiters
from app.upstream import errors as upstream

PROBLEM_CODES: dict[type[Exception], str] = {
    Starting: "starting",
    PurgedRecently: "rate_limited",
    RateLimited: "rate_limited",
    ListLoading: "list_loading",
    ListTooLarge: "list_too_large",
    CursorExpired: "cursor_expired",
    NotInCache: "not_in_cache",
    TooManyWaiters: "overloaded",
    ComputeQueueFull: "overloaded",
    TooManyExports: "overloaded",
    TemporaryFileError: "overloaded",
    WorkbookError: "internal_error",
    WaitTimeout: "upstream_timeout",
    upstream.StaleConnection: "upstream_unreachable",
    upstream.OrderNotFound: "order_not_found",
    upstream.DeadlineExceeded: "upstream_timeout",
    upstream.PaymentNotFound: "payment_not_found",
    upstream.UpstreamCredentialRejected: "upstream_credential_rejected",
    upstream.UpstreamFailed: "upstream_failed",
    upstream.UpstreamMalformed: "upstream_malformed",
    upstream.UpstreamPlanRequired: "upstream_plan_required",
    upstream.UpstreamRejected: "upstream_rejected",
    upstream.UpstreamThrottled: "upstream_throttled",
    upstream.UpstreamTimeout: "upstream_timeout",
    upstream.UpstreamUnavailable: "upstream_unavailable",
    upstream.UpstreamUnreachable: "upstream_unreachable",
}
"""The problem code of every error that a route can raise."""


def problem_code_of(error: BaseException) -> str:
    """Return the problem code of an error."""
    return problem_code(error, PROBLEM_CODES)
