"""What is remembered between the start of a sign-in and its callback, in a cookie per sign-in."""

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from typing import Self

from starlette.responses import Response

from app.clock import Clock
from app.identity.cookie_encryption import CookieEncryption
from app.identity.cookies import CookieFormat, parse_cookies

LIFETIME = 600
"""Seconds that a person may take to sign in."""

MAX_STATES = 3
"""Sign-ins that one browser can have begun: in several tabs, but with a bounded Cookie header."""

MAX_READ = 10
"""Cookies that are decrypted, of those that a request has."""

_STATE = re.compile(r"[A-Za-z0-9_-]{22}")
_PREFIX = "orders-login-"


@dataclass(frozen=True, slots=True)
class LoginState:
    """One sign-in that has begun.

    Attributes:
        state: ties the callback to the browser that began the sign-in (RFC 6749 section 10.12).
        nonce: ties the ID token to it.
        code_verifier: ties the authorization code to it (RFC 7636).
        redirect_uri: where the issuer sends the browser.
        return_to: where the browser goes afterwards.
        expires_at: seconds since 1970.
    """

    state: str
    nonce: str
    code_verifier: str
    redirect_uri: str
    return_to: str
    expires_at: float

    @classmethod
    def new(cls, redirect_uri: str, return_to: str, expires_at: float) -> Self:
        """Return a state with new random values."""
        return cls(
            secrets.token_urlsafe(16),
            secrets.token_urlsafe(16),
            secrets.token_urlsafe(32),
            redirect_uri,
            return_to,
            expires_at,
        )

    @property
    def code_challenge(self) -> str:
        """The S256 challenge (RFC 7636 section 4.2)."""
        digest = sha256(self.code_verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


class LoginStates:
    """The cookies of the sign-ins that a browser has begun."""

    def __init__(self, encryption: CookieEncryption, cookies: CookieFormat, clock: Clock) -> None:
        self._encryption = encryption
        self._cookies = cookies
        self._clock = clock
        self._prefix = cookies.name(_PREFIX).encode()

    def create(self, redirect_uri: str, return_to: str) -> LoginState:
        """Return the state of a new sign-in, which is not stored yet."""
        return LoginState.new(redirect_uri, return_to, self._clock.timestamp() + LIFETIME)

    def store(self, response: Response, cookie_header: bytes, state: LoginState) -> None:
        """Set the cookie of a new sign-in; delete the oldest ones if there are too many."""
        valid = {each.state: each.expires_at for each in self._valid(cookie_header)}
        kept = sorted(valid, key=lambda name: valid[name])[-(MAX_STATES - 1) :]
        for other, _ in self._sent(cookie_header):
            if other not in kept:
                self._clear(response, other)
        self._cookies.set(
            response,
            _PREFIX + state.state,
            self._encryption.encrypt(asdict(state)),
            max_age=LIFETIME,
            same_site="lax",  # the callback is a navigation from another site
        )

    def find(self, cookie_header: bytes, state: str) -> LoginState | None:
        """Return the sign-in that this browser has begun with `state`, or None."""
        return next((each for each in self._valid(cookie_header) if each.state == state), None)

    def end(self, response: Response, state: str) -> None:
        """Delete the cookie of a sign-in, so that its callback cannot be used again."""
        self._clear(response, state)

    def end_all(self, response: Response, cookie_header: bytes) -> None:
        """Delete the cookies of all sign-ins that this browser has begun."""
        for state, _ in self._sent(cookie_header):
            self._clear(response, state)

    def _clear(self, response: Response, state: str) -> None:
        self._cookies.clear(response, _PREFIX + state, same_site="lax")

    def _sent(self, cookie_header: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield state and value of each cookie that the browser has sent, valid or not."""
        for name, value in parse_cookies(cookie_header):
            state = name.removeprefix(self._prefix).decode("latin-1")
            if name.startswith(self._prefix) and _STATE.fullmatch(state):
                yield state, value

    def _valid(self, cookie_header: bytes) -> Iterator[LoginState]:
        now = self._clock.timestamp()
        for name, value in islice(self._sent(cookie_header), MAX_READ):
            payload = self._encryption.decrypt(value)
            if payload and payload["state"] == name and payload["expires_at"] > now:
                yield LoginState(**payload)
