"""Authenticates services by the tokens that they bring (JWT access tokens, RFC 9068)."""

import base64
import hashlib
from math import ceil
from typing import NamedTuple

import msgspec

from app.cache.lru import LruStore
from app.clock import Clock
from app.edge.auth import CredentialGeneration, Rejected, TokenAuthenticator, unauthenticated
from app.edge.context import Caller
from app.edge.problems import Problem
from app.identity.claims import check_access_token, check_claims, expires_at
from app.identity.grants import Grants
from app.identity.issuer import Issuer, IssuerUnavailable
from app.identity.signing_keys import Claims, InvalidToken

MAX_CACHED_TOKENS = 10_000


class _Claimed(msgspec.Struct):
    """What a token claims, before anything is verified."""

    iss: str


class _Verified(NamedTuple):
    caller: Caller
    expires_at: float
    generation: int


class TokenCallers(TokenAuthenticator):
    """The callers that have tokens of an issuer for this API.

    A token that has been verified is cached by its digest until it expires, or until keys or grants
    change.

    Args:
        issuer: verifies the signatures.
        audience: what `aud` must contain.
        grants: what callers may do.
        clock: the source of time.
        generation: of credentials.
    """

    def __init__(
        self,
        issuer: Issuer,
        audience: str,
        grants: Grants,
        clock: Clock,
        generation: CredentialGeneration,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._grants = grants
        self._clock = clock
        self._generation = generation
        self._verified: LruStore[bytes, _Verified] = LruStore(max_entries=MAX_CACHED_TOKENS)

    async def authenticate(self, token: bytes) -> Caller | None:
        """Return the caller, or None if another party has issued the token.

        Raises:
            Rejected: the token is not valid, or that cannot be found out now.
        """
        digest = hashlib.sha256(token).digest()
        generation = self._generation.value
        cached = self._verified.get(digest)
        if (
            cached is not None
            and cached.generation == generation
            and cached.expires_at > self._clock.timestamp()
        ):
            return cached.caller
        if _claimed_issuer(token) != self._issuer.url:
            return None
        claims = await self._verify(token)
        values = self._grants.read(claims, is_access_token=True)
        caller = Caller(
            claims["sub"],
            "token",
            self._grants.scopes(self._issuer.url, values),
            limit_key=("subject", self._issuer.url, claims["sub"]),
            expires_at=expires_at(claims),
        )
        self._verified.put(digest, _Verified(caller, expires_at(claims), generation))
        return caller

    async def _verify(self, token: bytes) -> Claims:
        try:
            claims = await self._issuer.verify(token)
            check_claims(
                claims,
                issuer=self._issuer.url,
                audience=self._audience,
                now=self._clock.timestamp(),
            )
            check_access_token(claims)
        except InvalidToken as error:
            raise Rejected(unauthenticated(str(error), error="invalid_token")) from None
        except IssuerUnavailable as error:
            problem = Problem("issuer_unavailable", retry_after=ceil(error.retry_after))
            raise Rejected(problem) from None
        return claims


def _claimed_issuer(token: bytes) -> str | None:
    """Return the `iss` of a signed token, or None if it is encrypted or malformed."""
    parts = token.split(b".")
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + b"==")
        return msgspec.json.decode(payload, type=_Claimed).iss
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, too
        return None
