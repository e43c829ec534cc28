"""Tell the operator when the upstream answers outside what we know: once a kind, never a value."""

import logging

_logger = logging.getLogger("orders_bff.upstream")


class Drift:
    """The kinds of drift seen by this process."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, kind: str) -> None:
        """Report `kind`, one of our own words."""
        if kind not in self._seen:
            self._seen.add(kind)
            _logger.warning("drift", extra={"facts": {"kind": kind}})
