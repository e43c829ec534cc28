"""Checks of the settings that say which issuers are trusted, and for what."""

from collections.abc import Iterator

from app.settings.errors import env_name
from app.settings.models import Settings

Path = tuple[str, ...]
Finding = tuple[tuple[Path, ...], str]
"""The settings that contradict each other, the one to change first, and what is wrong."""

_ISSUER, _AUDIENCE = ("callers", "oidc_issuer"), ("callers", "oidc_audience")
_GRANTS = ("callers", "grants")
_LOGIN_ISSUER, _LOGIN_CLIENT = ("login", "issuer"), ("login", "client_id")


def find_identity_conflicts(settings: Settings) -> Iterator[Finding]:
    """Yield the combinations that cannot work, or would trust more than is meant."""
    callers, issuers = settings.callers, settings.issuers()
    if callers.oidc_issuer and not callers.oidc_audience:
        message = (
            f"is required with {env_name(*_ISSUER)}: without it a token that was issued for any"
            " other API would be accepted"
        )
        yield (_AUDIENCE, _ISSUER), message
    if callers.oidc_audience and not callers.oidc_issuer:
        yield (_AUDIENCE, _ISSUER), f"requires {env_name(*_ISSUER)}"
    client_id = settings.login.client_id
    if callers.oidc_audience and callers.oidc_audience == client_id:
        message = (
            f"must not be {env_name(*_LOGIN_CLIENT)}: the ID token of everybody who signs in would"
            " be accepted"
        )
        yield (_AUDIENCE, _LOGIN_CLIENT), message
    for number, grant in enumerate(callers.grants, 1):
        message = ""
        if not issuers:
            message = f"requires {env_name(*_ISSUER)} or {env_name(*_LOGIN_ISSUER)}"
        elif grant.issuer is None and len(issuers) > 1:
            message = (
                f"entry {number}: must have an `issuer`: two are configured, and a role at one of"
                " them must not count at the other"
            )
        elif grant.issuer is not None and grant.issuer not in issuers:
            names = " or ".join(issuers)
            message = f"entry {number}: `issuer` must be {names}, exactly as it is configured"
        if message:
            yield (_GRANTS, _ISSUER, _LOGIN_ISSUER), message
            return


def identity_warnings(settings: Settings) -> Iterator[str]:
    """Yield what is unsafe, or has no effect."""
    callers = settings.callers
    if callers.oidc_issuer and not callers.grants:
        yield (
            f"{env_name(*_ISSUER)} has little effect: without {env_name(*_GRANTS)} its tokens open"
            " nothing"
        )
    for number, grant in enumerate(callers.grants, 1):
        concerns_tokens = callers.oidc_issuer and grant.issuer in (None, callers.oidc_issuer)
        if grant.claim in ("scope", "scp") and not concerns_tokens:
            yield (
                f"{env_name(*_GRANTS)}: entry {number} has no effect: `{grant.claim}` counts only"
                f" in tokens of {env_name(*_ISSUER)}"
            )
