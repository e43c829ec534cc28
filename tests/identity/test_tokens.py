"""Callers that are authenticated by a token."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from app.edge.auth import CredentialGeneration, Rejected
from app.edge.context import Caller
from app.identity.grants import Grant, Grants
from app.identity.issuer import Issuer
from app.identity.tokens import MAX_CACHED_TOKENS, TokenCallers
from tests.identity.forge import (
    AUDIENCE,
    ISSUER,
    FakeIssuer,
    key_of,
    part,
    public,
    sign,
    sign_with_public_key,
)

READ = Grant(None, "roles", "billing", frozenset({"orders:read"}))


class Verifications(Issuer):
    """An issuer that counts the tokens that it verifies."""

    count = 0

    async def verify(self, token: bytes) -> dict[str, Any]:
        self.count += 1
        return await super().verify(token)


class Api:
    """The token callers of an API, and their issuer."""

    def __init__(self, grants: Sequence[Grant] = (READ,)) -> None:
        self.fake = FakeIssuer()
        self.clock = self.fake.clock
        self.generation = CredentialGeneration()
        self.issuer = Verifications(
            ISSUER, self.fake.client(), self.clock, on_change=self.generation.advance
        )
        self.callers = TokenCallers(
            self.issuer, AUDIENCE, Grants(grants), self.clock, self.generation
        )

    async def authenticate(self, token: bytes) -> Caller | None:
        return await self.callers.authenticate(token)

    async def rejection(self, token: bytes) -> tuple[str, str]:
        """Return the code and the detail of the problem for a token."""
        with pytest.raises(Rejected) as raised:
            await self.callers.authenticate(token)
        return raised.value.problem.code, raised.value.problem.detail


async def test_a_token_identifies_its_caller() -> None:
    api = Api()

    caller = await api.authenticate(sign(api.fake.claims(roles=["billing"])))

    assert caller is not None
    assert (caller.name, caller.kind) == ("service-1", "token")
    assert caller.scopes == {"orders:read"}
    assert caller.limit_key == ("subject", ISSUER, "service-1")
    assert caller.expires_at == api.clock.timestamp() + 600 + 60


async def test_a_caller_without_a_grant_is_authenticated_and_has_no_scopes() -> None:
    api = Api()

    caller = await api.authenticate(sign(api.fake.claims(roles=["customer"], scope="orders:read")))

    assert caller is not None
    assert caller.scopes == frozenset()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": 1}, "has expired"),
        ({"aud": "another-api"}, "aud"),
        ({"nbf": 2**40}, "not valid yet"),
        ({"nonce": "n"}, "ID token"),
        ({"sub": None}, "no `sub`"),
    ],
    ids=str,
)
async def test_an_offered_token_with_wrong_claims_is_rejected(
    changed: dict[str, object], reason: str
) -> None:
    api = Api()

    code, detail = await api.rejection(sign(api.fake.claims(**changed)))

    assert code == "unauthenticated"
    assert reason in detail


async def test_an_offered_token_with_a_wrong_signature_is_rejected() -> None:
    api = Api()
    claims = api.fake.claims()
    head, body, signature = sign(claims).split(b".")
    other_claims = part(api.fake.claims(sub="admin"))

    for token in (
        sign(claims, key=key_of("ES256", 2)),
        sign(claims, kid="unknown"),
        b".".join((head, other_claims, signature)),
        b".".join((head, body, b"")),
        b".".join((part({"alg": "none"}), body, b"")),
        sign_with_public_key(claims, key_of("ES256")),
    ):
        assert (await api.rejection(token))[0] == "unauthenticated"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(sign({"iss": "https://other.example.com"}), id="other-issuer"),
        pytest.param(sign({"iss": f"{ISSUER}/"}), id="slash"),
        pytest.param(sign({"iss": 1}), id="number"),
        pytest.param(sign({}), id="no-issuer"),
        pytest.param(b"eyJ.eyJ.AA", id="malformed"),
        pytest.param(b"eyJ." + part(b'{"iss":' + b"[" * 20_000) + b".AA", id="nested"),
        pytest.param(part({"alg": "dir"}) + b"..AA.AA.AA", id="encrypted"),
    ],
)
async def test_a_token_of_another_issuer_is_not_offered_to_us(token: bytes) -> None:
    api = Api()

    assert await api.authenticate(token) is None
    assert api.fake.requests == []


async def test_a_verified_token_is_not_verified_again_until_it_expires() -> None:
    api = Api()
    token = sign(api.fake.claims())
    first = await api.authenticate(token)

    assert await api.authenticate(token) is first
    await api.clock.advance(659)
    assert await api.authenticate(token) is first
    assert api.issuer.count == 1

    await api.clock.advance(1)
    assert "expired" in (await api.rejection(token))[1]


async def test_a_token_of_a_withdrawn_key_is_not_accepted_from_the_cache() -> None:
    api = Api()
    token = sign(api.fake.claims())
    await api.authenticate(token)

    api.fake.keys = [public(key_of("ES256", 2), kid="2")]
    await api.clock.advance(300)

    assert (await api.rejection(token))[0] == "unauthenticated"


async def test_a_changed_generation_invalidates_cached_tokens() -> None:
    api = Api()
    token = sign(api.fake.claims())
    await api.authenticate(token)

    api.generation.advance()
    await api.authenticate(token)
    await api.authenticate(token)

    assert api.issuer.count == 2


async def test_a_token_that_was_verified_before_a_change_is_verified_again_after_it() -> None:
    api = Api()
    token = sign(api.fake.claims())

    class ChangedMeanwhile(Verifications):
        async def verify(self, token: bytes) -> dict[str, Any]:
            claims = await super().verify(token)
            if self.count == 1:
                api.generation.advance()
            return claims

    issuer = ChangedMeanwhile(ISSUER, api.fake.client(), api.clock)
    callers = TokenCallers(issuer, AUDIENCE, Grants([READ]), api.clock, api.generation)
    for _ in range(3):
        await callers.authenticate(token)

    assert issuer.count == 2


async def test_the_number_of_cached_tokens_is_bounded() -> None:
    api = Api()
    await api.authenticate(sign(api.fake.claims()))

    store = api.callers._verified
    entry = next(iter(store.items()))[1]
    for number in range(MAX_CACHED_TOKENS + 10):
        store.put(number.to_bytes(32, "big"), entry)

    assert len(store) == MAX_CACHED_TOKENS


async def test_while_the_issuer_was_never_reached_the_caller_may_try_again() -> None:
    api = Api()
    api.fake.respond = lambda _: httpx.Response(503)

    assert (await api.rejection(sign(api.fake.claims())))[0] == "issuer_unavailable"
