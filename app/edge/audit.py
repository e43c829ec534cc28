"""Audit events: who has read or changed what is sensitive, and who was refused.

An event has the caller with its kind, its address, the route template and the request id. A caller
of an issuer also has its subject: people may choose their names, and two may have the same. There
is never a value: no order number, no filter, no credential. A route that does something sensitive
sets `RequestContext.audit_event`; the event is logged when the response has ended, beside the
access line. Refusals are events of their own. A purge is logged by its route, with what
was purged.
"""

import logging

from app.clock import Clock
from app.edge.context import RequestContext

PAYMENT_READ = "payment_read"
ORDERS_EXPORTED = "orders_exported"
SIGNED_IN = "signed_in"
SIGNED_OUT = "signed_out"

REFUSALS = {401: "authentication_refused", 403: "access_refused", 429: "rate_limit_refused"}
"""The events of responses that refuse a request, by status."""

MAX_REFUSALS_PER_SECOND = 10
"""Events of each kind of refusals. Further ones are counted in `omitted` of the next event."""

_logger = logging.getLogger("orders_bff.audit")


class Audit:
    """Writes the audit events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = 0
        self._refusals = dict.fromkeys(REFUSALS, 0)
        self._omitted = dict.fromkeys(REFUSALS, 0)

    def record(self, context: RequestContext, client: str) -> None:
        """Log the event of a request, if it has one; `client` is the address of the caller."""
        status = context.status
        if status in REFUSALS:
            if self._admit_refusal(status):
                fields = _fields(context, client)
                if omitted := self._omitted[status]:
                    fields["omitted"] = omitted
                    self._omitted[status] = 0
                _logger.info(REFUSALS[status], extra={"fields": fields})
        elif context.audit_event and status < 300:
            _logger.info(context.audit_event, extra={"fields": _fields(context, client)})

    def _admit_refusal(self, status: int) -> bool:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second = second
            self._refusals = dict.fromkeys(REFUSALS, 0)
        self._refusals[status] += 1
        if self._refusals[status] > MAX_REFUSALS_PER_SECOND:
            self._omitted[status] += 1
            return False
        return True


def _fields(context: RequestContext, client: str) -> dict[str, object]:
    fields = {
        **caller_fields(context, client),
        "route": context.route,
        "status": context.status,
    }
    if context.problem:
        fields["problem"] = context.problem
    return fields


def caller_fields(context: RequestContext, client: str) -> dict[str, object]:
    """Return who has sent a request, and from which address."""
    caller = context.caller
    fields: dict[str, object] = {
        "request_id": context.request_id,
        "caller": caller.name if caller else "",
        "client": client,
    }
    if caller:
        fields["kind"] = caller.kind
        if caller.limit_key[0] == "subject":
            fields["subject"] = caller.limit_key[-1]
    return fields
