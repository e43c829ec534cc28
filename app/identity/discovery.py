"""What an issuer publishes about itself: its metadata (OpenID Connect Discovery 1.0) and its keys.

The issuer is compared literally, a trailing slash included: a token of `https://a/` is not one of
`https://a`, whoever has issued it.
"""

from urllib.parse import urlsplit

import msgspec

from app.identity.issuer_client import IssuerClient, IssuerError
from app.identity.signing_keys import SigningKeys, parse_keys

WELL_KNOWN = "/.well-known/openid-configuration"


class OtherIssuer(IssuerError):
    """The metadata are those of another issuer, whose name is `found`."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"the metadata name the issuer {found!r}, and not {expected!r}")
        self.found = found


class Metadata(msgspec.Struct, frozen=True):
    """The metadata of an issuer, as far as it is used here (section 3). Absent members are None."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool | None = None


def discovery_url(issuer: str) -> str:
    """Return the URL of the metadata (section 4): a trailing slash of the issuer is dropped."""
    return issuer.removesuffix("/") + WELL_KNOWN


async def discover(client: IssuerClient, issuer: str) -> Metadata:
    """Return the metadata of `issuer`.

    Raises:
        OtherIssuer: they are those of another issuer.
        IssuerError: they cannot be fetched.
    """
    body = await _get(client, discovery_url(issuer), "the metadata")
    try:
        metadata = msgspec.json.decode(body, type=Metadata)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise IssuerError("the metadata are not those of an OpenID provider") from None
    if metadata.issuer != issuer:
        raise OtherIssuer(metadata.issuer[:200], issuer)
    check_endpoint(issuer, metadata.jwks_uri, "jwks_uri")
    return metadata


async def fetch_keys(client: IssuerClient, metadata: Metadata) -> SigningKeys:
    """Return the keys of an issuer, which may be on another host.

    Raises:
        IssuerError: they cannot be fetched, or none of them can be used.
    """
    body = await _get(client, metadata.jwks_uri, "the key set")
    try:
        return parse_keys(body)
    except ValueError as error:
        raise IssuerError(f"the key set {error}") from None


def check_endpoint(issuer: str, url: str | None, name: str) -> str:
    """Return the URL of an endpoint that the metadata name.

    Raises:
        IssuerError: it is absent, or not https. Only an issuer with http, which is on this machine,
            may have an endpoint with http, and only on its own host.
    """
    try:
        parts = urlsplit(url or "")
        is_valid = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:  # of the port, or of brackets
        is_valid = False
    if not url or not is_valid:
        raise IssuerError(f"the metadata have no valid `{name}`")
    own = urlsplit(issuer)
    is_local = parts.scheme == own.scheme == "http" and parts.hostname == own.hostname
    if parts.scheme != "https" and not is_local:
        raise IssuerError(f"the metadata have a `{name}` that is not https")
    return url


async def _get(client: IssuerClient, url: str, what: str) -> bytes:
    try:
        response = await client.send("GET", url)
    except IssuerError as error:
        raise IssuerError(f"{what} could not be fetched from {url}: {error}") from None
    if response.status != 200:
        raise IssuerError(f"{what} could not be fetched from {url}: status {response.status}")
    return response.body
