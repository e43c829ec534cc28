"""The cookies of sign-ins that have begun: at most three, each for one callback."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256

import pytest
from starlette.responses import Response

from app.identity.cookie_encryption import CookieEncryption
from app.identity.cookies import CookieFormat
from app.identity.login_state import LoginStates
from tests.support.clock import ManualClock

SECRET = "secret" * 6


class Browser:
    """Keeps cookies, as a browser does."""

    def __init__(self, *, secure: bool = True) -> None:
        self.clock = ManualClock()
        self.states = LoginStates(
            CookieEncryption([SECRET], "login"), CookieFormat(secure), self.clock
        )
        self.cookies: dict[str, str] = {}

    @property
    def header(self) -> bytes:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()

    def receive(self, response: Response) -> None:
        for line in response.headers.getlist("set-cookie"):
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
            if "Max-Age=0" in line:
                del self.cookies[name]

    def start(self, return_to: str = "/") -> str:
        response = Response()
        state = self.states.create("https://x/auth/callback", return_to)
        self.states.store(response, self.header, state)
        self.receive(response)
        return state.state


def test_the_cookie_is_sent_when_another_site_leads_to_the_callback() -> None:
    browser = Browser()
    response = Response()
    state = browser.states.create("https://x/auth/callback", "/")
    browser.states.store(response, b"", state)

    name, *attributes = response.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-Http-orders-login-")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax", "Secure"]


def test_several_tabs_sign_in_and_return_to_different_pages() -> None:
    browser = Browser()
    states = [browser.start(f"/{number}") for number in range(3)]
    found = [browser.states.find(browser.header, state) for state in states]
    assert [state and state.return_to for state in found] == ["/0", "/1", "/2"]
    assert len({state and state.nonce for state in found}) == 3


def test_the_fourth_sign_in_replaces_the_oldest() -> None:
    browser = Browser(secure=False)
    states = []
    for _ in range(4):
        browser.clock.wall_offset += timedelta(seconds=1)
        states.append(browser.start())

    assert len(browser.cookies) == 3
    found = [browser.states.find(browser.header, state) for state in states]
    assert [state is not None for state in found] == [False, True, True, True]


def test_cookies_that_cannot_be_read_are_deleted_first() -> None:
    browser = Browser()
    first = browser.start()
    browser.cookies[f"__Host-Http-orders-login-{'x' * 22}"] = "garbage"
    browser.cookies["__Host-Http-orders-login-other"] = "not one of them"
    browser.start()

    assert len(browser.cookies) == 3
    assert browser.states.find(browser.header, first)


def test_a_sign_in_ends_after_its_callback_or_ten_minutes() -> None:
    browser = Browser()
    used, late = browser.start(), browser.start()
    response = Response()
    browser.states.end(response, used)
    browser.receive(response)
    assert browser.states.find(browser.header, used) is None

    browser.clock.wall_offset = timedelta(seconds=600)
    assert browser.states.find(browser.header, late) is None


@pytest.mark.parametrize("state", ["", "x" * 22, "../x"])
def test_another_state_is_unknown(state: str) -> None:
    browser = Browser()
    browser.start()
    assert browser.states.find(browser.header, state) is None


def test_a_cookie_counts_only_under_the_name_of_its_state() -> None:
    browser = Browser()
    browser.start()
    (value,) = browser.cookies.values()
    other = "y" * 22
    browser.cookies = {f"__Host-Http-orders-login-{other}": value}
    assert browser.states.find(browser.header, other) is None


def test_the_code_challenge_is_the_digest_of_the_verifier() -> None:
    browser = Browser()
    name = browser.start()
    state = browser.states.find(browser.header, name)
    assert state
    digest = urlsafe_b64encode(sha256(state.code_verifier.encode()).digest())
    assert state.code_challenge == digest.rstrip(b"=").decode()
    assert 43 <= len(state.code_verifier) <= 128


def test_signing_out_deletes_the_cookies_of_all_sign_ins() -> None:
    browser = Browser()
    browser.start()
    browser.start()
    response = Response()
    browser.states.end_all(response, browser.header)
    browser.receive(response)
    assert browser.cookies == {}
