"""Tokens of a real OpenID provider."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.support.clock import NOON
from tests.support.issuer import AUDIENCE, NodeIssuer, running_issuer
from tests.support.proxy import Proxy, problem

GRANT = {"claim": "roles", "value": "billing", "scopes": ["orders:read"]}


@pytest.fixture(scope="module")
def issuer() -> Iterator[NodeIssuer]:
    with running_issuer() as running:
        yield running


def proxy_for(issuer: NodeIssuer, **upstream: str) -> Proxy:
    """Return a proxy that calls the issuer over the network, at the time of the issuer."""
    proxy = Proxy(
        upstream=upstream,
        environ={
            "ORDERS_CALLERS__OIDC_ISSUER": issuer.url,
            "ORDERS_CALLERS__OIDC_AUDIENCE": AUDIENCE,
            "ORDERS_CALLERS__GRANTS": json.dumps([GRANT]),
        },
    )
    proxy.clock.wall_offset = datetime.now(UTC) - NOON
    return proxy


async def get_as(proxy: Proxy, token: str) -> httpx.Response:
    return await proxy.get("/v1/orders", Authorization=f"Bearer {token}")


async def test_a_service_is_authenticated_and_its_role_opens_the_list(issuer: NodeIssuer) -> None:
    proxy = proxy_for(issuer)
    token = issuer.access_token()

    assert (await get_as(proxy, token)).status_code == 200
    me = (await proxy.get("/v1/me", Authorization=f"Bearer {token}")).json()["data"]

    assert me == {"name": "service", "kind": "token", "scopes": ["orders:read"]}
    wrong = await get_as(proxy, token[:-8] + "AAAAAAAA")
    assert problem(wrong)["detail"] == "The signature of the token is not valid."


async def test_an_issuer_on_this_machine_is_called_without_the_egress_proxy(
    issuer: NodeIssuer,
) -> None:
    proxy = proxy_for(issuer, proxy="http://127.0.0.1:1")

    assert (await get_as(proxy, issuer.access_token())).status_code == 200


async def test_a_new_key_is_accepted_and_a_withdrawn_one_is_not(issuer: NodeIssuer) -> None:
    proxy = proxy_for(issuer)
    first = issuer.access_token()
    assert (await get_as(proxy, first)).status_code == 200

    issuer.rotate(keep=True)
    second = issuer.access_token()
    await proxy.clock.advance(60)
    assert (await get_as(proxy, second)).status_code == 200
    assert (await get_as(proxy, first)).status_code == 200

    issuer.rotate(keep=False)
    third = issuer.access_token()
    await proxy.clock.advance(60)
    assert (await get_as(proxy, third)).status_code == 200
    assert (await get_as(proxy, first)).status_code == 401
    assert (await get_as(proxy, second)).status_code == 401
