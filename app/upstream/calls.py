"""One HTTP call upstream, within its bounds. Built from nothing: no caller's header goes along."""

import ssl
from collections.abc import Mapping

from app.clock import Clock
from app.upstream.body import read_body
from app.upstream.envelope import Reply
from app.upstream.errors import UpstreamTimeout, UpstreamUnreachable
from app.upstream.governor import Governor
from app.upstream.http import (
    AnswerAfterQuestion,
    AsyncClient,
    HTTPError,
    StreamError,
    Timeout,
    TimeoutException,
)


class Calls:
    """What goes out, and what comes back.

    Args:
        http: the client of the upstream's host.
        governor: gives each call its place.
        clock: the only source of time.
        connect_timeout: seconds to connect.
        read_timeout: seconds between two pieces of an answer.
    """

    def __init__(
        self,
        http: AsyncClient,
        governor: Governor,
        clock: Clock,
        *,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        self._http = http
        self._governor = governor
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout

    async def get(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str], *, deadline: float
    ) -> Reply:
        """Ask; the answer is read to its end before the moment `deadline`.

        Raises:
            UpstreamError: timeout, unreachable or malformed.
        """
        return await self._send("GET", path, params, headers, None, deadline)

    async def post(self, path: str, body: Mapping[str, str], *, deadline: float) -> Reply:
        """Send a JSON object; otherwise as `get`."""
        return await self._send("POST", path, {}, {}, body, deadline)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(  # noqa: PLR0917  the parts of a request, in the order they are sent
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        body: Mapping[str, str] | None,
        deadline: float,
    ) -> Reply:
        async with self._governor.place(deadline):
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise UpstreamTimeout("no time was left for the call")
            # Its own timeouts end the call, never a cancelling: that leaks its place in the
            # pool (encode/httpcore#1093).
            patience = min(self._read_timeout, left)
            timeout = Timeout(
                connect=min(self._connect_timeout, left), read=patience, write=patience, pool=left
            )
            try:
                async with self._http.stream(
                    method,
                    path,
                    params=params,
                    headers=headers,
                    json=body,
                    timeout=timeout,
                    extensions={"trace": AnswerAfterQuestion()},
                ) as response:
                    coding = response.headers.get("content-encoding", "").strip().lower()
                    content = await read_body(
                        response.aiter_raw(), coding, self._clock, deadline=deadline
                    )
                    return Reply(response.status_code, response.headers, content)
            # The cause is dropped: a library's error may quote the request, credential and all.
            except TimeoutException:
                raise UpstreamTimeout("the upstream did not answer in time") from None
            except (HTTPError, StreamError, ssl.SSLError) as error:
                raise UpstreamUnreachable(
                    f"the connection to the upstream failed ({type(error).__name__})"
                ) from None
