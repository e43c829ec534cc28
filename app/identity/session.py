"""The session of a person who has signed in: an encrypted cookie, and nothing on the server."""

import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from app.clock import Clock
from app.edge.auth import Authenticator, Rejected
from app.edge.context import Caller, context_of
from app.edge.cross_site import CrossSiteRequest, check_cookie
from app.edge.problems import Problem
from app.identity.cookie_encryption import MAX_COOKIE_BYTES, CookieEncryption
from app.identity.cookies import SESSION, CookieFormat, parse_cookies
from app.identity.grants import ClaimValues, Grants
from app.identity.signing_keys import Claims

MAX_NAME_CHARS = 64
CACHED_SESSIONS = 1024
"""Cookies whose decryption is remembered: a dashboard sends the same one many times."""

MAX_READ = 3
"""Cookies of this name that are decrypted, of those that a request has. Browsers send one."""

_NAME_CLAIMS = ("name", "preferred_username", "nickname", "email")


class Sessions(Authenticator):
    """Sets the session cookie, and authenticates by it.

    Args:
        encryption: of the cookie.
        cookies: its attributes.
        clock: the source of time.
        issuer: at which people sign in.
        lifetime: seconds until a session ends, whether it is used or not.
        grants: what people may do. They are applied when a cookie is read, so that a grant that was
            removed gives nothing to sessions that began before.
        may_use_sessions: whether pages of an origin may, by the origin and the headers of the
            request.
    """

    def __init__(
        self,
        encryption: CookieEncryption,
        cookies: CookieFormat,
        clock: Clock,
        *,
        issuer: str,
        lifetime: float,
        grants: Grants,
        may_use_sessions: Callable[[bytes, Mapping[bytes, bytes]], bool],
    ) -> None:
        self._encryption = encryption
        self._cookies = cookies
        self._clock = clock
        self._issuer = issuer
        self._lifetime = lifetime
        self._grants = grants
        self._may_use_sessions = may_use_sessions
        self._name = cookies.name(SESSION).encode()
        self._cached_caller = lru_cache(CACHED_SESSIONS)(self._decrypt_caller)

    def start(self, response: Response, claims: Claims) -> Caller:
        """Set the cookie of a new session, and return its caller.

        The cookie has no other claims than those that open something.

        Args:
            response: to the request with which the person has signed in.
            claims: of the ID token.

        Raises:
            CookieTooLarge: the claims do not fit.
        """
        payload = {
            "sub": claims["sub"],
            "name": display_name(claims),
            "claims": self._effective(claims),
            "exp": self._clock.timestamp() + self._lifetime,
        }
        self._cookies.set(
            response,
            SESSION,
            self._encryption.encrypt(payload),
            max_age=int(self._lifetime),
            same_site="strict",
        )
        return self._caller_of(payload)

    def end(self, response: Response) -> None:
        """Delete the cookie. A copy of it stays valid until it expires."""
        self._cookies.clear(response, SESSION, same_site="strict")

    async def authenticate(self, scope: Scope) -> Caller | None:
        """Return the caller of a valid session, or None if there is none.

        A cookie that is forged or has expired counts as none: browsers delete an expired one.

        Raises:
            Rejected: a page of another site may have made the request.
        """
        headers = context_of(scope).headers
        caller = self.find(headers.get(b"cookie", b""))
        if caller is not None:
            try:
                check_cookie(
                    context_of(scope).method,
                    headers,
                    lambda origin: self._may_use_sessions(origin, headers),
                )
            except CrossSiteRequest as error:
                raise Rejected(Problem("cross_site_request", detail=str(error))) from None
        return caller

    def find(self, cookie_header: bytes) -> Caller | None:
        """Return the caller of a valid session, whichever page has made the request."""
        if self._name not in cookie_header:
            return None
        now = self._clock.timestamp()
        values = (
            value
            for name, value in parse_cookies(cookie_header)
            if name == self._name and len(value) <= MAX_COOKIE_BYTES  # others would fill the cache
        )
        for value in islice(values, MAX_READ):
            caller = self._cached_caller(value)
            if caller is not None and (caller.expires_at or 0) > now:
                return caller
        return None

    def _decrypt_caller(self, value: bytes) -> Caller | None:
        payload = self._encryption.decrypt(value)
        return None if payload is None else self._caller_of(payload)

    def _caller_of(self, payload: dict[str, Any]) -> Caller:
        return Caller(
            payload["name"],
            "session",
            self._grants.scopes(self._issuer, payload["claims"]),
            limit_key=("subject", self._issuer, payload["sub"]),
            expires_at=payload["exp"],
        )

    def _effective(self, claims: Claims) -> ClaimValues:
        """Return the values to which grants give a scope: a person may be in hundreds of groups."""
        read = self._grants.read(claims, is_access_token=False).items()
        effective = (
            (name, [each for each in values if self._grants.scopes(self._issuer, {name: [each]})])
            for name, values in read
        )
        return {name: values for name, values in effective if values}


def display_name(claims: Claims) -> str:
    """Return a person's name for the page and the log, without invisible characters."""
    for claim in (*_NAME_CLAIMS, "sub"):
        value = claims.get(claim)
        if isinstance(value, str) and (name := _cleaned(value)):
            return name
    return "?"


def _cleaned(text: str) -> str:
    # Control and format characters (Unicode category C) could change how a log or a page reads.
    visible = (" " if unicodedata.category(each)[0] in "CZ" else each for each in text[:1024])
    return " ".join("".join(visible).split())[:MAX_NAME_CHARS].strip()
