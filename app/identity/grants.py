"""Grants: which scopes a caller has, given what an issuer says about it.

Whatever is not granted is denied. The issuer is often the company's own user pool, where every
customer can sign in, so that being authenticated means nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOKEN_CLAIMS = ("scope", "scp")
"""Claims that say what a token may be used for (RFC 8693 section 4.2), in an access token only.

They are the only ones whose text is a list of values, separated by spaces.
"""

MAX_VALUES = 1000
"""Values of one claim that are read."""

ClaimValues = Mapping[str, Sequence[str]]
"""The values of the claims that grants read, by the name in the grant."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant: whoever has `value` in `claim` has `scopes`.

    Attributes:
        issuer: whose word counts; None if there is only one issuer.
        claim: the name of a claim, or its path with dots, as `realm_access.roles`.
        value: one of the claim's values, compared literally.
        scopes: what it opens.
    """

    issuer: str | None
    claim: str
    value: str
    scopes: frozenset[str]


class Grants:
    """The grants of one process. Empty, they open nothing."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self._grants = tuple(grants)
        self._claims = tuple(dict.fromkeys(grant.claim for grant in self._grants))

    def read(self, claims: Mapping[str, Any], *, is_access_token: bool) -> ClaimValues:
        """Return the values of the claims that grants read; a claim without any is left out.

        Args:
            claims: of a verified token.
            is_access_token: whether it was issued for this API. In any other token, `scope` and
                `scp` say what another party may do.
        """
        names = (name for name in self._claims if is_access_token or name not in TOKEN_CLAIMS)
        found = ((name, _values(_find(claims, name), name)) for name in names)
        return {name: values for name, values in found if values}

    def scopes(self, issuer: str, values: ClaimValues) -> frozenset[str]:
        """Return the scopes of a caller, given what `read` has returned for it."""
        granted = (
            grant.scopes
            for grant in self._grants
            if grant.issuer in (None, issuer) and grant.value in values.get(grant.claim, ())
        )
        return frozenset().union(*granted)


def _find(claims: Mapping[str, Any], name: str) -> object:
    """Return the claim with this name, or at this path if no name has dots in it."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _values(claim: object, name: str) -> tuple[str, ...]:
    if isinstance(claim, str):
        claim = claim.split() if name in TOKEN_CLAIMS else [claim]
    if not isinstance(claim, list):
        return ()
    return tuple(value for value in claim[:MAX_VALUES] if isinstance(value, str))
