"""What the claims of a verified token must say (RFC 7519, RFC 9068, RFC 8725)."""

from collections.abc import Callable

from joserfc.errors import ClaimError, ExpiredTokenError, MissingClaimError
from joserfc.jwt import JWTClaimsRegistry

from app.identity.signing_keys import Claims, InvalidToken

LEEWAY_SECONDS = 60
"""Seconds by which the clocks of the issuer and of this machine may differ."""

MAX_SUBJECT_CHARS = 255
"""OpenID Connect Core 1.0, section 2."""

MAX_TIMESTAMP = 2**53

ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash")
"""Claims of ID tokens only. An ID token tells a client who has signed in; it is not for an API."""


def check_claims(claims: Claims, *, issuer: str, audience: str, now: float) -> None:
    """Check who has issued a token, for whom, and for which time.

    Args:
        claims: of a token whose signature is valid.
        issuer: the value of `iss`, compared literally.
        audience: the value that `aud` must be or contain.
        now: seconds since 1970.

    Raises:
        InvalidToken: one of them is missing or wrong.
    """
    registry = JWTClaimsRegistry(
        now=int(now),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(claims)
    except ExpiredTokenError:
        raise InvalidToken("The token has expired.") from None
    except MissingClaimError as error:
        raise InvalidToken(f"The token has no `{error.claim}`.") from None
    except ClaimError as error:
        raise InvalidToken(_REASONS[error.claim](issuer, audience)) from None
    subject = claims["sub"]
    if not 0 < len(subject) <= MAX_SUBJECT_CHARS or not subject.isprintable():
        raise InvalidToken("The `sub` of the token is not valid.")


def check_access_token(claims: Claims) -> None:
    """Check that a token is not an ID token, which says who has signed in to a client.

    Raises:
        InvalidToken: it is one.
    """
    if any(name in claims for name in ID_TOKEN_CLAIMS):
        raise InvalidToken("The token is an ID token; an access token is required.")


def expires_at(claims: Claims) -> float:
    """Return until when a token with checked claims is accepted, in seconds since 1970."""
    return float(min(claims["exp"], MAX_TIMESTAMP) + LEEWAY_SECONDS)


_REASONS: dict[str, Callable[[str, str], str]] = {
    "iss": lambda issuer, _: f"The `iss` of the token is not {issuer}.",
    "aud": lambda _, audience: f"The `aud` of the token does not contain {audience}.",
    "exp": lambda *_: "The `exp` of the token is not valid.",
    "nbf": lambda *_: "The token is not valid yet (`nbf`).",
    "iat": lambda *_: "The token was issued in the future (`iat`): clocks differ.",
    "sub": lambda *_: "The `sub` of the token is not valid.",
    "jti": lambda *_: "The `jti` of the token is not valid.",
}
