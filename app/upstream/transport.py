"""One HTTP call upstream, within its bounds. Built from nothing: no caller's header goes along."""

import ssl
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.clock import Clock
from app.http import (
    AnswerAfterQuestion,
    AsyncClient,
    HTTPError,
    PoolTimeout,
    ReadError,
    RemoteProtocolError,
    StreamError,
    Timeout,
    TimeoutException,
)
from app.single_flight import Awaited, always_awaited
from app.upstream.admission import Admission
from app.upstream.body import read_body
from app.upstream.client_pool import ClientPool
from app.upstream.envelope import Envelope, HttpResponse, parse_envelope
from app.upstream.errors import (
    DeadlineExceeded,
    StaleConnection,
    UpstreamError,
    UpstreamNotFound,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.rate import CallStart
from app.upstream.retry import RetryPolicy, RetryState

FAIR_TIMEOUT_RATIO = 0.5
"""Of READ_TIMEOUT: an upstream that was given less by our deadline is not called slow."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What one call sends. Holds a credential: it is never shown."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, str] | None = field(default=None, repr=False)


class Transport:
    """What goes out, and what comes back.

    Args:
        lines: the way to the upstream's host.
        guard: gives each call its place, or refuses it.
        retries: whether to try again.
        clock: the only source of time.
        connect_timeout: seconds to connect.
        read_timeout: seconds between two pieces of an answer.
    """

    def __init__(
        self,
        lines: ClientPool,
        guard: Admission,
        retries: RetryPolicy,
        clock: Clock,
        *,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        self._lines = lines
        self._guard = guard
        self._retries = retries
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout

    def new_retry_state(self) -> RetryState:
        """The tries of one question; the first goes out now."""
        return RetryState(self._retries)

    async def send(
        self,
        question: UpstreamRequest,
        *,
        unknown: type[UpstreamNotFound] | None = None,
        deadline: float,
        awaited: Awaited = always_awaited,
    ) -> Envelope:
        """Ask once; the answer is read to its end before the moment `deadline`.

        Args:
            question: what is sent.
            unknown: the error that tells that what was asked for does not exist.
            deadline: a moment of the monotonic clock.
            awaited: whether anybody waits for the answer.

        Raises:
            UpstreamError: the one of its subclasses that says why not.
        """
        async with self._guard.slot(deadline, awaited) as start:
            reply = await self._send(question, start, deadline)
            return parse_envelope(reply, self._clock.now(), unknown=unknown)

    async def get_raw(self, path: str, *, deadline: float) -> HttpResponse:
        """Whatever comes back from `path`, envelope or not; for who examines the upstream."""
        async with self._guard.slot(deadline) as start:
            return await self._send(UpstreamRequest("GET", path), start, deadline)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._lines.aclose()

    async def _send(
        self, question: UpstreamRequest, start: CallStart, deadline: float
    ) -> HttpResponse:
        def send(http: AsyncClient) -> Coroutine[Any, Any, HttpResponse]:
            return self._send_by(http, question, start, deadline)

        return await self._lines.through(send)

    async def _send_by(
        self, http: AsyncClient, question: UpstreamRequest, start: CallStart, deadline: float
    ) -> HttpResponse:
        start.at = self._clock.monotonic()
        left = deadline - start.at
        if left <= 0:
            raise DeadlineExceeded("no time was left for the call")
        # Its own timeouts end the call, never a cancelling: that leaks its place in the
        # pool (encode/httpcore#1093).
        patience = min(self._read_timeout, left)
        timeout = Timeout(
            connect=min(self._connect_timeout, left), read=patience, write=patience, pool=left
        )
        connection = _Connection(start, self._clock)
        try:
            async with http.stream(
                question.method,
                question.path,
                params=question.params,
                headers=question.headers,
                json=question.body,
                timeout=timeout,
                extensions={"trace": connection},
            ) as response:
                connection.answers = True
                coding = response.headers.get("content-encoding", "").strip().lower()
                content = await read_body(
                    response.aiter_raw(), coding, self._clock, deadline=deadline
                )
                return HttpResponse(response.status_code, response.headers, content)
        except PoolTimeout:
            raise
        # The cause is dropped: a library's error may quote the request, credential and all.
        except (TimeoutException, UpstreamTimeout):
            raise self._too_late(patience) from None
        except (HTTPError, StreamError, ssl.SSLError) as error:
            raise connection.broke(error) from None

    def _too_late(self, patience: float) -> UpstreamTimeout:
        if patience < self._read_timeout * FAIR_TIMEOUT_RATIO:
            return DeadlineExceeded("too little time was left for the call")
        return slow_upstream_error()


def slow_upstream_error() -> UpstreamTimeout:
    """The upstream was given a fair time, and did not answer."""
    return UpstreamTimeout("the upstream did not answer in time")


class _Connection(AnswerAfterQuestion):
    """What is known of the connection that one call uses."""

    def __init__(self, start: CallStart, clock: Clock) -> None:
        super().__init__()
        self._start = start
        self._clock = clock
        self.answers = False
        self._kept: bool | None = None

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Told by the library of each step: the first of a new connection is to connect."""
        if self._kept is None:
            self._kept = not event.startswith("connection.")
        if event.endswith("send_request_headers.started"):
            self._start.at = self._clock.monotonic()
        await super().__call__(event, info)

    def broke(self, error: Exception) -> UpstreamError:
        """What it means that the call ended with `error`."""
        if self._kept and not self.answers and isinstance(error, (RemoteProtocolError, ReadError)):
            return StaleConnection("a kept connection had ended")
        return UpstreamUnreachable(
            f"the connection to the upstream failed ({type(error).__name__})"
        )
