"""What can go wrong on the other side, by what it means for a caller. Knows no status of ours.

UpstreamError
├── UpstreamCredentialRejected   our credential is not accepted
├── UpstreamPlanRequired         the pool's plan does not include this API
├── UpstreamRejected             our question was wrong
├── UpstreamNotFound
│   ├── OrderNotFound            the upstream knows no such order
│   └── PaymentNotFound          the upstream knows no payment of that order
├── UpstreamThrottled            too many calls
├── UpstreamFailed               the upstream failed, and says so
├── UpstreamUnreachable          no connection, or one that broke
│   └── DiedIdle                 a kept connection that had ended before we used it again
├── UpstreamTimeout              no answer in time
│   └── OutOfTime                our own time was over: it tells nothing of the upstream
├── UpstreamMalformed            an answer that cannot be read
└── UpstreamUnavailable          not asked: it is left in peace, or too many wait
"""

from copy import copy
from typing import Self


class UpstreamError(Exception):
    """Something went wrong on the other side.

    `str(error)` is our own words and may be shown to anyone. `message` is the upstream's
    text, which can carry raw database errors: only `doctor` may show it.

    Attributes:
        status_code: the envelope's `statusCode`, where there was an envelope.
        api_code: the envelope's `apiCode`, where there was one.
        request_id: the upstream request id, where it is well formed.
        retry_after: seconds after which to ask again, where they are known: what the upstream
            asked for, or a pause of ours.
        message: the upstream's own text.
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

    def aged(self, elapsed: float, left: float) -> Self:
        """The same error, told `elapsed` seconds later; we ask again in `left` seconds.

        A copy: one error raised to many would gather the tracebacks of all.
        """
        later = copy(self)
        later.retry_after = max((self.retry_after or 0.0) - elapsed, left)
        return later.with_traceback(None)


class UpstreamCredentialRejected(UpstreamError):
    """Our credential is not accepted: statusCode 401 or 403, apiCode 2020, 13xx, 2224 or 2333."""


class UpstreamPlanRequired(UpstreamError):
    """The pool's plan does not include this API: statusCode 402."""


class UpstreamRejected(UpstreamError):
    """Our question was wrong: statusCode 400, 404 to the list, 409, 413, 422 or 499."""


class UpstreamNotFound(UpstreamError):
    """What was asked for does not exist there: a fact, not a fault."""


class OrderNotFound(UpstreamNotFound):
    """No such order: statusCode 404, 200 with nothing in it, or 422 with apiCode 4004 or 5001."""


class PaymentNotFound(UpstreamNotFound):
    """No payment of that order, told in the same ways."""


class UpstreamThrottled(UpstreamError):
    """Too many calls: 429, in the envelope or as HTTP status."""


class UpstreamFailed(UpstreamError):
    """The upstream failed, and says so: statusCode 5xx or 6xx, or HTTP 5xx without an envelope."""


class UpstreamUnreachable(UpstreamError):
    """No connection (name, refusal, TLS), or one that closed before or within an answer."""


class StaleConnection(UpstreamUnreachable):
    """A kept connection that was closed before a byte of the answer: nothing was lost with it."""


class UpstreamTimeout(UpstreamError):
    """No answer in time: to connect, between two pieces, or at all."""


class DeadlineExceeded(UpstreamTimeout):
    """Our own time was over, in the queue or before the upstream had a fair chance to answer."""


class UpstreamMalformed(UpstreamError):
    """Not JSON, not the envelope, over the size bound, or a redirect."""


class UpstreamUnavailable(UpstreamError):
    """Not asked: the upstream is left in peace after failures, or too many calls wait."""
