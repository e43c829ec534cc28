"""The envelope around every response: its content, or the error that it means.

Its `statusCode` decides, and only 200 is success. The HTTP status is 200 for failures too, and
counts only if there is no envelope.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from app.upstream.decoding import Decoded, decode
from app.upstream.errors import (
    UpstreamCredentialRejected,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformed,
    UpstreamNotFound,
    UpstreamPlanRequired,
    UpstreamRejected,
    UpstreamThrottled,
)
from app.upstream.numbers import MAX_NUMBER_CHARS, parse_decimal, parse_integer
from app.upstream.wire import WireObject

SUCCESS = 200
"""The only `statusCode` that is one."""

NOT_SIGNED_IN = 2020
"""apiCode of a token that is invalid or expired."""

_CREDENTIAL_API_CODES = frozenset({NOT_SIGNED_IN, 2224, 2333, *range(1300, 1400)})
_NOT_FOUND_API_CODES = frozenset({4004, 5001})
_CREDENTIAL_REJECTED = (UpstreamCredentialRejected, "the upstream rejects our credential")
_ERRORS_BY_STATUS: dict[int, tuple[type[UpstreamError], str]] = {
    401: _CREDENTIAL_REJECTED,
    402: (UpstreamPlanRequired, "the pool's plan does not include this API"),
    403: _CREDENTIAL_REJECTED,
    429: (UpstreamThrottled, "the upstream receives too many calls"),
} | dict.fromkeys(
    (400, 404, 409, 413, 422, 499),
    (UpstreamRejected, "the upstream rejects our request"),
)
MAX_RETRY_AFTER_SECONDS = 60.0
"""A longer Retry-After is cut: then one call finds out whether it is still true."""

MAX_MESSAGE_CHARS = 300
"""Characters of an error's message that are kept, for `doctor`."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One complete HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A successful response: the whole envelope, and what is read from it and the headers.

    `is_cut`, `data_digest` and `is_unchanged` are those of `Decoded`.
    """

    raw: WireObject
    data: Any
    request_id: str | None
    sandbox: bool
    is_cut: bool = False
    data_digest: bytes | None = None
    is_unchanged: bool = False


def parse_envelope(
    response: HttpResponse,
    now: datetime,
    *,
    not_found: type[UpstreamNotFound] | None = None,
    known_digest: bytes | None = None,
) -> Envelope:
    """Return the envelope of a successful response.

    Args:
        response: complete, and of any status.
        now: the wall-clock time, for a Retry-After that is a date.
        not_found: the error to raise if the requested object does not exist; None for a list.
        known_digest: the digest of data that the caller has; that data is not decoded again.

    Raises:
        UpstreamError: the subclass that the response means.
    """
    if 300 <= response.status < 400:
        raise UpstreamMalformed("the upstream redirects, which is not followed")
    decoded = _decoded(response.body, known_digest)
    raw = decoded.value
    status = parse_integer(raw.get("statusCode")) if isinstance(raw, dict) else None
    if status is None:
        raise _http_error(response, now)
    request_id = _request_id(raw, response.headers)
    if status == SUCCESS:
        sandbox = response.headers.get("x-sandbox") == "true"
        return Envelope(raw, raw.get("data"), request_id, sandbox, *decoded[1:])
    api_code = parse_integer(raw.get("apiCode"))
    message = raw.get("message")
    error_class, reason = _classify(status, api_code, not_found)
    raise error_class(
        reason,
        status_code=status,
        api_code=api_code,
        request_id=request_id,
        retry_after=_retry_after(response.headers, now),
        message=message[:MAX_MESSAGE_CHARS] if isinstance(message, str) else "",
    )


def _decoded(body: bytes, known_digest: bytes | None) -> Decoded:
    try:
        return decode(body, known_digest)
    except ValueError:
        return Decoded(None, is_cut=False)


def _classify(
    status: int, api_code: int | None, not_found: type[UpstreamNotFound] | None
) -> tuple[type[UpstreamError], str]:
    # First, because a pool that does not exist says nothing about the requested order.
    if api_code in _CREDENTIAL_API_CODES:
        return _CREDENTIAL_REJECTED
    if not_found and (status == 404 or (status == 422 and api_code in _NOT_FOUND_API_CODES)):
        return not_found, "the upstream does not have it"
    if status in _ERRORS_BY_STATUS:
        return _ERRORS_BY_STATUS[status]
    if 500 <= status < 700:
        return UpstreamFailed, "the upstream failed"
    return UpstreamMalformed, "the upstream sent an unknown statusCode"


def _http_error(response: HttpResponse, now: datetime) -> UpstreamError:
    """Return the error of a response without an envelope."""
    reason = f"the upstream responded with HTTP {response.status}"
    request_id = _request_id({}, response.headers)
    if response.status == 429 or response.status >= 500:
        error_class = UpstreamThrottled if response.status == 429 else UpstreamFailed
        retry_after = _retry_after(response.headers, now)
        return error_class(reason, request_id=request_id, retry_after=retry_after)
    if response.status in (401, 403):
        return UpstreamCredentialRejected(
            reason, status_code=response.status, request_id=request_id
        )
    return UpstreamMalformed(f"{reason} and no envelope", request_id=request_id)


def _request_id(raw: WireObject, headers: Mapping[str, str]) -> str | None:
    """Return the first well-formed request id of body and headers."""
    sent = (raw.get("requestId"), headers.get("x-request-id"), headers.get("x-authing-request-id"))
    for value in sent:
        if isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return str(value)
    return None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return Retry-After in seconds, or None if it is absent or invalid (RFC 9110 §10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if len(value) > MAX_NUMBER_CHARS:
        return None
    number = parse_decimal(value)
    if number and not number.startswith("-"):
        seconds = float(number)
    else:
        try:
            date = parsedate_to_datetime(value)
            seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
