"""A browser that signs in at an issuer which does what a test wants, all on the manual clock."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.identity.forge import ISSUER, FakeIssuer, sign
from tests.support.clock import NOON
from tests.support.proxy import Proxy

ORIGIN = "https://orders.example.com"
CLIENT_ID = "orders-dashboard"
CLIENT_SECRET = "canary secret+%".replace(" ", "/")
COOKIE_SECRET = "canary-cookie-secret-0123456789abcdef"
TOKEN_URL = f"{ISSUER}/token"
GRANTS = [{"claim": "roles", "value": "billing", "scopes": ["orders:read"]}]
LOGIN = {
    "ORDERS_LOGIN__ISSUER": ISSUER,
    "ORDERS_LOGIN__CLIENT_ID": CLIENT_ID,
    "ORDERS_LOGIN__CLIENT_SECRET": CLIENT_SECRET,
    "ORDERS_LOGIN__COOKIE_SECRETS": json.dumps([COOKIE_SECRET]),
    "ORDERS_CALLERS__GRANTS": json.dumps(GRANTS),
    "ORDERS_SERVER__PUBLIC_URL": ORIGIN,
    "ORDERS_DASHBOARD__ENABLED": "true",
}
NAVIGATION = {
    "Accept": "text/html,*/*",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


class LoginIssuer(FakeIssuer):
    """An issuer with a token endpoint.

    Attributes:
        id_token: replaces members of the claims of the next ID token; None removes one.
        sign: signs it.
        token_response: replaces the response of the token endpoint.
        token_requests: the requests to it.
        nonce: of the last authorization request.
    """

    def __init__(self) -> None:
        super().__init__()
        self.metadata = {
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": TOKEN_URL,
        }
        self.id_token: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], bytes] = sign
        self.token_response: httpx.Response | Exception | None = None
        self.token_requests: list[httpx.Request] = []
        self.nonce = ""
        self.respond = self._respond

    @property
    def token_form(self) -> dict[str, list[str]]:
        """The form of the last request to the token endpoint."""
        return parse_qs(self.token_requests[-1].content.decode())

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) != TOKEN_URL:
            return self.publish(request)
        self.token_requests.append(request)
        if isinstance(self.token_response, Exception):
            raise self.token_response
        if self.token_response is not None:
            return self.token_response
        claims = {"aud": CLIENT_ID, "sub": "s1", "name": "Ada", "roles": ["billing"]}
        changed = claims | {"nonce": self.nonce} | self.id_token
        token = self.sign(self.claims(**changed)).decode()
        return httpx.Response(200, json={"id_token": token, "access_token": "canary-access"})


class LoginBrowser:
    """One browser and the proxy that it uses. Cookies are kept as a browser keeps them.

    With `network` the proxy calls a real issuer, at the time of the issuer.
    """

    def __init__(
        self, issuer: LoginIssuer | None = None, network: bool = False, /, **environ: str
    ) -> None:
        self.issuer = issuer or LoginIssuer()
        variables = {**LOGIN, **environ}
        self.proxy = Proxy(
            environ={name: value for name, value in variables.items() if value},
            issuer_transport=None if network else self.issuer.transport,
        )
        if network:
            self.proxy.clock.wall_offset = datetime.now(UTC) - NOON
        self.issuer.clock = self.proxy.clock
        self.origin = variables["ORDERS_SERVER__PUBLIC_URL"] or "http://localhost:8000"
        self.cookies = httpx.Cookies()

    async def request(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one request, by default as a page of the same origin."""
        transport = httpx.ASGITransport(self.proxy.app, client=("192.0.2.1", 1))
        origin = urlsplit(self.origin)
        base = f"{origin.scheme}://{origin.netloc}"
        async with httpx.AsyncClient(
            transport=transport, base_url=base, cookies=self.cookies
        ) as client:
            response = await client.request(
                method, path, headers=SAME_ORIGIN if headers is None else headers
            )
            self.cookies = client.cookies
        return response

    async def open(self, path: str) -> httpx.Response:
        """Open a page from another site."""
        return await self.request(path, headers=NAVIGATION)

    async def begin(self, path: str = "/auth/login") -> dict[str, str]:
        """Begin to sign in; return the parameters of the authorization request."""
        response = await self.open(path)
        assert response.status_code == 303, response.text
        query = parse_qs(urlsplit(response.headers["location"]).query)
        parameters = {name: value for name, (value,) in query.items()}
        self.issuer.nonce = parameters["nonce"]
        return parameters

    async def come_back(self, state: str, **query: str) -> httpx.Response:
        """Come back from the issuer, with a code unless something else is given."""
        parameters = httpx.QueryParams({"state": state} | (query or {"code": "c1"}))
        return await self.open(f"/auth/callback?{parameters}")

    async def sign_in(self, path: str = "/auth/login") -> httpx.Response:
        """Sign in; return the response to the callback."""
        return await self.come_back((await self.begin(path))["state"])

    async def me(self) -> Any:
        """Return what the proxy knows about the caller."""
        return (await self.request("/v1/me")).json()
