"""The upstream's statusCode wrapper: what an answer says, or the error that it is. Pure.

The body's `statusCode` decides, and only 200 is success: the HTTP status is 200 for failures too,
and counts only where there is no envelope.
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
"""apiCode: the token is not, or no longer, good."""

_CREDENTIAL_API_CODES = frozenset({NOT_SIGNED_IN, 2224, 2333, *range(1300, 1400)})
_UNKNOWN_API_CODES = frozenset({4004, 5001})
_NOT_ACCEPTED = (UpstreamCredentialRejected, "the upstream does not accept our credential")
_MEANING: dict[int, tuple[type[UpstreamError], str]] = {
    401: _NOT_ACCEPTED,
    402: (UpstreamPlanRequired, "the pool's plan does not include this API"),
    403: _NOT_ACCEPTED,
    429: (UpstreamThrottled, "the upstream gets too many calls"),
} | dict.fromkeys(
    (400, 404, 409, 413, 422, 499),
    (UpstreamRejected, "the upstream does not accept our question"),
)
_LONGEST_RETRY_AFTER = 3600.0

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_INTEGER = re.compile(r"[0-9]{1,9}")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One HTTP answer, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A success: `whole` is the envelope itself, `data` what it wraps (None where absent)."""

    raw: WireObject
    data: Any
    request_id: str | None
    sandbox: bool


def parse_envelope(
    reply: HttpResponse, now: datetime, *, unknown: type[UpstreamNotFound] | None = None
) -> Envelope:
    """What a reply says, if it is a success.

    Args:
        reply: the answer.
        now: the moment, for a Retry-After that names a date.
        unknown: the error that tells that what was asked for does not exist; None for a
            question to which that cannot be the answer.

    Raises:
        UpstreamError: the one of its subclasses that the answer means.
    """
    if 300 <= reply.status < 400:
        raise UpstreamMalformed("the upstream sends us elsewhere, where no credential goes")
    whole = _read_json(reply.body)
    status = _integer(whole.get("statusCode")) if isinstance(whole, dict) else None
    if not isinstance(whole, dict) or status is None:
        _raise_for_http(reply, now)
    request_id = _request_id(whole, reply.headers)
    if status == 200:
        sandbox = reply.headers.get("x-sandbox") == "true"
        return Envelope(whole, whole.get("data"), request_id, sandbox)
    api_code = _integer(whole.get("apiCode"))
    message = whole.get("message")
    kind, reason = _meaning(status, api_code, unknown)
    raise kind(
        reason,
        status_code=status,
        api_code=api_code,
        request_id=request_id,
        retry_after=_retry_after(reply.headers, now),
        message=str(message) if isinstance(message, str) else "",
    )


def _meaning(
    status: int, api_code: int | None, unknown: type[UpstreamNotFound] | None
) -> tuple[type[UpstreamError], str]:
    # First: a pool that is not found says nothing about the order that was asked for.
    if api_code in _CREDENTIAL_API_CODES:
        return _MEANING[401]
    if unknown and (status == 404 or (status == 422 and api_code in _UNKNOWN_API_CODES)):
        return unknown, "the upstream does not know it"
    if status in _MEANING:
        return _MEANING[status]
    if 500 <= status < 700:
        return UpstreamFailed, "the upstream failed"
    return UpstreamMalformed, "the upstream gave a statusCode that is not known"


def _raise_for_http(reply: HttpResponse, now: datetime) -> NoReturn:
    retry_after = _retry_after(reply.headers, now)
    request_id = _request_id({}, reply.headers)
    if reply.status == 429:
        raise UpstreamThrottled(
            "the upstream gets too many calls", retry_after=retry_after, request_id=request_id
        )
    if reply.status >= 500:
        raise UpstreamFailed(
            f"the upstream answered HTTP {reply.status}",
            retry_after=retry_after,
            request_id=request_id,
        )
    if reply.status in (401, 403):
        raise UpstreamCredentialRejected(
            f"the upstream answered HTTP {reply.status}",
            status_code=reply.status,
            request_id=request_id,
        )
    raise UpstreamMalformed(
        f"the upstream answered HTTP {reply.status} without its envelope", request_id=request_id
    )


def _read_json(body: bytes) -> Any:
    """The body's JSON, or None. Numbers keep their text; text can be encoded again."""
    try:
        text = body.decode("utf-8-sig")
        return json.loads(
            text,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_refuse,
            object_hook=_mended,
        )
    except (ValueError, RecursionError):
        return None


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _mended(members: dict[str, Any]) -> dict[str, Any]:
    """Half a surrogate pair is legal JSON and no text: U+FFFD stands in its place."""
    return {_mended_value(key): _mended_value(value) for key, value in members.items()}


def _mended_value(value: Any) -> Any:
    if type(value) is str:
        return _SURROGATE.sub("\ufffd", value)
    return [_mended_value(one) for one in value] if type(value) is list else value


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def _request_id(whole: WireObject, headers: Mapping[str, str]) -> str | None:
    offered = (
        whole.get("requestId"),
        headers.get("x-request-id"),
        headers.get("x-authing-request-id"),
    )
    for one in offered:
        if isinstance(one, str) and _REQUEST_ID.fullmatch(one):
            return str(one)
    return None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds, from seconds or an HTTP date (RFC 9110 §10.2.3); None if absent or senseless."""
    value = headers.get("retry-after", "").strip()
    if _INTEGER.fullmatch(value):
        return min(float(value), _LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        left = (moment - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(left, 0.0), _LONGEST_RETRY_AFTER)
