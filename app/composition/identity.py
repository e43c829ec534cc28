"""Builds what authenticates callers by the configured issuers; `app.main` connects it.

What needs the cryptography is imported only if an issuer is configured: it takes 0.15 s and 10 MB.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.clock import Clock
from app.composition.components import is_sandbox
from app.edge.auth import CredentialGeneration, TokenAuthenticator
from app.edge.caller_limits import CallerLimits
from app.http import AsyncBaseTransport
from app.identity.grants import Grant, Grants
from app.operations.schema import IssuerState
from app.operations.status import rfc3339
from app.settings import Settings, is_loopback
from app.upstream.client import UpstreamClient

if TYPE_CHECKING:
    from app.identity.issuer import Issuer
    from app.identity.issuers import Issuers
    from app.identity.login import Login


@dataclass(frozen=True, slots=True)
class Identity:
    """What authenticates callers that an issuer vouches for.

    Attributes:
        issuers: fetch and cache the keys; None if no issuer is configured.
        tokens: authenticates callers by token; None if that is not configured.
        login: lets people sign in; None if that is not configured.
    """

    issuers: "Issuers | None" = None
    tokens: TokenAuthenticator | None = None
    login: "Login | None" = None

    def start(self) -> None:
        """Fetch the keys of the issuers, in the background."""
        if self.issuers:
            self.issuers.start()

    def states(self) -> list[IssuerState]:
        """Return the state of each issuer, for operators."""
        issuers = self.issuers.issuers.values() if self.issuers else ()
        return [_issuer_state(issuer) for issuer in issuers]

    async def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for fetches in progress, then close the connections."""
        if self.issuers:
            await self.issuers.close(timeout)


def _issuer_state(issuer: "Issuer") -> IssuerState:
    found = issuer.state
    state = IssuerState(issuer=found.issuer, keys=found.keys)
    if found.loaded_at:
        state["loaded_at"] = rfc3339(found.loaded_at)
    if found.error:
        state["error"] = found.error
    return state


def create_identity(
    settings: Settings,
    clock: Clock,
    generation: CredentialGeneration,
    *,
    client: UpstreamClient,
    limits: CallerLimits,
    transport: AsyncBaseTransport | None = None,
) -> Identity:
    """Build what authenticates callers by the configured issuers, over `transport`."""
    grants = Grants(
        Grant(config.issuer, config.claim, config.value, frozenset(config.scopes))
        for config in settings.callers.grants
    )
    issuers = create_issuers(settings, clock, generation, transport)
    if issuers is None:
        return Identity()
    return Identity(
        issuers,
        _create_tokens(settings, issuers, grants, clock, generation),
        _create_login(settings, issuers, grants, clock, client=client, limits=limits),
    )


def _create_tokens(
    settings: Settings,
    issuers: "Issuers",
    grants: Grants,
    clock: Clock,
    generation: CredentialGeneration,
) -> TokenAuthenticator | None:
    callers = settings.callers
    if callers.oidc_issuer is None or callers.oidc_audience is None:
        return None
    from app.identity.tokens import TokenCallers  # noqa: PLC0415 - optional

    issuer = issuers.issuers[callers.oidc_issuer]
    return TokenCallers(issuer, callers.oidc_audience, grants, clock, generation)


def create_issuers(
    settings: Settings,
    clock: Clock,
    generation: CredentialGeneration,
    transport: AsyncBaseTransport | None,
) -> "Issuers | None":
    """Build the issuers, which are called with the CA and the proxy of the upstream; None if none.

    This machine is called directly, as no proxy could reach it.
    """
    if not settings.issuers():
        return None
    from app.identity.issuers import Issuers  # noqa: PLC0415 - optional

    upstream = settings.upstream
    proxy = upstream.proxy.get_secret_value() if upstream.proxy else None
    hosts = {url: urlsplit(url).hostname or "" for url in settings.issuers()}
    return Issuers(
        {url: None if is_loopback(host) else proxy for url, host in hosts.items()},
        clock,
        on_change=generation.advance,
        ca_file=upstream.ca_file,
        transport=transport,
    )


def _create_login(
    settings: Settings,
    issuers: "Issuers",
    grants: Grants,
    clock: Clock,
    *,
    client: UpstreamClient,
    limits: CallerLimits,
) -> "Login | None":
    config = settings.login
    if config.issuer is None or config.client_id is None or config.client_secret is None:
        return None
    from app.identity.login import Login  # noqa: PLC0415 - optional

    return Login(
        issuers.issuers[config.issuer],
        issuers.clients[config.issuer],
        clock,
        client_id=config.client_id,
        client_secret=config.client_secret,
        cookie_secrets=config.cookie_secrets,
        scopes=config.scopes,
        lifetime=config.lifetime,
        grants=grants,
        limits=limits,
        public_url=settings.server.public_url or "",
        origins=settings.cors.origins,
        home="/dashboard" if settings.dashboard.enabled else "/",
        is_sandbox=lambda: is_sandbox(settings, client),
    )
