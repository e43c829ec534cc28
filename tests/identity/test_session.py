"""Sessions of people who have signed in: one cookie, until an absolute end."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Scope

from app.edge.auth import Rejected
from app.edge.context import Caller, RequestContext
from app.identity.cookie_encryption import MAX_COOKIE_BYTES, CookieEncryption, CookieTooLarge
from app.identity.cookies import CookieFormat
from app.identity.grants import Grant, Grants
from app.identity.session import MAX_READ, Sessions, display_name
from tests.support.clock import ManualClock

ISSUER = "https://login.example.com/oidc"
SECRET = "secret" * 6
GRANTS = Grants(
    [
        Grant(None, "roles", "billing", frozenset({"orders:read"})),
        Grant(None, "roles", "audit", frozenset({"payments:read"})),
        Grant(None, "scope", "orders", frozenset({"orders:raw"})),
    ]
)
CLAIMS = {"sub": "s1", "name": "Ada", "roles": ["billing", "canary-other"], "scope": "orders"}


class CountingEncryption(CookieEncryption):
    """Counts the values that it decrypts."""

    count = 0

    def decrypt(self, value: bytes) -> dict[str, Any] | None:
        self.count += 1
        return super().decrypt(value)


def sessions_for(
    clock: ManualClock,
    *,
    encryption: CookieEncryption | None = None,
    secrets: tuple[str, ...] = (SECRET,),
    secure: bool = True,
    grants: Grants = GRANTS,
) -> Sessions:
    return Sessions(
        encryption or CookieEncryption(secrets, "session"),
        CookieFormat(secure),
        clock,
        issuer=ISSUER,
        lifetime=3600,
        grants=grants,
        may_use_sessions=lambda origin, _: origin == b"https://page.example",
    )


def cookie_of(sessions: Sessions) -> str:
    """Return the Cookie header of a browser after the start of a session."""
    response = Response()
    sessions.start(response, CLAIMS)
    return response.headers["set-cookie"].partition(";")[0]


def authenticate(sessions: Sessions, cookie: str, **headers: str) -> Caller | None:
    headers = {"sec-fetch-site": "same-origin", "cookie": cookie} | headers
    raw = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    scope: Scope = {"type": "http", "context": RequestContext("request-1", "GET", raw, 0.0)}
    return asyncio.run(sessions.authenticate(scope))


def test_the_cookie_is_for_this_host_and_for_no_script() -> None:
    response = Response()
    sessions_for(ManualClock()).start(response, CLAIMS)

    name, *attributes = response.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-Http-orders=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=strict", "Secure"]


def test_without_https_on_loopback_the_cookie_has_another_name() -> None:
    response = Response()
    sessions_for(ManualClock(), secure=False).start(response, CLAIMS)

    assert response.headers["set-cookie"].startswith("orders=")
    assert "Secure" not in response.headers["set-cookie"]


def test_a_session_has_the_scopes_that_grants_give_and_an_end() -> None:
    clock = ManualClock()
    sessions = sessions_for(clock)

    caller = authenticate(sessions, f"a=b; {cookie_of(sessions)}; c=d")

    assert caller == Caller(
        "Ada",
        "session",
        frozenset({"orders:read"}),
        limit_key=("subject", ISSUER, "s1"),
        expires_at=clock.now().timestamp() + 3600,
    )


def test_a_session_ends_when_its_lifetime_ends_even_if_it_is_used() -> None:
    clock = ManualClock()
    sessions = sessions_for(clock)
    cookie = cookie_of(sessions)

    clock.wall_offset = timedelta(seconds=3599)
    assert authenticate(sessions, cookie)
    clock.wall_offset = timedelta(seconds=3600)
    assert authenticate(sessions, cookie) is None


def test_a_removed_grant_gives_nothing_to_a_session_that_began_before() -> None:
    clock = ManualClock()
    cookie = cookie_of(sessions_for(clock))

    caller = authenticate(sessions_for(clock, grants=Grants()), cookie)

    assert caller
    assert caller.scopes == frozenset()


def test_only_claims_that_open_something_are_in_the_cookie() -> None:
    response = Response()
    sessions = sessions_for(ManualClock())
    sessions.start(response, CLAIMS | {"roles": [f"r{number}" for number in range(999)]})
    assert len(response.headers["set-cookie"]) < 500

    many = Grants(
        Grant(None, "roles", f"{number:0255}", frozenset({"orders:read"})) for number in range(20)
    )
    roles = [f"{number:0255}" for number in range(20)]
    with pytest.raises(CookieTooLarge):
        sessions_for(ManualClock(), grants=many).start(response, CLAIMS | {"roles": roles})


def test_new_secrets_end_all_sessions() -> None:
    clock = ManualClock()
    cookie = cookie_of(sessions_for(clock))

    assert authenticate(sessions_for(clock, secrets=("newest" * 6, SECRET)), cookie)
    assert authenticate(sessions_for(clock, secrets=("newest" * 6,)), cookie) is None


@pytest.mark.parametrize(
    "cookie", ["", "orders=x", "__Host-Http-orders", "__Host-Http-orders=", "x__Host-Http-orders=a"]
)
def test_without_a_valid_cookie_there_is_no_session(cookie: str) -> None:
    assert authenticate(sessions_for(ManualClock()), cookie) is None


def test_a_forged_cookie_beside_the_real_one_changes_nothing() -> None:
    sessions = sessions_for(ManualClock())
    cookie = f"__Host-Http-orders=forged; {cookie_of(sessions)}"
    assert authenticate(sessions, cookie)


def test_many_forged_cookies_cost_a_bounded_amount_of_work() -> None:
    forged = "; ".join(f"__Host-Http-orders=forged{number}" for number in range(1000))
    encryption = CountingEncryption([SECRET], "session")
    sessions = sessions_for(ManualClock(), encryption=encryption)
    assert authenticate(sessions, forged) is None
    assert encryption.count == MAX_READ


def test_a_value_that_no_browser_stores_takes_no_memory() -> None:
    encryption = CountingEncryption([SECRET], "session")
    sessions = sessions_for(ManualClock(), encryption=encryption)
    too_long = "x" * (MAX_COOKIE_BYTES + 1)
    assert authenticate(sessions, f"__Host-Http-orders={too_long}") is None
    assert encryption.count == 0


def test_a_cookie_is_decrypted_once() -> None:
    encryption = CountingEncryption([SECRET], "session")
    sessions = sessions_for(ManualClock(), encryption=encryption)
    cookie = cookie_of(sessions)
    assert all(authenticate(sessions, cookie) for _ in range(10))
    assert encryption.count == 1


def test_a_cookie_in_a_request_of_another_site_is_rejected() -> None:
    sessions = sessions_for(ManualClock())
    cookie = cookie_of(sessions)

    with pytest.raises(Rejected) as raised:
        authenticate(sessions, cookie, sec_fetch_site="cross-site")
    assert raised.value.problem.code == "cross_site_request"
    page = {"sec_fetch_site": "same-site", "origin": "https://page.example"}
    assert authenticate(sessions, cookie, **page)
    assert authenticate(sessions, "orders=x", sec_fetch_site="cross-site") is None


def test_the_end_of_a_session_deletes_the_cookie() -> None:
    response = Response()
    sessions_for(ManualClock()).end(response)
    assert response.headers["set-cookie"].startswith('__Host-Http-orders=""; HttpOnly; Max-Age=0;')


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "Ada Lovelace", "sub": "s"}, "Ada Lovelace"),
        ({"name": " \t\u202e\u200b ", "preferred_username": "ada", "sub": "s"}, "ada"),
        ({"name": 5, "email": "ada@example.com", "sub": "s"}, "ada@example.com"),
        ({"name": "a\nb\u202ec\x00  d", "sub": "s"}, "a b c d"),
        ({"name": "企业 版", "sub": "s"}, "企业 版"),
        ({"name": "x" * 2000, "sub": "s"}, "x" * 64),
        ({"sub": "s"}, "s"),
        ({"sub": "\u200b"}, "?"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_person_has_a_name_that_can_be_shown(claims: dict[str, object], name: str) -> None:
    assert display_name(claims) == name
