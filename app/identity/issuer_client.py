"""HTTP calls to an issuer: bounded in time and bytes, over verified TLS, without redirects."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple

from app.certificate_errors import certificate_error_of, describe_certificate_error
from app.clock import Clock
from app.http import (
    AsyncBaseTransport,
    Call,
    Client,
    HTTPError,
    InvalidURL,
    Response,
    StreamError,
    Timeout,
    TimeoutException,
    open_client,
)

MAX_BODY_BYTES = 256 * 1024
"""Bytes of a response. A set of a hundred keys takes less."""

CONNECT_TIMEOUT = 2.0
CALL_TIMEOUT = 5.0
"""Default of the seconds that a call may take in all."""

MAX_CONNECTIONS = 4
CHUNKS_PER_TURN = 64

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class IssuerError(Exception):
    """The issuer could not be called, or its answer is of no use. The text says why."""


class IssuerResponse(NamedTuple):
    """A response of the issuer, of any status."""

    status: int
    body: bytes


class IssuerClient:
    """Calls the endpoints of an issuer, which may be on several hosts.

    Args:
        clock: the source of time.
        transport: the network; the real one by default.
        ca_file: a private CA in addition to the system's.
        proxy: URL of an egress proxy.
        call_timeout: seconds that a call may take in all.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        transport: AsyncBaseTransport | None = None,
        ca_file: Path | None = None,
        proxy: str | None = None,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        self._clock = clock
        self._call_timeout = call_timeout
        self._timeout = Timeout(call_timeout, connect=min(CONNECT_TIMEOUT, call_timeout))
        self._client: Client = open_client(
            "", max_connections=MAX_CONNECTIONS, ca_file=ca_file, proxy=proxy, transport=transport
        )

    async def send(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> IssuerResponse:
        """Return the response to one request; `form` is the body of a POST.

        It takes at most `call_timeout` seconds, and must not be cancelled: httpx may lose a
        connection of its pool then.

        Raises:
            IssuerError: there is no response in time, or none that can be read.
        """
        deadline = self._clock.monotonic() + self._call_timeout
        call = Call(lambda: None, lambda: deadline - self._clock.monotonic())
        try:
            stream = self._client.stream(
                method,
                url,
                params={},
                form=form,
                headers=_HEADERS | dict(headers or {}),
                timeout=self._timeout,
                call=call,
            )
            return await self._receive(stream, call, deadline)
        # The causes are dropped: the library's errors may quote the request and its credential.
        except TimeoutException:
            raise IssuerError("it did not respond in time") from None
        except InvalidURL:
            raise IssuerError("its URL is not valid") from None
        except (HTTPError, StreamError, ssl.SSLError) as error:
            refused = certificate_error_of(error)
            if refused:
                reason = describe_certificate_error(refused)
                raise IssuerError(f"its certificate is not trusted: {reason}") from None
            raise IssuerError(f"the connection failed ({type(error).__name__})") from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _receive(
        self, stream: AbstractAsyncContextManager[Response], call: Call, deadline: float
    ) -> IssuerResponse:
        async with stream as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise IssuerError("its response has a content coding, which was not accepted")
            body, chunks = bytearray(), 0
            async for chunk in response.aiter_raw():
                call.on_body()
                body += chunk
                chunks += 1
                if len(body) > MAX_BODY_BYTES:
                    raise IssuerError(f"its response is larger than {MAX_BODY_BYTES} bytes")
                if self._clock.monotonic() >= deadline:
                    raise IssuerError("its response was not complete in time")
                if chunks % CHUNKS_PER_TURN == 0:
                    await asyncio.sleep(0)
            return IssuerResponse(response.status_code, bytes(body))
