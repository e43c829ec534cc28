"""Grants as they are configured: which claims of an issuer open which scopes."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from app.settings.api_keys import Scopes
from app.settings.types import ClaimName, ClaimValue, IssuerUrl, from_json


class GrantConfig(BaseModel):
    """One grant: whoever has `value` in `claim` has `scopes`.

    Attributes:
        issuer: whose word counts. Required if two issuers are configured.
        claim: the name of a claim, or its path with dots.
        value: one of the claim's values.
        scopes: what it opens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: IssuerUrl | None = None
    claim: ClaimName
    value: ClaimValue
    scopes: Scopes


def _require_unique(grants: tuple[GrantConfig, ...]) -> tuple[GrantConfig, ...]:
    if len({(grant.issuer, grant.claim, grant.value) for grant in grants}) < len(grants):
        raise ValueError("must have each claim and value once: add the scopes to one entry")
    return grants


GrantList = Annotated[
    tuple[GrantConfig, ...], BeforeValidator(from_json), AfterValidator(_require_unique)
]
