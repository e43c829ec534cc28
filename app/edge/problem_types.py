"""Every problem that we answer with, one entry a code and all in one place: hence a long file.

Knows no request and no exception.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What all problems of one code share.

    `meaning`, `caller` and `operator` are the page at `/problems/<code>`; `detail` is what a
    caller is told when nothing more exact is known.
    """

    status: int
    title: str
    retryable: bool
    detail: str
    meaning: str
    caller: str
    operator: str


_OURS = "Nothing, as long as it is rare. A caller that does it all day is worth a word."

_KINDS = {
    "invalid_request": ProblemType(
        status=422,
        title="The parameters are not valid",
        retryable=False,
        detail="The parameters are not valid. `errors` names each fault.",
        meaning="At least one parameter is unknown, repeated, empty or outside what it may be. "
        "Nothing was asked of the upstream.",
        caller="Read `errors`: it names each parameter at fault and how to mend it. "
        "The same request will fail again.",
        operator=_OURS,
    ),
    "bad_request": ProblemType(
        status=400,
        title="The request cannot be read",
        retryable=False,
        detail="The request cannot be read. In a URL, what is not ASCII has to be percent-encoded.",
        meaning="The request is not well-formed HTTP, or says something that makes no sense.",
        caller="Look at how the request is built: in a URL, what is not ASCII is percent-encoded. "
        "The same request will fail again.",
        operator="If many callers see it, look at the proxies in front of this one.",
    ),
    "not_found": ProblemType(
        status=404,
        title="There is nothing here",
        retryable=False,
        detail="There is nothing at this path.",
        meaning="No route has this path. A slash too many at the end is enough.",
        caller="Compare the path with the document at /openapi.json.",
        operator="If every path is not found, a proxy in front may add or cut a prefix.",
    ),
    "method_not_allowed": ProblemType(
        status=405,
        title="The method is not allowed here",
        retryable=False,
        detail="This path does not answer this method. `Allow` names those it does.",
        meaning="The path exists, but not for this method.",
        caller="Use one of the methods that the `Allow` header names.",
        operator=_OURS,
    ),
    "not_acceptable": ProblemType(
        status=406,
        title="There is no answer of the kind asked for",
        retryable=False,
        detail="There is no answer of a kind that `Accept` allows.",
        meaning="The `Accept` header rules out every form this answer has.",
        caller="Send `Accept: application/json`, or leave the header out.",
        operator=_OURS,
    ),
    "request_timeout": ProblemType(
        status=408,
        title="The request did not come whole in time",
        retryable=True,
        detail="The request has not come whole in the time there is for it.",
        meaning="Only a part of the request has come, and the rest took too long. "
        "The connection is closed.",
        caller="Wait as long as `Retry-After` says and ask again, on a new connection. "
        "A network that loses a lot is the usual reason.",
        operator="If slow networks are what your callers have, raise "
        "ORDERS_SERVER__REQUEST_TIMEOUT.",
    ),
    "request_too_large": ProblemType(
        status=413,
        title="The request is too large",
        retryable=False,
        detail="The request carries more than is read here.",
        meaning="The body of the request is larger than anything this proxy reads.",
        caller="Send no body: every question here fits into its URL.",
        operator=_OURS,
    ),
    "uri_too_long": ProblemType(
        status=414,
        title="The URL is too long",
        retryable=False,
        detail="The URL is longer than is read here.",
        meaning="The URL is longer than this proxy reads.",
        caller="Ask for less at once: fewer repeated parameters make a shorter URL.",
        operator=_OURS,
    ),
    "headers_too_large": ProblemType(
        status=431,
        title="The headers are too large",
        retryable=False,
        detail="The headers are larger than are read here.",
        meaning="The headers of the request are larger than this proxy reads. "
        "Cookies of other applications on the same site are the usual reason.",
        caller="Send fewer or shorter headers; clear the cookies of the site.",
        operator="Serve the proxy from a host name whose cookies are its own.",
    ),
    "misdirected_request": ProblemType(
        status=421,
        title="The request was meant for another host",
        retryable=False,
        detail="This proxy is bound to loopback and answers loopback host names alone.",
        meaning="The proxy listens on loopback, and the `Host` header names something else. "
        "This keeps web pages from reaching it by DNS rebinding.",
        caller="Use http://127.0.0.1 or http://localhost with the right port.",
        operator="To serve other machines, set ORDERS_SERVER__HOST.",
    ),
    "unauthenticated": ProblemType(
        status=401,
        title="We do not know who asks",
        retryable=False,
        detail="A valid key is needed: `X-API-Key: obff_…` or `Authorization: Bearer obff_…`.",
        meaning="The request carries no key, or one that is unknown or has expired. It is about "
        "the caller's key to this proxy, never about the proxy's credential to the upstream.",
        caller="Send your key as `X-API-Key` or `Authorization: Bearer`. "
        "If you do, ask the operator whether it is still valid.",
        operator="`orders-bff keys new NAME` makes a key and the entry for "
        "ORDERS_CALLERS__API_KEYS. Look for an `expires_at` that has passed.",
    ),
    "forbidden": ProblemType(
        status=403,
        title="The caller may not do this",
        retryable=False,
        detail="The caller lacks the scope that this route needs.",
        meaning="We know the caller, and this route needs a scope the caller does not have.",
        caller="`GET /v1/me` tells your scopes. Ask the operator for the one that is missing.",
        operator="Add the scope to the caller's entry in ORDERS_CALLERS__API_KEYS.",
    ),
    "rate_limited": ProblemType(
        status=429,
        title="Too many requests",
        retryable=True,
        detail="This caller asks faster than it may.",
        meaning="The caller has used up its rate with this proxy.",
        caller="Wait as long as `Retry-After` says. Polling with `If-None-Match` and larger "
        "pages needs fewer requests.",
        operator="Raise ORDERS_CALLERS__RATE, or the `rate` of this caller's entry, "
        "if what it does is right.",
    ),
    "overloaded": ProblemType(
        status=503,
        title="The proxy has too much to do",
        retryable=True,
        detail="The proxy has more to do than it takes on at once.",
        meaning="A bound of the proxy itself is reached: connections, waiters or queue.",
        caller="Wait as long as `Retry-After` says and ask again.",
        operator="Add replicas, or find the caller that asks too much in the access log.",
    ),
    "order_not_found": ProblemType(
        status=404,
        title="There is no such order",
        retryable=False,
        detail="The upstream knows no order of this number.",
        meaning="The upstream was asked and knows no order of this number in this pool.",
        caller="Check the number. An order that was only just made may take a moment to appear.",
        operator="If all orders are missing, the credential may belong to another pool: "
        "`orders-bff doctor` tells which.",
    ),
    "payment_not_found": ProblemType(
        status=404,
        title="There is no payment of this order",
        retryable=False,
        detail="The upstream knows no payment of this order.",
        meaning="The upstream was asked and knows no payment of this order: "
        "it may not be paid, or not exist.",
        caller="Look at the order's `status`: only a paid order has a payment.",
        operator=_OURS,
    ),
    "upstream_credential_rejected": ProblemType(
        status=502,
        title="The upstream does not accept our credential",
        retryable=False,
        detail="The upstream does not accept the credential of this proxy. "
        "Your own key is not at fault.",
        meaning="The upstream refuses the credential that this proxy holds. "
        "The caller's key is not at fault.",
        caller="Tell the operator, with the `request_id`. There is nothing wrong with your key.",
        operator="Run `orders-bff doctor`. Check ORDERS_UPSTREAM__ACCESS_KEY_ID and "
        "…__ACCESS_KEY_SECRET, and that the key was not replaced or disabled in the console.",
    ),
    "upstream_plan_required": ProblemType(
        status=502,
        title="The pool's plan does not include orders",
        retryable=False,
        detail="The upstream says that the plan of this pool does not include this API.",
        meaning="The upstream answers this API only to pools on a plan that includes it.",
        caller="Tell the operator, with the `request_id`.",
        operator="Change the plan of the pool in the upstream's console, or use the credential "
        "of a pool that has it.",
    ),
    "upstream_rejected": ProblemType(
        status=502,
        title="The upstream rejects our question",
        retryable=False,
        detail="The upstream does not accept the question this proxy asked.",
        meaning="The proxy asked the upstream something that the upstream refuses. "
        "Your request was valid: the fault is ours, or the upstream has changed.",
        caller="Tell the operator, with the `request_id`.",
        operator="Run `orders-bff doctor`. Check ORDERS_UPSTREAM__BASE_URL: "
        "another product at that address refuses in the same way.",
    ),
    "upstream_throttled": ProblemType(
        status=503,
        title="The upstream asks us to slow down",
        retryable=True,
        detail="The upstream asks this proxy to slow down.",
        meaning="The pool has used up its calls to the upstream. It shares them with its logins "
        "and with every other program that uses the pool.",
        caller="Wait as long as `Retry-After` says and ask again.",
        operator="Lower ORDERS_UPSTREAM__MAX_RATE or raise ORDERS_CACHE__TTL; look for other "
        "programs that use the same pool.",
    ),
    "upstream_failed": ProblemType(
        status=502,
        title="The upstream failed",
        retryable=True,
        detail="The upstream answered with a failure of its own.",
        meaning="The upstream answered, and says that it failed.",
        caller="Wait as long as `Retry-After` says and ask again.",
        operator="Look at the upstream's status page. Its support will want the "
        "`upstream.request_id` of the problem.",
    ),
    "upstream_unreachable": ProblemType(
        status=502,
        title="The upstream cannot be reached",
        retryable=True,
        detail="There is no connection to the upstream, or it broke.",
        meaning="The proxy found no way to the upstream (name, refusal, TLS), "
        "or the connection closed before the answer was whole.",
        caller="Wait as long as `Retry-After` says and ask again.",
        operator="Run `orders-bff doctor`: it tries name, connection and certificate one by one. "
        "ORDERS_UPSTREAM__PROXY and …__CA_FILE are for networks that need them.",
    ),
    "upstream_timeout": ProblemType(
        status=504,
        title="The upstream did not answer in time",
        retryable=True,
        detail="The upstream did not answer in time.",
        meaning="The upstream took longer than this proxy lets a caller wait.",
        caller="Wait as long as `Retry-After` says and ask again.",
        operator="If it lasts, compare what `orders-bff doctor` measures with "
        "ORDERS_UPSTREAM__READ_TIMEOUT and …__DEADLINE.",
    ),
    "upstream_malformed": ProblemType(
        status=502,
        title="The upstream's answer cannot be read",
        retryable=False,
        detail="The upstream's answer cannot be read.",
        meaning="What came back is not an answer of this API: not JSON, not the envelope, "
        "a redirect, or far too large. It is never served as an empty list.",
        caller="Tell the operator, with the `request_id`.",
        operator="Run `orders-bff doctor`. Check ORDERS_UPSTREAM__BASE_URL and whether a "
        "proxy on the way answers in the upstream's place.",
    ),
    "upstream_unavailable": ProblemType(
        status=503,
        title="The upstream is not being asked just now",
        retryable=True,
        detail="The upstream failed too often just now and is left in peace for a moment.",
        meaning="After many failures, or with too many questions waiting, the proxy stops asking "
        "the upstream for a moment instead of letting everybody wait.",
        caller="Wait as long as `Retry-After` says and ask again.",
        operator="Look at the problems logged before this one: they are the cause.",
    ),
    "list_loading": ProblemType(
        status=503,
        title="The list is still being read",
        retryable=True,
        detail="The whole list is still being read. Reading goes on; ask again in a moment.",
        meaning="The question needs every order, and not all of them have been read yet. "
        "An answer over a part of them would be wrong.",
        caller="Wait as long as `Retry-After` says and ask again; `progress` tells how far it is. "
        "Single pages without filters answer meanwhile.",
        operator="It lasts as long as reading all blocks takes: raise ORDERS_UPSTREAM__MAX_RATE "
        "if the pool has calls to spare.",
    ),
    "list_too_large": ProblemType(
        status=503,
        title="The list is too large to answer this",
        retryable=False,
        detail="There are more orders than this proxy may hold, and the question needs them all.",
        meaning="The question needs every order, and there are more than the proxy may hold.",
        caller="Read the pages one by one: that works for any number of orders.",
        operator="Raise ORDERS_CACHE__MAX_ORDERS if the machine has the memory.",
    ),
    "cursor_expired": ProblemType(
        status=410,
        title="The cursor is not known here",
        retryable=False,
        detail="What changed since that state cannot be told. Take the export, and the new cursor.",
        meaning="The state that `since` names was never seen by this process, is too long ago, or "
        "too much has changed since.",
        caller="Ask `/v1/orders/changes` without `since` for the present cursor, then take "
        "`/v1/orders/export`, and go on from there.",
        operator="Nothing, as long as it is rare: after a restart each caller meets it once.",
    ),
    "not_in_cache": ProblemType(
        status=504,
        title="The answer is not held",
        retryable=False,
        detail="`only-if-cached` was asked for, and nothing is held that answers this.",
        meaning="The request said `Cache-Control: only-if-cached`, and nothing is held for it.",
        caller="Ask without `only-if-cached`.",
        operator="Nothing: the caller asked for this.",
    ),
    "internal_error": ProblemType(
        status=500,
        title="Something went wrong here",
        retryable=False,
        detail="Something went wrong here. It is logged under the request id.",
        meaning="A fault of this proxy. Nothing of it is shown; the log has it.",
        caller="Tell the operator, with the `request_id`.",
        operator="Search the log for the request id and report what stands there as an issue.",
    ),
}

PROBLEM_TYPES: Mapping[str, ProblemType] = MappingProxyType(_KINDS)
"""Code → what it is. A code that is not here cannot be answered."""
