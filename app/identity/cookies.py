"""The names and attributes of the cookies, and how they are read from a request."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from starlette.responses import Response

SECURE_PREFIX = "__Host-Http-"
"""Browsers accept a cookie of this name only over https, for this host, from a Set-Cookie header
(draft-ietf-httpbis-rfc6265bis section 4.1.3); older ones see the prefix `__Host-`."""

SESSION = "orders"


@dataclass(frozen=True, slots=True)
class CookieFormat:
    """How cookies are set. Without `secure` it is for plain http on loopback only."""

    secure: bool

    def name(self, base: str) -> str:
        """Return the name of a cookie."""
        return f"{SECURE_PREFIX}{base}" if self.secure else base

    def set(
        self,
        response: Response,
        base: str,
        value: str,
        *,
        max_age: int,
        same_site: Literal["strict", "lax"],
    ) -> None:
        """Set a cookie that page scripts cannot read. `max_age` is in seconds."""
        response.set_cookie(
            self.name(base),
            value,
            max_age=max_age,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite=same_site,
        )

    def clear(self, response: Response, base: str, *, same_site: Literal["strict", "lax"]) -> None:
        """Delete a cookie."""
        self.set(response, base, "", max_age=0, same_site=same_site)


def parse_cookies(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and value of each cookie in a Cookie header (RFC 6265 section 4.2)."""
    for pair in header.split(b";"):
        name, separator, value = pair.strip().partition(b"=")
        if separator:
            yield name, value
