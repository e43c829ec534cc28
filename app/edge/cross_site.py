"""Protection against cross-site request forgery (CSRF).

A browser adds cookies to requests that any page makes. These rules decide whether a request that is
authenticated by a cookie, or by nothing at all, comes from a page that may make it. Browsers set
`Sec-Fetch-Site` and `Origin` themselves; a page of another site can send `X-CSRF` only after a
preflight, which is refused.
"""

from collections.abc import Callable, Mapping

CSRF_HEADER = b"x-csrf"
_SAFE_METHODS = ("GET", "HEAD")


class CrossSiteRequest(Exception):
    """The request may have been made by a page of another site. The text says what is missing."""


def check_cookie(
    method: str, headers: Mapping[bytes, bytes], is_allowed_origin: Callable[[bytes], bool]
) -> None:
    """Check that a cookie counts for this request.

    Args:
        method: the method of the request.
        headers: its headers.
        is_allowed_origin: whether pages of an origin may use the cookie.

    Raises:
        CrossSiteRequest: the cookie does not count.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is None and origin is None:
        if headers.get(CSRF_HEADER) != b"1":
            raise CrossSiteRequest(
                "The header `X-CSRF: 1` is missing: a session cookie needs it in a request that has"
                " neither `Sec-Fetch-Site` nor `Origin`."
            )
    elif not (
        site == b"same-origin"
        or (site == b"none" and method in _SAFE_METHODS)
        or (origin is not None and is_allowed_origin(origin))
    ):
        raise CrossSiteRequest(
            "A session cookie counts only in requests of this origin (`Sec-Fetch-Site:"
            " same-origin`) or of a listed one (`Origin`)."
        )


def check_post(method: str, headers: Mapping[bytes, bytes]) -> None:
    """Check that a request which no header authenticates may change something.

    Raises:
        CrossSiteRequest: it is a POST without `X-CSRF: 1`.
    """
    if method == "POST" and headers.get(CSRF_HEADER) != b"1":
        raise CrossSiteRequest(
            "The header `X-CSRF: 1` is missing: a POST without an API key or a token needs it."
        )
