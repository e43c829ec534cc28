"""Services with a token of an issuer, through the complete proxy."""

import json
from typing import Any

import httpx
import pytest

from tests.edge.asgi_harness import logging_to
from tests.identity.forge import AUDIENCE, ISSUER, FakeIssuer, sign
from tests.support.proxy import LIST, Proxy, problem

GRANTS = [
    {"claim": "roles", "value": "billing", "scopes": ["orders:read"]},
    {"issuer": ISSUER, "claim": "scope", "value": "orders.raw", "scopes": ["orders:raw"]},
]


class TokenProxy(Proxy):
    """The proxy with an issuer."""

    def __init__(self, **more: str) -> None:
        self.issuer = FakeIssuer()
        environ = {
            "ORDERS_CALLERS__OIDC_ISSUER": ISSUER,
            "ORDERS_CALLERS__OIDC_AUDIENCE": AUDIENCE,
            "ORDERS_CALLERS__GRANTS": json.dumps(GRANTS),
        }
        super().__init__(environ=environ | more, issuer_transport=self.issuer.transport)
        self.issuer.clock = self.clock

    async def get_as(self, path: str, **claims: Any) -> httpx.Response:
        """Return the response to a caller whose token has these claims."""
        token = sign(self.issuer.claims(**claims)).decode()
        return await self.get(path, Authorization=f"Bearer {token}")


async def test_a_service_with_a_grant_reads_orders() -> None:
    proxy = TokenProxy()

    assert (await proxy.get_as("/v1/orders", roles=["billing"])).status_code == 200
    response = await proxy.get_as("/v1/orders?include=raw", roles="billing", scope="x orders.raw")
    assert response.status_code == 200
    assert (await proxy.get_as("/v1/me", roles="billing")).json()["data"] == {
        "name": "service-1",
        "kind": "token",
        "scopes": ["orders:read"],
    }


async def test_without_a_grant_only_the_own_identity_can_be_read() -> None:
    proxy = TokenProxy()

    denied = await proxy.get_as("/v1/orders", roles="customer", scope="orders:read")
    me = await proxy.get_as("/v1/me", roles="customer")

    assert denied.status_code == 403
    assert problem(denied)["code"] == "forbidden"
    assert me.status_code == 200
    assert me.json()["data"]["scopes"] == []
    assert proxy.all_calls == 0


async def test_a_wrong_token_is_rejected_with_the_reason() -> None:
    proxy = TokenProxy(ORDERS_CALLERS__ANONYMOUS="true")

    response = await proxy.get_as("/v1/orders", aud="another-api", roles="billing")

    assert response.status_code == 401
    assert response.headers["www-authenticate"].endswith('error="invalid_token"')
    assert problem(response)["detail"] == f"The `aud` of the token does not contain {AUDIENCE}."
    assert proxy.calls(LIST) == 0


async def test_a_token_of_another_issuer_is_ignored() -> None:
    proxy = TokenProxy(ORDERS_CALLERS__ANONYMOUS="true")

    me = await proxy.get_as("/v1/me", iss="https://gateway.example.com")

    assert me.json()["data"]["kind"] == "anonymous"
    assert proxy.issuer.requests == []


async def test_a_hit_is_answered_to_a_token_only_if_it_has_the_scope() -> None:
    proxy = TokenProxy()
    await proxy.get_as("/v1/orders", roles="billing")

    hit = await proxy.get_as("/v1/orders", roles="billing")
    denied = await proxy.get_as("/v1/orders", roles="customer")

    assert "hit" in hit.headers["cache-status"]
    assert denied.status_code == 403


@pytest.mark.parametrize("path", ["/v1/me", "/v1/orders"])
async def test_while_the_issuer_was_never_reached_tokens_are_answered_503(path: str) -> None:
    proxy = TokenProxy()
    proxy.issuer.respond = lambda _: httpx.Response(500)

    response = await proxy.get_as(path, roles="billing")

    document = problem(response)
    assert (response.status_code, document["code"]) == (503, "issuer_unavailable")
    assert document["retryable"]
    assert response.headers["retry-after"] == "2"
    await proxy.clock.advance(2)
    proxy.issuer.respond = None
    await proxy.clock.advance(4)
    assert (await proxy.get_as(path, roles="billing")).status_code == 200


async def test_no_part_of_a_token_appears_in_an_answer_or_in_the_log() -> None:
    proxy = TokenProxy()
    good = sign(proxy.issuer.claims(roles="canary"), kid="1", jku="https://canary.example.com")
    bad = sign(proxy.issuer.claims(sub="canary\n"), kid="canary")
    texts = []

    with logging_to() as log:
        for token in (good.decode(), bad.decode()):
            response = await proxy.get("/v1/me", Authorization=f"Bearer {token}")
            texts.append(response.text)

    text = log.text() + "".join(texts)
    assert "canary" not in text
    assert not any(part.decode() in text for part in b".".join((good, bad)).split(b"."))
    assert [line["status"] for line in log.lines() if line["event"] == "request"] == [200, 401]


async def test_the_keys_are_fetched_at_the_start() -> None:
    proxy = TokenProxy()

    async with proxy.app.api.router.lifespan_context(proxy.app.api):
        await proxy.clock.advance(0)
        assert proxy.issuer.jwks_requests == 1
        assert (await proxy.get_as("/v1/orders", roles="billing")).status_code == 200
        assert proxy.issuer.jwks_requests == 1
