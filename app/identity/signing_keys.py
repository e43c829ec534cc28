"""The public keys of an issuer (JWK Set, RFC 7517), and signatures that are verified with them.

The algorithms are fixed: a token cannot choose one that would take a public key for a shared
secret, or none at all. Whatever its header says about where to find a key is ignored.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwk, jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry

Claims = dict[str, Any]

ALGORITHMS = ("RS256", "ES256", "EdDSA", "Ed25519")
"""RFC 7518 and RFC 8037; RFC 9864 calls EdDSA with the curve Ed25519 by the name of the curve."""

MAX_TOKEN_BYTES = 16 * 1024
MAX_KEYS = 100
MAX_RSA_BITS = 8192

_KEY_TYPES: Mapping[tuple[object, object], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("RSA", None): (("n", "e"), ("RS256",)),
    ("EC", "P-256"): (("crv", "x", "y"), ("ES256",)),
    ("OKP", "Ed25519"): (("crv", "x"), ("EdDSA", "Ed25519")),
}
"""By `kty` and `crv`: the members of the public key, and the algorithms that it fits."""

_TYPES = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")
"""Values of `typ`, in lower case. Another one is a token for another purpose (RFC 8725)."""


class InvalidToken(Exception):
    """A token is not valid. The text says why, and repeats nothing of the token."""


class UnknownKey(InvalidToken):
    """None of the keys has signed the token; a key that was published since might have."""


class _Registry(JWSRegistry):
    """The algorithms, without the library's warning at each use of EdDSA."""

    max_header_length = MAX_TOKEN_BYTES
    max_payload_length = MAX_TOKEN_BYTES

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]


_REGISTRY = _Registry(strict_check_header=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key.

    Attributes:
        kid: its id, None if the issuer gives it none.
        algorithms: those that it may be used with.
        key: the key.
        thumbprint: identifies it (RFC 7638).
    """

    kid: str | None
    algorithms: tuple[str, ...]
    key: jwk.Key = field(compare=False)
    thumbprint: str


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys of an issuer that can be used to verify signatures."""

    keys: Sequence[SigningKey]

    def find(self, kid: str | None, algorithm: str) -> SigningKey:
        """Return the key that a token was signed with, according to its header.

        Raises:
            UnknownKey: there is none.
            InvalidToken: it could be several.
        """
        usable = (key for key in self.keys if algorithm in key.algorithms)
        by_thumbprint = {key.thumbprint: key for key in usable if kid in (None, key.kid)}
        found = list(by_thumbprint.values())  # a key that is published twice is one key
        if len(found) == 1:
            return found[0]
        if not found:
            raise UnknownKey("The issuer has no key with the `kid` and `alg` of the token.")
        if kid is None:  # OpenID Connect Core 1.0, section 10.1
            raise InvalidToken("The token has no `kid`, and the issuer has several keys.")
        raise InvalidToken("The issuer has several keys with the `kid` of the token.")

    def includes(self, other: "SigningKeys") -> bool:
        """Return whether all keys of `other` are among these."""
        return set(other.keys) <= set(self.keys)


def parse_keys(body: bytes) -> SigningKeys:
    """Return the keys of a JWK Set. Keys that cannot be used are left out.

    Raises:
        ValueError: it is no JWK Set, or has no key that can be used.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("is not a JWK Set")  # noqa: TRY004 - of a wrong document, not argument
    if len(entries) > MAX_KEYS:
        raise ValueError(f"has more than {MAX_KEYS} keys")
    keys = tuple(key for entry in entries if (key := _parse_key(entry)))
    if not keys:
        raise ValueError("has no key for RS256, ES256 or EdDSA")
    return SigningKeys(keys)


def verify(token: bytes, keys: SigningKeys) -> Claims:
    """Return the claims of a token after verifying its signature, and nothing else.

    Raises:
        UnknownKey: none of the keys has signed it.
        InvalidToken: it is malformed, or not signed in a way that is accepted.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken(f"The token is longer than {MAX_TOKEN_BYTES} bytes.")
    try:
        signed = jws.extract_compact(token, registry=_REGISTRY)
        header = signed.headers()
        key = keys.find(*_selected_key(header)).key
        is_valid = jws.validate_compact(signed, key, registry=_REGISTRY)
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, RecursionError):
        raise InvalidToken("The token is malformed.") from None
    if not is_valid:
        raise UnknownKey("The signature of the token is not valid.")
    if not isinstance(claims, dict):
        raise InvalidToken("The token is malformed.")
    return claims


def _selected_key(header: dict[str, Any]) -> tuple[str | None, str]:
    """Return the `kid` and the algorithm in the header of a token."""
    algorithm, kid, kind = header["alg"], header.get("kid"), header.get("typ", "JWT")
    if algorithm not in ALGORITHMS:
        raise InvalidToken("The token is not signed with RS256, ES256 or EdDSA.")
    if "crit" in header or "b64" in header:  # RFC 7515 section 4.1.11
        raise InvalidToken("The token requires an extension that is not supported (`crit`).")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidToken("The token is not an access token, according to its `typ`.")
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("The token is malformed.")
    return kid, algorithm


def _parse_key(entry: object) -> SigningKey | None:
    """Return the key, or None if it is of another kind, for another use, or malformed."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kid, only = entry.get("kid"), entry.get("alg")
    try:
        members, fitting = _KEY_TYPES[entry.get("kty"), entry.get("crv")]
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)  # RSA keys of less than 2048 bits
            key = jwk.import_key({name: entry[name] for name in ("kty", *members)})
        is_for_verifying = "verify" in entry.get("key_ops", ("verify",))
    except (JoseError, ValueError, TypeError, KeyError, SecurityWarning):
        return None
    algorithms = tuple(name for name in fitting if only in (None, name))
    is_too_long = isinstance(key, jwk.RSAKey) and key.raw_value.key_size > MAX_RSA_BITS
    is_text = kid is None or isinstance(kid, str)
    if not algorithms or not is_for_verifying or is_too_long or not is_text:
        return None
    return SigningKey(kid, algorithms, key, key.thumbprint())
