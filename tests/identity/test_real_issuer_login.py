"""Sign-in at a real OpenID provider."""

from urllib.parse import urljoin

import httpx

from tests.identity.login_browser import ORIGIN, LoginBrowser
from tests.support.issuer import NodeIssuer, running_issuer

CALLBACK = f"{ORIGIN}/auth/callback"


async def path_of_callback(location: str) -> str:
    """Follow the redirects of the issuer, as a browser does; return the path of the callback."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while not location.startswith(CALLBACK):
            response = await client.get(location)
            assert response.status_code in {302, 303}, response.text
            location = urljoin(location, response.headers["location"])
    return location.removeprefix(ORIGIN)


def browser_for(issuer: NodeIssuer) -> LoginBrowser:
    return LoginBrowser(
        None,
        True,
        ORDERS_LOGIN__ISSUER=issuer.url,
        ORDERS_LOGIN__CLIENT_ID=issuer.client_id,
        ORDERS_LOGIN__CLIENT_SECRET=issuer.client_secret,
    )


async def test_people_sign_in_at_a_real_provider() -> None:
    with running_issuer(redirect_uris=[CALLBACK]) as issuer:
        browser = browser_for(issuer)
        location = (await browser.open("/auth/login")).headers["location"]
        callback = await path_of_callback(location)
        assert (await browser.open(callback)).status_code == 200
        assert (await browser.me())["data"] == {
            "name": "Alice Example",
            "kind": "session",
            "scopes": ["orders:read"],
        }

        issuer.rotate(keep=False)
        issuer.sign_in_as("bob", name="Bob Example", roles=[])
        await browser.proxy.clock.advance(60)
        other = browser_for(issuer)
        callback = await path_of_callback((await other.open("/auth/login")).headers["location"])
        thief = browser_for(issuer)
        assert (await thief.open(callback)).status_code == 400
        assert (await other.open(callback)).status_code == 200
        assert (await other.me())["data"]["scopes"] == []
        assert (await other.open(callback)).status_code == 400
        signed_out = await other.open("/auth/end-session")
        assert signed_out.headers["location"].startswith(f"{issuer.url}/session/end?client_id=")
