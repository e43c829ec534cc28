"""Checks the configured issuers, and explains what is wrong and how to fix it.

It names the traps of this vendor: an issuer ends in `/oidc`, apps sign with HS256 by default, and
each app accepts one method of client authentication only.
"""

from collections.abc import AsyncIterator

from pydantic import SecretStr

from app.clock import Clock
from app.commands.doctor import Check
from app.composition.identity import create_issuers
from app.edge.auth import CredentialGeneration
from app.http import AsyncBaseTransport
from app.identity.discovery import Metadata, OtherIssuer, check_endpoint, discover, fetch_keys
from app.identity.issuer_client import IssuerClient, IssuerError
from app.identity.signing_keys import ALGORITHMS, SigningKeys
from app.identity.token_endpoint import (
    BASIC,
    POST,
    ClientAuthentication,
    authenticate_client,
    choose_method,
    error_code,
)
from app.settings import Settings

MAX_ERROR_CHARS = 60

VENDOR_SUFFIX = "/oidc"
"""The end of the issuers of this vendor: the path of the user pool's provider."""


async def check_issuers(
    settings: Settings, clock: Clock, transport: AsyncBaseTransport | None = None
) -> AsyncIterator[Check]:
    """Yield the result of each step, for each issuer; nothing if none is configured."""
    issuers = create_issuers(settings, clock, CredentialGeneration(), transport)
    if issuers is None:
        return
    for url, client in issuers.clients.items():
        async for check in _check_issuer(client, url, settings):
            yield check
    await issuers.close(0)


async def _check_issuer(client: IssuerClient, url: str, settings: Settings) -> AsyncIterator[Check]:
    names = _names(settings, url)
    try:
        metadata = await discover(client, url)
    except OtherIssuer as error:
        fix = f"set {names} to {error.found!r}, character by character, if that is who you trust"
        yield Check("issuer", "error", str(error), fix)
        return
    except IssuerError as error:
        yield Check("issuer", "error", str(error), await _suggestion(client, url, names))
        return
    yield _check_algorithms(metadata)
    try:
        keys = await fetch_keys(client, metadata)
    except IssuerError as error:
        fix = "callers with tokens are rejected until the issuer publishes keys; ask its operator"
        yield Check("keys", "error", str(error), fix)
        return
    yield _check_keys(keys)
    login = settings.login
    if login.issuer == url and login.client_id and login.client_secret:
        yield await _check_client(client, metadata, login.client_id, login.client_secret)


def _check_algorithms(metadata: Metadata) -> Check:
    supported = metadata.id_token_signing_alg_values_supported or ()
    message = f"{metadata.issuer} publishes its metadata"
    fix = (
        "select RS256 as the signing algorithm of the app at the issuer: with HS256 whoever can"
        " verify a token could also forge one, so such tokens are refused"
    )
    if supported and not set(supported) & set(ALGORITHMS):
        names = ", ".join(name for name in supported if name.isascii() and name.isprintable())
        return Check("issuer", "error", f"{message}, but signs with {names} only", fix)
    if "HS256" in supported:
        message += (
            "; it also supports HS256, which is the default of this vendor's apps: RS256 must be"
            " selected for the app"
        )
    return Check("issuer", "ok", message)


def _check_keys(keys: SigningKeys) -> Check:
    names = sorted({name for key in keys.keys for name in key.algorithms})
    count = len(keys.keys)
    message = f"{count} key{'s' if count > 1 else ''} for {', '.join(names)}"
    if all(key.kid for key in keys.keys):
        return Check("keys", "ok", message)
    if count == 1:
        return Check(
            "keys",
            "warning",
            f"{message}; the key has no `kid`",
            "tokens are accepted as long as it is the only key: while the issuer publishes two,"
            " which is usual before a change, they are refused; ask its operator for a `kid`",
        )
    return Check(
        "keys",
        "error",
        f"{message}; at least one of them has no `kid`",
        "tokens that it has signed are refused, because it is not clear which key to verify them"
        " with; ask the operator of the issuer to publish a `kid`",
    )


async def _check_client(
    client: IssuerClient, metadata: Metadata, client_id: str, secret: SecretStr
) -> Check:
    """Try to exchange a code that does not exist: the error says whether the client is accepted."""
    method = choose_method(metadata)
    if method is None:
        message = f"the issuer accepts clients neither by {BASIC} nor by {POST}"
        fix = "nobody can sign in with a client secret at this issuer; ask its operator"
        return Check("client", "error", message, fix)
    other = POST if method == BASIC else BASIC
    try:
        check_endpoint(metadata.issuer, metadata.authorization_endpoint, "authorization_endpoint")
        endpoint = check_endpoint(metadata.issuer, metadata.token_endpoint, "token_endpoint")
        error = other_error = await _token_error(
            client, endpoint, authenticate_client(method, client_id, secret)
        )
        if error == "invalid_client":
            other_error = await _token_error(
                client, endpoint, authenticate_client(other, client_id, secret)
            )
    except IssuerError as problem:
        return Check("client", "error", str(problem), "ask the operator of the issuer")
    if error == "invalid_grant":
        return Check("client", "ok", f"the issuer accepts {client_id} by {method}")
    if error == "invalid_client" != other_error:
        return Check(
            "client",
            "error",
            f"the issuer accepts {client_id} by {other}, although it announces {method}",
            f"set the client authentication method of the app at the issuer to {method}",
        )
    if error == "invalid_client":
        return Check(
            "client",
            "error",
            f"the issuer does not accept {client_id} by {method}",
            "check ORDERS_LOGIN__CLIENT_ID and ORDERS_LOGIN__CLIENT_SECRET, and the client"
            " authentication method of the app at the issuer",
        )
    return Check(
        "client",
        "warning",
        f"the issuer has answered {error} when a code was tried",
        "check that the app at the issuer may use the authorization code grant",
    )


async def _token_error(
    client: IssuerClient, endpoint: str, authentication: ClientAuthentication
) -> str:
    """Return the error code with which the issuer answers a code that does not exist."""
    form = {
        "grant_type": "authorization_code",
        "code": "orders-bff-doctor",
        "redirect_uri": "http://127.0.0.1/auth/callback",
        "code_verifier": "orders-bff-doctor" * 3,
    }
    response = await client.send(
        "POST", endpoint, form=form | authentication.form, headers=authentication.headers
    )
    error = error_code(response.body)
    is_name = error.isascii() and error.replace("_", "").isalnum()
    return error[:MAX_ERROR_CHARS] if is_name else f"status {response.status}"


async def _suggestion(client: IssuerClient, url: str, names: str) -> str:
    """Return what to do about an issuer that cannot be reached at `url`."""
    base = url.rstrip("/")
    is_complete = base.endswith(VENDOR_SUFFIX)
    other = base.removesuffix(VENDOR_SUFFIX) if is_complete else base + VENDOR_SUFFIX
    try:
        found = (await discover(client, other)).issuer
    except OtherIssuer as error:
        found = error.found
    except IssuerError:
        return (
            f"check {names}: it is the `iss` of a token, without {'/.well-known'!r}; an issuer of"
            f" this vendor ends in {VENDOR_SUFFIX!r}; also check the network and firewalls, and"
            " ORDERS_UPSTREAM__CA_FILE and ORDERS_UPSTREAM__PROXY, which apply to it, too"
        )
    return f"set {names} to {found!r}, if that is who you trust: it publishes its metadata there"


def _names(settings: Settings, url: str) -> str:
    """Return the variables that have this issuer."""
    configured = {
        "ORDERS_CALLERS__OIDC_ISSUER": settings.callers.oidc_issuer,
        "ORDERS_LOGIN__ISSUER": settings.login.issuer,
    }
    return " and ".join(name for name, value in configured.items() if value == url)
