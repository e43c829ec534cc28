"""Every problem type, with the text of its page: one table, hence a long file."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What all problems with one code have in common (RFC 9457 section 4).

    Attributes:
        status: the HTTP status.
        title: a short summary, the same for every occurrence.
        retryable: whether the same request may succeed later.
        detail: the default of a problem's `detail`.
        meaning: what happened; for the page `/problems/<code>`, like the next two.
        caller: what the caller can do.
        operator: what the operator of the proxy can do.
    """

    status: int
    title: str
    retryable: bool
    detail: str
    meaning: str
    caller: str
    operator: str


_NO_ACTION = "Nothing, as long as it is rare. Contact a caller that does this constantly."

_PROBLEM_TYPES = {
    "invalid_request": ProblemType(
        status=422,
        title="Invalid parameters",
        retryable=False,
        detail="At least one parameter is not valid. `errors` lists each of them.",
        meaning="At least one parameter is unknown, repeated, empty or has a value that is not "
        "allowed. The upstream was not called.",
        caller="Read `errors`: it says what is wrong with each parameter and how to fix it. "
        "Sending the same request again does not help.",
        operator=_NO_ACTION,
    ),
    "bad_request": ProblemType(
        status=400,
        title="Malformed request",
        retryable=False,
        detail="The request is malformed. Characters of a URL that are not ASCII must be "
        "percent-encoded.",
        meaning="The request is not well-formed HTTP, or its headers contradict each other.",
        caller="Check how the request is built. Characters of a URL that are not ASCII must be "
        "percent-encoded. Sending the same request again does not help.",
        operator="If many callers get this, check the proxies in front of this one.",
    ),
    "not_found": ProblemType(
        status=404,
        title="Not found",
        retryable=False,
        detail="There is no route with this path.",
        meaning="No route has this path. A trailing slash is enough to cause this.",
        caller="Compare the path with the OpenAPI document at /openapi.json.",
        operator="If every path returns this, a proxy in front may add or remove a prefix.",
    ),
    "method_not_allowed": ProblemType(
        status=405,
        title="Method not allowed",
        retryable=False,
        detail="This path does not support the method. `Allow` lists the methods it supports.",
        meaning="The path exists, but does not support this method.",
        caller="Use one of the methods in the `Allow` header.",
        operator=_NO_ACTION,
    ),
    "request_timeout": ProblemType(
        status=408,
        title="Request timed out",
        retryable=True,
        detail="The request was not received completely in time.",
        meaning="Only a part of the request arrived before the timeout. The connection is closed.",
        caller="Wait for the seconds in `Retry-After`, then send the request again on a new "
        "connection. The usual cause is a network that loses packets.",
        operator="If your callers have slow networks, raise ORDERS_SERVER__REQUEST_TIMEOUT.",
    ),
    "request_too_large": ProblemType(
        status=413,
        title="Request too large",
        retryable=False,
        detail="The body of the request is too large.",
        meaning="The body of the request is larger than this proxy accepts.",
        caller="Send no body: every request of this API fits into its URL.",
        operator=_NO_ACTION,
    ),
    "uri_too_long": ProblemType(
        status=414,
        title="URL too long",
        retryable=False,
        detail="The URL is too long.",
        meaning="The URL is longer than this proxy accepts.",
        caller="Repeat fewer parameters in one request.",
        operator=_NO_ACTION,
    ),
    "headers_too_large": ProblemType(
        status=431,
        title="Headers too large",
        retryable=False,
        detail="The headers of the request are too large.",
        meaning="The headers of the request are larger than this proxy accepts. "
        "The usual cause is cookies of other applications on the same site.",
        caller="Send fewer or shorter headers, or clear the cookies of the site.",
        operator="Serve the proxy under a host name that shares no cookies.",
    ),
    "misdirected_request": ProblemType(
        status=421,
        title="Misdirected request",
        retryable=False,
        detail="This proxy listens on loopback, and `Host` is neither a loopback name nor the "
        "configured public one.",
        meaning="The proxy listens on loopback, and the `Host` header names another host. "
        "Such requests are rejected because a web page could send them by DNS rebinding.",
        caller="Use http://127.0.0.1 or http://localhost with the right port.",
        operator="Behind a reverse proxy on the same machine, set ORDERS_SERVER__PUBLIC_URL to the "
        "URL that callers use. To accept connections of other machines directly, set "
        "ORDERS_SERVER__HOST.",
    ),
    "unauthenticated": ProblemType(
        status=401,
        title="Authentication required",
        retryable=False,
        detail="A valid key is required: `X-API-Key: obff_…` or `Authorization: Bearer obff_…`.",
        meaning="The request has no key, or the key is unknown or has expired. This is about the "
        "caller's key for this proxy, not about the proxy's credential for the upstream.",
        caller="Send your key as `X-API-Key` or `Authorization: Bearer`. "
        "If you do, ask the operator whether it is still valid.",
        operator="`orders-bff keys new NAME` creates a key and the entry for "
        "ORDERS_CALLERS__API_KEYS. Check whether `expires_at` has passed.",
    ),
    "forbidden": ProblemType(
        status=403,
        title="Insufficient scope",
        retryable=False,
        detail="The caller does not have the scope that this request requires.",
        meaning="The caller is authenticated, but does not have the scope that this request "
        "requires.",
        caller="`GET /v1/me` lists your scopes. Ask the operator for the missing one.",
        operator="Add the scope to the caller's entry in ORDERS_CALLERS__API_KEYS.",
    ),
    "rate_limited": ProblemType(
        status=429,
        title="Too many requests",
        retryable=True,
        detail="The caller has exceeded its rate limit.",
        meaning="The caller has exceeded its rate limit at this proxy.",
        caller="Wait for the seconds in `Retry-After`. Polling with `If-None-Match` and larger "
        "pages needs fewer requests.",
        operator="If the caller's use is legitimate, raise ORDERS_CALLERS__RATE or the `rate` of "
        "the caller's entry.",
    ),
    "overloaded": ProblemType(
        status=503,
        title="Proxy overloaded",
        retryable=True,
        detail="The proxy has reached one of its own limits.",
        meaning="The proxy has reached one of its own limits: connections, waiting requests or "
        "queue length.",
        caller="Wait for the seconds in `Retry-After`, then send the request again.",
        operator="Add replicas, or find the caller that sends too many requests in the access log.",
    ),
    "shutting_down": ProblemType(
        status=503,
        title="Shutting down",
        retryable=True,
        detail="This proxy is shutting down.",
        meaning="This process is about to exit. `/readyz` says so first, so that no more requests "
        "are routed to it; requests in progress are completed.",
        caller="Wait for the seconds in `Retry-After`, then send the request again: another "
        "process will answer it.",
        operator="Nothing during a deployment. If requests are cut off, raise "
        "ORDERS_SERVER__DRAIN_TIMEOUT.",
    ),
    "order_not_found": ProblemType(
        status=404,
        title="Order not found",
        retryable=False,
        detail="The upstream has no order with this number.",
        meaning="The upstream was called and has no order with this number in this pool.",
        caller="Check the number. A new order may take a moment to appear.",
        operator="If no order is found, the credential may belong to another pool: "
        "`orders-bff doctor` shows which.",
    ),
    "payment_not_found": ProblemType(
        status=404,
        title="No payment for this order",
        retryable=False,
        detail="The upstream has no payment for this order.",
        meaning="The upstream was called and has no payment for this order: "
        "it may be unpaid, or not exist.",
        caller="Check the `status` of the order: only paid orders have a payment.",
        operator=_NO_ACTION,
    ),
    "upstream_credential_rejected": ProblemType(
        status=502,
        title="Upstream rejected the proxy's credential",
        retryable=False,
        detail="The upstream rejected the credential of this proxy. Your own key is valid.",
        meaning="The upstream rejected the credential that this proxy is configured with. "
        "The caller's key is valid.",
        caller="Report the `request_id` to the operator. Your key is not the cause.",
        operator="Run `orders-bff doctor`. Check ORDERS_UPSTREAM__ACCESS_KEY_ID and "
        "…__ACCESS_KEY_SECRET, and that the key has not been replaced or disabled in the console.",
    ),
    "upstream_plan_required": ProblemType(
        status=502,
        title="The pool's plan does not include orders",
        retryable=False,
        detail="The upstream reports that the plan of this pool does not include this API.",
        meaning="The upstream offers this API only to pools with a plan that includes it.",
        caller="Report the `request_id` to the operator.",
        operator="Change the plan of the pool in the upstream's console, or use the credential "
        "of a pool whose plan includes it.",
    ),
    "upstream_rejected": ProblemType(
        status=502,
        title="Upstream rejected the request",
        retryable=False,
        detail="The upstream rejected the request that this proxy sent to it.",
        meaning="The upstream rejected a request of this proxy as invalid. Your own request was "
        "valid: the cause is a bug of the proxy, or the upstream has changed.",
        caller="Report the `request_id` to the operator.",
        operator="Run `orders-bff doctor`. Check ORDERS_UPSTREAM__BASE_URL: "
        "a different product at that address rejects requests in the same way.",
    ),
    "upstream_throttled": ProblemType(
        status=503,
        title="Upstream is rate limiting",
        retryable=True,
        detail="The upstream is rate limiting this proxy.",
        meaning="The pool has used up its calls to the upstream. It shares them with its logins "
        "and with every other program that uses the pool.",
        caller="Wait for the seconds in `Retry-After`, then send the request again.",
        operator="Lower ORDERS_UPSTREAM__MAX_RATE or raise ORDERS_CACHE__TTL. Look for other "
        "programs that use the same pool.",
    ),
    "upstream_failed": ProblemType(
        status=502,
        title="Upstream failed",
        retryable=True,
        detail="The upstream returned a server error.",
        meaning="The upstream was reached and returned a server error.",
        caller="Wait for the seconds in `Retry-After`, then send the request again.",
        operator="Check the upstream's status page. Its support will need the "
        "`upstream.request_id` of the problem.",
    ),
    "upstream_unreachable": ProblemType(
        status=502,
        title="Upstream unreachable",
        retryable=True,
        detail="The connection to the upstream failed.",
        meaning="The proxy could not connect to the upstream (DNS, refused connection, TLS), "
        "or the connection was closed before the response was complete.",
        caller="Wait for the seconds in `Retry-After`, then send the request again.",
        operator="Run `orders-bff doctor`: it checks DNS, connection and certificate one by one. "
        "ORDERS_UPSTREAM__PROXY and …__CA_FILE are for networks that require them.",
    ),
    "upstream_timeout": ProblemType(
        status=504,
        title="Upstream timed out",
        retryable=True,
        detail="The upstream did not respond in time.",
        meaning="The upstream took longer than this proxy lets a caller wait.",
        caller="Wait for the seconds in `Retry-After`, then send the request again.",
        operator="If it persists, compare the durations that `orders-bff doctor` measures with "
        "ORDERS_UPSTREAM__READ_TIMEOUT and …__DEADLINE.",
    ),
    "upstream_malformed": ProblemType(
        status=502,
        title="Malformed upstream response",
        retryable=False,
        detail="The upstream's response could not be parsed.",
        meaning="The response is not one of this API: not JSON, without the envelope, a redirect, "
        "or far too large. It is never served as an empty list.",
        caller="Report the `request_id` to the operator.",
        operator="Run `orders-bff doctor`. Check ORDERS_UPSTREAM__BASE_URL, and whether a "
        "proxy in between responds in place of the upstream.",
    ),
    "upstream_unavailable": ProblemType(
        status=503,
        title="Upstream temporarily unavailable",
        retryable=True,
        detail="Calls to the upstream are paused after repeated failures.",
        meaning="After repeated failures (circuit open), or with too many calls queued, the proxy "
        "rejects requests at once instead of letting every caller wait.",
        caller="Wait for the seconds in `Retry-After`, then send the request again.",
        operator="Look at the problems logged before this one: they are the cause.",
    ),
    "list_loading": ProblemType(
        status=503,
        title="Order list is loading",
        retryable=True,
        detail="The order list is still loading. Loading continues in the background.",
        meaning="The request needs all orders, and not all of them have been loaded yet. "
        "A response based on a part of the list would be wrong.",
        caller="Wait for the seconds in `Retry-After`, then send the request again; `progress` has "
        "the number of orders loaded. Pages without filters are available meanwhile.",
        operator="Loading takes as long as fetching all blocks. Raise ORDERS_UPSTREAM__MAX_RATE "
        "if the pool has calls to spare.",
    ),
    "list_too_large": ProblemType(
        status=503,
        title="Order list exceeds the configured limit",
        retryable=False,
        detail="The request needs all orders, and there are more than this proxy may cache.",
        meaning="The request needs all orders, and there are more than this proxy may cache.",
        caller="Read the list page by page, without filters: that works for any number of orders.",
        operator="Raise ORDERS_CACHE__MAX_ORDERS if the machine has enough memory.",
    ),
    "cursor_expired": ProblemType(
        status=410,
        title="Cursor expired or unknown",
        retryable=False,
        detail="Changes since this cursor are no longer available. Get a new cursor, then the "
        "export.",
        meaning="This process has never seen the state that `since` identifies, it is too old, or "
        "too much has changed since.",
        caller="Request `/v1/orders/changes` without `since` to get the current cursor, then "
        "`/v1/orders/export`, and continue from there.",
        operator="Nothing, as long as it is rare. After a restart a caller gets it if the list has "
        "changed in between.",
    ),
    "not_in_cache": ProblemType(
        status=504,
        title="Not in cache",
        retryable=False,
        detail="The request has `only-if-cached`, and there is no cached response for it.",
        meaning="The request has `Cache-Control: only-if-cached`, and there is no cached response "
        "for it.",
        caller="Send the request without `only-if-cached`.",
        operator="Nothing: the caller requested this.",
    ),
    "internal_error": ProblemType(
        status=500,
        title="Internal error",
        retryable=False,
        detail="An internal error occurred. It is logged with the request id.",
        meaning="A bug in this proxy. The response contains no details; the log does.",
        caller="Report the `request_id` to the operator.",
        operator="Search the log for the request id and report what it says as an issue.",
    ),
}

PROBLEM_TYPES: Mapping[str, ProblemType] = MappingProxyType(_PROBLEM_TYPES)
"""The problem types by code."""
