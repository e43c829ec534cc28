"""Cross-site request forgery: when a cookie counts, and when a POST is accepted."""

import pytest

from app.edge.auth import Authentication, Authenticator, CredentialGeneration
from app.edge.context import Caller
from app.edge.cross_site import CrossSiteRequest, check_cookie
from tests.edge.asgi_harness import NO_CREDENTIALS, RecordingApp, request

PAGE = b"https://page.example"


def counts(method: str, headers: dict[bytes, bytes]) -> bool:
    try:
        check_cookie(method, headers, lambda origin: origin == PAGE)
    except CrossSiteRequest:
        return False
    return True


@pytest.mark.parametrize(
    ("method", "site", "origin", "csrf", "expected"),
    [
        ("GET", "same-origin", None, None, True),
        ("POST", "same-origin", "https://own.example", "1", True),
        ("GET", "none", None, None, True),
        ("HEAD", "none", None, None, True),
        ("POST", "none", None, "1", False),
        ("GET", "same-site", None, "1", False),
        ("GET", "same-site", "https://page.example", None, True),
        ("GET", "cross-site", None, "1", False),
        ("GET", "cross-site", "https://other.example", "1", False),
        ("GET", "cross-site", "null", "1", False),
        ("GET", None, "https://other.example", "1", False),
        ("GET", None, "https://page.example", None, True),
        ("GET", None, None, "1", True),
        ("GET", None, None, None, False),
        ("GET", None, None, "0", False),
        ("GET", "", None, "1", False),
    ],
)
def test_a_cookie_counts_only_in_a_request_of_an_own_or_listed_page(
    method: str, site: str | None, origin: str | None, csrf: str | None, expected: bool
) -> None:
    given = {b"sec-fetch-site": site, b"origin": origin, b"x-csrf": csrf}
    headers = {name: value.encode() for name, value in given.items() if value is not None}
    assert counts(method, headers) is expected


def test_the_missing_header_is_named() -> None:
    with pytest.raises(CrossSiteRequest, match="`X-CSRF: 1` is missing"):
        check_cookie("GET", {}, lambda _: True)
    with pytest.raises(CrossSiteRequest, match=r"`Sec-Fetch-Site: same-origin`.*`Origin`"):
        check_cookie("GET", {b"sec-fetch-site": b"cross-site"}, lambda _: True)


class Key(Authenticator):
    """Authenticates everybody."""

    async def authenticate(self, scope: object) -> Caller:
        del scope
        return Caller("key", "key", frozenset({"orders:read"}), ("key", "key"))


@pytest.mark.parametrize("path", ["/v1/orders", "/auth/logout", "/other"])
async def test_a_post_without_a_credential_in_a_header_needs_the_csrf_header(path: str) -> None:
    app = RecordingApp()
    generation = CredentialGeneration()
    middleware = Authentication(app, NO_CREDENTIALS, generation, anonymous_scopes=["orders:read"])

    refused = await request(middleware, path, method="POST")
    allowed = await request(middleware, path, method="POST", headers={"X-CSRF": "1"})

    assert (refused.status_code, allowed.status_code) == (403, 200)
    problem = refused.json()
    assert problem["code"] == "cross_site_request"
    assert "`X-CSRF: 1`" in problem["detail"]
    assert app.methods == ["POST"]


async def test_a_post_with_a_credential_in_a_header_needs_no_csrf_header() -> None:
    middleware = Authentication(RecordingApp(), Key(), CredentialGeneration())
    assert (await request(middleware, method="POST")).status_code == 200


async def test_a_401_has_the_path_at_which_people_sign_in() -> None:
    generation = CredentialGeneration()
    middleware = Authentication(
        RecordingApp(), NO_CREDENTIALS, generation, login_path="/x/auth/login"
    )
    assert (await request(middleware)).json()["login"] == "/x/auth/login"
    assert (
        "login"
        not in (await request(Authentication(RecordingApp(), NO_CREDENTIALS, generation))).json()
    )
