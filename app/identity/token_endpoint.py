"""The token endpoint of an issuer: how this server authenticates there, and how errors read.

RFC 6749, sections 2.3.1 and 5.2.
"""

from base64 import b64encode
from typing import NamedTuple
from urllib.parse import quote_plus

import msgspec
from pydantic import SecretStr

from app.identity.discovery import Metadata

BASIC = "client_secret_basic"
POST = "client_secret_post"


class ClientAuthentication(NamedTuple):
    """What is added to a request to authenticate the client."""

    headers: dict[str, str]
    form: dict[str, str]


def choose_method(metadata: Metadata) -> str | None:
    """Return the method to use, or None if the issuer supports none that is known here.

    Basic is the default of issuers (OpenID Connect Discovery 1.0, section 3), and preferred.
    """
    supported = metadata.token_endpoint_auth_methods_supported
    if supported is None or BASIC in supported:
        return BASIC
    return POST if POST in supported else None


def authenticate_client(method: str, client_id: str, secret: SecretStr) -> ClientAuthentication:
    """Return what authenticates a client by `method`, `BASIC` or `POST`."""
    value = secret.get_secret_value()
    if method == POST:
        return ClientAuthentication({}, {"client_id": client_id, "client_secret": value})
    credentials = f"{quote_plus(client_id)}:{quote_plus(value)}"
    encoded = b64encode(credentials.encode()).decode()
    return ClientAuthentication({"Authorization": f"Basic {encoded}"}, {})


def error_code(body: bytes) -> str:
    """Return the error code of an error response, empty if it has none."""
    try:
        return msgspec.json.decode(body, type=_ErrorResponse).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


class _ErrorResponse(msgspec.Struct):
    error: str
