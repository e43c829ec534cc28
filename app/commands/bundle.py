"""Fetches a support bundle from a running proxy, and writes it to a file.

The API key comes from an environment variable or from a prompt, never from the command line, which
other users of the machine can read.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from app.certificate_errors import certificate_error_of, describe_certificate_error
from app.clock import Clock
from app.http import (
    AsyncBaseTransport,
    Call,
    Client,
    HTTPError,
    InvalidURL,
    Timeout,
    open_client,
)
from app.operations.support import BUNDLE_PATH
from app.upstream.errors import UpstreamError
from app.upstream.transport import read_body

KEY_VARIABLE = "OBFF_API_KEY"
TIMEOUT_SECONDS = 10.0


class BundleError(Exception):
    """The bundle cannot be fetched or written; the text says why and what to do."""


async def fetch_bundle(
    url: str, api_key: str, clock: Clock, transport: AsyncBaseTransport | None = None
) -> str:
    """Return the bundle of the proxy at `url` as indented JSON.

    Args:
        url: its origin, with a path prefix if it has one.
        api_key: a key with the scope `metrics:read`; none is sent if it is empty.
        clock: bounds the request.
        transport: the network; the real one by default.

    Raises:
        BundleError: there is no such proxy, or it refuses.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BundleError(f"{url} is not an http or https URL")
    headers = {"X-API-Key": api_key} if api_key else {}
    client = open_client(url, max_connections=1, transport=transport)
    try:
        status, body = await _get(client, headers, clock)
    except (HTTPError, InvalidURL, OSError, UpstreamError) as error:
        refused = certificate_error_of(error)
        reason = describe_certificate_error(refused) if refused else type(error).__name__
        raise BundleError(f"no answer from {url} ({reason}): is the proxy running?") from None
    finally:
        await client.aclose()
    return _checked(url, status, body)


def write_bundle(text: str, output: Path) -> None:
    """Write the bundle to a new file that only this user can read.

    Raises:
        BundleError: the file exists, or cannot be written.
    """
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123
            file.write(text)
    except OSError as error:
        raise BundleError(f"cannot write {output}: {error.strerror}") from None


async def _get(client: Client, headers: Mapping[str, str], clock: Clock) -> tuple[int, bytes]:
    deadline = clock.monotonic() + TIMEOUT_SECONDS
    call = Call(lambda: None, lambda: deadline - clock.monotonic())
    stream = client.stream(
        "GET",
        BUNDLE_PATH,
        params={},
        headers=headers,
        timeout=Timeout(TIMEOUT_SECONDS),
        call=call,
    )
    async with stream as response:
        body = await read_body(
            response.aiter_raw(),
            response.headers.get("content-encoding", ""),
            clock,
            deadline=deadline,
            on_chunk=call.on_body,
        )
        return response.status_code, body


def _checked(url: str, status: int, body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BundleError(f"{url} is not an orders-bff: its answer is not JSON (HTTP {status})")
    if status in (401, 403):
        raise BundleError(
            f"the proxy refuses: set {KEY_VARIABLE} to an API key with the scope metrics:read"
            " (`orders-bff keys new NAME --scope metrics:read`)"
        )
    if status != 200 or "data" not in document:
        raise BundleError(f"{url} has no bundle (HTTP {status}): is it an older version?")
    return json.dumps(document["data"], indent=2, ensure_ascii=False) + "\n"
