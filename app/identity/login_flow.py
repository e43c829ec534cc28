"""The authorization code flow of OpenID Connect, as a confidential client with PKCE.

Nothing is called in the name of a person, so all tokens are dropped once the ID token is checked.
"""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from pydantic import SecretStr

from app.clock import Clock
from app.identity.claims import check_claims
from app.identity.discovery import Metadata, check_endpoint
from app.identity.issuer import Issuer, IssuerUnavailable
from app.identity.issuer_client import IssuerClient, IssuerError, IssuerResponse
from app.identity.login_state import LoginState
from app.identity.signing_keys import Claims, InvalidToken
from app.identity.token_endpoint import authenticate_client, choose_method, error_code

MAX_CODE_CHARS = 4096

_CLIENT_ERRORS = (
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
)
"""Error codes that say that this server is not registered as it is configured."""


class LoginError(Exception):
    """A sign-in has failed.

    Attributes:
        reason: for the log: one of a few words.
        code: of the problem.
        detail: for the person.
        error: for the log: more about the reason, without any value of a token.
        retry_after: seconds until it may be worth trying again; None if it is not.
    """

    def __init__(
        self,
        reason: str,
        code: str,
        detail: str,
        error: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.detail = detail
        self.error = error
        self.retry_after = retry_after


class _TokenResponse(msgspec.Struct):
    id_token: str


class LoginFlow:
    """The two calls of a sign-in: where to send the browser, and what its return means.

    Args:
        issuer: its metadata and keys.
        client: calls it.
        clock: the source of time.
        client_id: of the client that this server is.
        client_secret: its secret.
        scopes: what is requested, separated by spaces.
    """

    def __init__(
        self,
        issuer: Issuer,
        client: IssuerClient,
        clock: Clock,
        *,
        client_id: str,
        client_secret: SecretStr,
        scopes: str,
    ) -> None:
        self._issuer = issuer
        self._client = client
        self._clock = clock
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes

    async def authorization_url(self, state: LoginState) -> str:
        """Return the URL at which a person signs in.

        Raises:
            LoginError: the issuer's metadata cannot be fetched.
        """
        return _with_query(
            await self._endpoint("authorization_endpoint"),
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": state.redirect_uri,
                "scope": self._scopes,
                "state": state.state,
                "nonce": state.nonce,
                "code_challenge": state.code_challenge,
                "code_challenge_method": "S256",
            },
        )

    async def end_session_url(self) -> str | None:
        """Return the URL at which a person signs out at the issuer, None if it has none.

        Raises:
            LoginError: the issuer's metadata cannot be fetched.
        """
        metadata = await self._metadata()
        if metadata.end_session_endpoint is None:
            return None
        endpoint = await self._endpoint("end_session_endpoint")
        return _with_query(endpoint, {"client_id": self._client_id})

    async def complete(self, state: LoginState, query: Mapping[str, str]) -> Claims:
        """Return the claims of the person who has signed in.

        `query` has the parameters of the callback.

        Raises:
            LoginError: nobody has, or it cannot be verified.
        """
        await self._check_issuer(query.get("iss"))
        if error_code := query.get("error"):
            raise _authorization_error(error_code)
        code = query.get("code", "")
        if not 0 < len(code) <= MAX_CODE_CHARS:
            raise LoginError("no_code", "login_failed", "The identity provider has sent no code.")
        id_token = await self._exchange(code, state)
        try:
            claims = await self._issuer.verify(id_token.encode())
            self._check_claims(claims, state.nonce)
        except IssuerUnavailable as error:
            raise _unavailable(str(error), error.retry_after) from None
        except InvalidToken as error:
            raise _misconfigured("id_token_invalid", str(error)) from None
        return claims

    async def _check_issuer(self, iss: str | None) -> None:
        """Check who has answered (RFC 9207), against mix-up attacks."""
        metadata = await self._metadata()
        is_required = metadata.authorization_response_iss_parameter_supported
        if iss != self._issuer.url and (is_required or iss is not None):
            detail = "The answer is from another identity provider than the configured one."
            raise LoginError("other_issuer", "login_failed", detail)

    async def _exchange(self, code: str, state: LoginState) -> str:
        """Return the ID token for an authorization code (RFC 6749 section 4.1.3)."""
        endpoint = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": state.redirect_uri,
            "code_verifier": state.code_verifier,
        }
        method = choose_method(await self._metadata())
        if method is None:
            raise _misconfigured("no_client_authentication")
        client = authenticate_client(method, self._client_id, self._client_secret)
        try:
            response = await self._client.send(
                "POST", endpoint, form=form | client.form, headers=client.headers
            )
        except IssuerError as error:
            raise _unavailable(str(error)) from None
        if response.status == 200:
            try:
                return msgspec.json.decode(response.body, type=_TokenResponse).id_token
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise _misconfigured("token_response_malformed") from None
        raise _token_error(response)

    def _check_claims(self, claims: Claims, nonce: str) -> None:
        """Check an ID token (OpenID Connect Core 1.0, section 3.1.3.7).

        Raises:
            InvalidToken: it is not valid, or not for this sign-in.
        """
        now = self._clock.timestamp()
        check_claims(claims, issuer=self._issuer.url, audience=self._client_id, now=now)
        has_others = claims["aud"] not in (self._client_id, [self._client_id])
        if claims.get("azp", None if has_others else self._client_id) != self._client_id:
            raise InvalidToken("The `azp` of the ID token is not the client.")
        if claims.get("nonce") != nonce:
            raise InvalidToken("The `nonce` of the ID token is not that of this sign-in.")

    async def _metadata(self) -> Metadata:
        try:
            return await self._issuer.metadata()
        except IssuerUnavailable as error:
            raise _unavailable(str(error), error.retry_after) from None

    async def _endpoint(self, name: str) -> str:
        metadata = await self._metadata()
        try:
            return check_endpoint(self._issuer.url, getattr(metadata, name), name)
        except IssuerError as error:
            raise _misconfigured("no_endpoint", str(error)) from None


def _with_query(url: str, parameters: Mapping[str, str]) -> str:
    """Return a URL that may have a query already, with more parameters."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return urlunsplit(parts._replace(query=query, fragment=""))


def _unavailable(error: str, retry_after: float = 1.0) -> LoginError:
    detail = "The identity provider cannot be reached now. Try again in a moment."
    return LoginError("issuer_unavailable", "issuer_unavailable", detail, error, retry_after)


def _misconfigured(reason: str, error: str = "") -> LoginError:
    detail = (
        "The answer of the identity provider cannot be accepted. The operator of this server finds"
        " the reason in the log."
    )
    return LoginError(reason, "login_misconfigured", detail, error)


def _authorization_error(error: str) -> LoginError:
    """Return the error for an error code of the callback (RFC 6749 section 4.1.2.1)."""
    if error == "access_denied":
        detail = "The sign-in was cancelled, or the issuer has refused it."
        return LoginError("access_denied", "login_failed", detail)
    if error in {"server_error", "temporarily_unavailable"}:
        return _unavailable(error)
    if error in _CLIENT_ERRORS:
        return _misconfigured(error)
    # Any other text may be one that the sender of the request has chosen.
    detail = "The identity provider has reported an error."
    return LoginError("issuer_error", "login_failed", detail)


def _token_error(response: IssuerResponse) -> LoginError:
    """Return the error for a response of the token endpoint (RFC 6749 section 5.2)."""
    if response.status >= 500 or response.status == 429:
        return _unavailable(f"status {response.status}")
    error = error_code(response.body)
    if error == "invalid_grant":
        detail = "The identity provider has not accepted the code: it has been used, or is too old."
        return LoginError("code_rejected", "login_failed", detail)
    return _misconfigured(error if error in _CLIENT_ERRORS else f"status_{response.status}")
