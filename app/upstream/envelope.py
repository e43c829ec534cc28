"""The envelope around every response: its content, or the error that it means.

Its `statusCode` decides, and only 200 is success. The HTTP status is 200 for failures too, and
counts only if there is no envelope.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

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
from app.upstream.wire import JsonNumber, WireObject

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
_MAX_RETRY_AFTER_SECONDS = 3600.0

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_INTEGER = re.compile(r"[0-9]{1,9}")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One complete HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A successful response.

    Attributes:
        raw: the whole envelope.
        data: its `data`; None if absent.
        request_id: the upstream's request id, if it is well-formed.
        sandbox: whether a sandbox sent it.
    """

    raw: WireObject
    data: Any
    request_id: str | None
    sandbox: bool


def parse_envelope(
    response: HttpResponse, now: datetime, *, not_found: type[UpstreamNotFound] | None = None
) -> Envelope:
    """Return the envelope of a successful response.

    Args:
        response: the response.
        now: the wall-clock time, for a Retry-After that is a date.
        not_found: the error to raise if the requested object does not exist; None for a
            request that cannot end so.

    Raises:
        UpstreamError: the subclass that the response means.
    """
    if 300 <= response.status < 400:
        raise UpstreamMalformed("the upstream redirects, which is not followed")
    raw = _parse_json(response.body)
    status = _integer(raw.get("statusCode")) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or status is None:
        _raise_for_http_status(response, now)
    request_id = _request_id(raw, response.headers)
    if status == 200:
        sandbox = response.headers.get("x-sandbox") == "true"
        return Envelope(raw, raw.get("data"), request_id, sandbox)
    api_code = _integer(raw.get("apiCode"))
    message = raw.get("message")
    error_class, reason = _classify(status, api_code, not_found)
    raise error_class(
        reason,
        status_code=status,
        api_code=api_code,
        request_id=request_id,
        retry_after=_retry_after(response.headers, now),
        message=str(message) if isinstance(message, str) else "",
    )


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


def _raise_for_http_status(response: HttpResponse, now: datetime) -> NoReturn:
    retry_after = _retry_after(response.headers, now)
    request_id = _request_id({}, response.headers)
    if response.status == 429:
        raise UpstreamThrottled(
            "the upstream receives too many calls", retry_after=retry_after, request_id=request_id
        )
    if response.status >= 500:
        raise UpstreamFailed(
            f"the upstream responded with HTTP {response.status}",
            retry_after=retry_after,
            request_id=request_id,
        )
    if response.status in (401, 403):
        raise UpstreamCredentialRejected(
            f"the upstream responded with HTTP {response.status}",
            status_code=response.status,
            request_id=request_id,
        )
    raise UpstreamMalformed(
        f"the upstream responded with HTTP {response.status} and no envelope",
        request_id=request_id,
    )


def _parse_json(body: bytes) -> Any:
    """Return the JSON value, or None. Numbers are `JsonNumber`; all text can be encoded again."""
    try:
        text = body.decode("utf-8-sig")
        return json.loads(
            text,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_reject_constant,
            object_hook=_replace_surrogates,
        )
    except (ValueError, RecursionError):
        return None


def _reject_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _replace_surrogates(members: dict[str, Any]) -> dict[str, Any]:
    """Replace lone surrogates by U+FFFD: they are valid JSON, but cannot be encoded as UTF-8."""
    return {_replace_in(key): _replace_in(value) for key, value in members.items()}


def _replace_in(value: Any) -> Any:
    if type(value) is str:
        return _SURROGATE.sub("\ufffd", value)
    return [_replace_in(item) for item in value] if type(value) is list else value


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def _request_id(raw: WireObject, headers: Mapping[str, str]) -> str | None:
    """Return the first well-formed request id of body and headers."""
    candidates = (
        raw.get("requestId"),
        headers.get("x-request-id"),
        headers.get("x-authing-request-id"),
    )
    for candidate in candidates:
        if isinstance(candidate, str) and _REQUEST_ID.fullmatch(candidate):
            return str(candidate)
    return None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return Retry-After in seconds, or None if it is absent or invalid (RFC 9110 §10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if _INTEGER.fullmatch(value):
        return min(float(value), _MAX_RETRY_AFTER_SECONDS)
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_SECONDS)
