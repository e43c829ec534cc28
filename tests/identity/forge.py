"""An issuer on the manual clock, its tokens, and tokens that it never issued."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx
from joserfc import jwk, jws
from joserfc.jwa import JWSAlgModel

from app.identity.issuer_client import IssuerClient
from tests.support.clock import ManualClock

ISSUER = "https://login.example.com/oidc"
AUDIENCE = "orders-api"
METADATA_URL = f"{ISSUER}/.well-known/openid-configuration"
JWKS_URL = "https://keys.example.net/jwks"
"""On another host, as those of some well-known issuers."""


class _Registry(jws.JWSRegistry):
    """Signs with any algorithm, whatever the header says."""

    def check_header(self, header: dict[str, Any]) -> None:
        pass

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]


_REGISTRY = _Registry(strict_check_header=False)


@cache
def key_of(algorithm: str, number: int = 1) -> jwk.Key:
    """Return a key for an algorithm. It takes a while to generate one for RS256."""
    del number  # distinguishes the keys of one algorithm
    if algorithm == "RS256":
        return jwk.generate_key("RSA", 2048)
    if algorithm == "ES256":
        return jwk.generate_key("EC", "P-256")
    return jwk.generate_key("OKP", "Ed25519")


def public(key: jwk.Key, **members: object) -> dict[str, Any]:
    """Return an entry of a key set."""
    return {**key.as_dict(private=False), **members}


def sign(
    claims: dict[str, Any],
    *,
    algorithm: str = "ES256",
    key: jwk.Key | None = None,
    **header: object,
) -> bytes:
    """Return a token. Members of the header that are None are left out."""
    members = {"alg": algorithm, "kid": "1", **header}
    present = {name: value for name, value in members.items() if value is not None}
    payload = json.dumps(claims).encode()
    return jws.serialize_compact(
        present, payload, key or key_of(algorithm), registry=_REGISTRY
    ).encode()


def part(value: object) -> bytes:
    """Return one part of a token that is written by hand."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def sign_with_public_key(claims: dict[str, Any], key: jwk.Key) -> bytes:
    """Return a token signed with HS256, for which the public key is taken as the secret."""
    signed = part({"alg": "HS256", "kid": "1"}) + b"." + part(claims)
    secret = key.as_bytes("PEM", private=False)  # type: ignore[union-attr]
    return signed + b"." + part(hmac.digest(secret, signed, hashlib.sha256))


class FakeIssuer:
    """The metadata and the keys of an issuer.

    Attributes:
        keys: the entries of its key set; None for a key set that is not JSON.
        metadata: more members of the metadata.
        respond: answers a request in place of the issuer.
        requests: the URLs that were requested.
    """

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.keys: list[Any] = [public(key_of("ES256"), kid="1")]
        self.metadata: dict[str, Any] = {}
        self.respond: Callable[[httpx.Request], httpx.Response] | None = None
        self.requests: list[str] = []
        self.transport = httpx.MockTransport(self._handle)

    def client(self) -> IssuerClient:
        """Return a client of the issuer."""
        return IssuerClient(self.clock, transport=self.transport)

    def claims(self, **changed: object) -> dict[str, Any]:
        """Return the claims of a valid token; those that are None are left out."""
        now = int(self.clock.timestamp())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "service-1", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**claims, **changed}.items() if value is not None}

    @property
    def jwks_requests(self) -> int:
        """How often the keys were fetched."""
        return self.requests.count(JWKS_URL)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(str(request.url))
        respond = self.respond or self.publish
        response = respond(request)
        if response.is_closed:  # its content was read already, and could not be streamed
            stream = httpx.ByteStream(response.content)
            response = httpx.Response(response.status_code, headers=response.headers, stream=stream)
        return response

    def publish(self, request: httpx.Request) -> httpx.Response:
        """Return the metadata or the keys."""
        if str(request.url) == METADATA_URL:
            return httpx.Response(
                200, json={"issuer": ISSUER, "jwks_uri": JWKS_URL, **self.metadata}
            )
        return httpx.Response(200, json={"keys": self.keys})
