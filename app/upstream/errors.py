"""Errors of requests to the upstream: one class for each cause that callers handle differently.

UpstreamError
├── UpstreamCredentialRejected   the upstream rejects the proxy's credential
├── UpstreamPlanRequired         the pool's plan does not include this API
├── UpstreamRejected             the request was wrong
├── UpstreamNotFound
│   ├── OrderNotFound            the order does not exist
│   └── PaymentNotFound          the order has no payment
├── UpstreamThrottled            too many calls
├── UpstreamFailed               the upstream reports that it failed
├── UpstreamUnreachable          no connection, or one that broke
│   └── StaleConnection          an idle connection that was closed before it was used again
├── UpstreamTimeout              no response in time
│   └── DeadlineExceeded         our own deadline passed; says nothing about the upstream
├── UpstreamMalformed            a response that cannot be read
└── UpstreamUnavailable          no call was made: the circuit is open, or the queue is full
"""

from collections.abc import Callable
from copy import copy
from typing import Self


class UpstreamError(Exception):
    """A request to the upstream failed.

    `str(error)` is our own text and may be shown to anyone. `message` is the upstream's text,
    which can contain raw database errors: only `doctor` may show it.

    Attributes:
        status_code: the envelope's `statusCode`, if there was an envelope.
        api_code: the envelope's `apiCode`, if it has one.
        request_id: the upstream's request id, if it is well-formed.
        retry_after: seconds after which to try again, if known: the upstream's Retry-After, or
            a backoff of our own.
        message: the upstream's text.
        is_outdated: returns whether the credential of the request has been replaced.
    """

    def __init__(
        self,
        reason: str,
        *,
        status_code: int | None = None,
        api_code: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        message: str = "",
    ) -> None:
        super().__init__(reason)
        self.status_code = status_code
        self.api_code = api_code
        self.request_id = request_id
        self.retry_after = retry_after
        self.message = message
        self.is_outdated: Callable[[], bool] = lambda: False

    def log_fields(self) -> dict[str, object]:
        """Return what may be logged: neither the upstream's text nor a value of a caller."""
        fields = {
            "error": type(self).__name__,
            "message": str(self),
            "status_code": self.status_code,
            "api_code": self.api_code,
            "upstream_request_id": self.request_id,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def aged(self, elapsed: float, left: float) -> Self:
        """Return a copy, raised `elapsed` seconds later, with at least `left` seconds to retry.

        A copy, because one exception raised to many callers would collect all their tracebacks.
        """
        later = copy(self)
        later.retry_after = max((self.retry_after or 0.0) - elapsed, left)
        return later.with_traceback(None)


class UpstreamCredentialRejected(UpstreamError):
    """Our credential is rejected: statusCode 401 or 403, apiCode 2020, 13xx, 2224 or 2333."""


class UpstreamPlanRequired(UpstreamError):
    """The pool's plan does not include this API: statusCode 402."""


class UpstreamRejected(UpstreamError):
    """Our request was wrong: statusCode 400, 404 for the list, 409, 413, 422 or 499."""


class UpstreamNotFound(UpstreamError):
    """The requested object does not exist: a valid answer, not a failure."""


class OrderNotFound(UpstreamNotFound):
    """No such order: statusCode 404, 200 without data, or 422 with apiCode 4004 or 5001."""


class PaymentNotFound(UpstreamNotFound):
    """The order has no payment; reported in the same ways."""


class UpstreamThrottled(UpstreamError):
    """Too many calls: 429, in the envelope or as the HTTP status."""


class UpstreamFailed(UpstreamError):
    """The upstream failed: statusCode 5xx or 6xx, or HTTP 5xx without an envelope."""


class UpstreamUnreachable(UpstreamError):
    """No connection (DNS, refused, TLS), or one closed before or during the response."""


class StaleConnection(UpstreamUnreachable):
    """A reused connection was closed before the first byte of the response."""


class UpstreamTimeout(UpstreamError):
    """No response in time: while connecting, between two reads, or in total."""


class DeadlineExceeded(UpstreamTimeout):
    """Our deadline passed, in the queue or before the upstream had a fair time to respond."""


class UpstreamMalformed(UpstreamError):
    """The response is not JSON, not the envelope, too large, or a redirect."""


class UpstreamUnavailable(UpstreamError):
    """No call was made: the circuit is open after failures, or too many calls are queued."""
