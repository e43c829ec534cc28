"""The issuer of the sandbox: a complete sign-in, and what it refuses."""

import base64
import re
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from app.sandbox.app import Sandbox
from app.sandbox.issuer import CODE_SECONDS, MAX_CODES, SandboxIssuer
from app.sandbox.options import CLIENT_ID, CLIENT_SECRET, Options
from tests.support.clock import ManualClock

CLIENT = (CLIENT_ID, CLIENT_SECRET)
VERIFIER = "verifier" * 6
CHALLENGE = base64.urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT_URI = "http://localhost:8000/auth/callback"
REQUEST = {
    "response_type": "code",
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "scope": "openid profile",
    "state": "s1",
    "nonce": "n1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


class Client:
    """A client of the issuer, which is part of a sandbox."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        transport = httpx.ASGITransport(Sandbox(Options(orders=1), clock=self.clock))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9090")
        self.metadata: dict[str, Any] = {}

    async def discover(self) -> dict[str, Any]:
        response = await self.http.get("/issuer/.well-known/openid-configuration")
        self.metadata = response.json()
        return self.metadata

    async def authorize(self, **changes: str) -> httpx.Response:
        parameters = {name: value for name, value in (REQUEST | changes).items() if value}
        return await self.http.get("/issuer/authorize", params=parameters)

    async def code(self, person: str = "ada") -> str:
        response = await self.authorize(person=person)
        return answer_of(response)["code"]

    async def exchange(
        self, code: str, changes: dict[str, str] | None = None, auth: tuple[str, str] = CLIENT
    ) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        }
        return await self.http.post("/issuer/token", data=form | (changes or {}), auth=auth)


def answer_of(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 303
    assert response.headers["location"].startswith(REDIRECT_URI)
    query = parse_qs(urlsplit(response.headers["location"]).query)
    return {name: value for name, (value,) in query.items()}


async def test_a_person_is_chosen_and_signs_in() -> None:
    client = Client()
    metadata = await client.discover()
    assert metadata["issuer"] == "http://127.0.0.1:9090/issuer"

    page = await client.authorize()
    links = re.findall(r'href="(authorize[^"]*)"', page.text)
    assert len(links) == 3
    answer = answer_of(await client.http.get(urljoin("/issuer/authorize", unescape(links[0]))))
    assert (answer["state"], answer["iss"]) == ("s1", metadata["issuer"])
    response = (await client.exchange(answer["code"])).json()
    keys = KeySet.import_key_set((await client.http.get(metadata["jwks_uri"])).json())
    claims = jwt.decode(response["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["aud"] == CLIENT_ID
    assert claims["nonce"] == "n1"
    assert claims["roles"] == ["finance"]
    cancelled = await client.http.get(urljoin("/issuer/authorize", unescape(links[2])))
    assert answer_of(cancelled)["error"] == "access_denied"
    assert (await client.http.get(metadata["end_session_endpoint"])).status_code == 200


async def test_a_code_is_used_once() -> None:
    client = Client()
    code = await client.code()
    assert (await client.exchange(code)).status_code == 200
    assert (await client.exchange(code)).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "changes",
    [{"code_verifier": "other"}, {"redirect_uri": "http://localhost/"}, {"grant_type": "x"}],
)
async def test_a_code_is_for_the_client_that_requested_it(changes: dict[str, str]) -> None:
    client = Client()
    assert (await client.exchange(await client.code(), changes)).status_code == 400


async def test_a_code_expires_and_the_oldest_is_forgotten() -> None:
    client = Client()
    code = await client.code()
    await client.clock.advance(CODE_SECONDS)
    assert (await client.exchange(code)).status_code == 400
    first, *_ = [await client.code() for _ in range(MAX_CODES + 1)]
    assert (await client.exchange(first)).status_code == 400


@pytest.mark.parametrize("auth", [(CLIENT_ID, "wrong"), ("other", CLIENT_SECRET)])
async def test_the_client_must_authenticate(auth: tuple[str, str]) -> None:
    client = Client()
    response = await client.exchange(await client.code(), auth=auth)
    assert response.status_code == 401
    broken = await client.http.post("/issuer/token", headers={"Authorization": "Basic !"})
    assert broken.status_code == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_is_reported_to_the_client(
    changes: dict[str, str], error: str
) -> None:
    assert answer_of(await Client().authorize(**changes))["error"] == error


@pytest.mark.parametrize(
    "changes", [{"client_id": "x"}, {"redirect_uri": "https://other.example/auth/callback"}]
)
async def test_nothing_is_sent_to_an_unknown_client(changes: dict[str, str]) -> None:
    response = await Client().authorize(**changes)
    assert response.status_code == 400


async def test_other_redirect_uris_must_be_named() -> None:
    named = "https://orders.example/auth/callback?x=1"
    issuer = SandboxIssuer(clock=ManualClock(), redirect_uris=[named])
    transport = httpx.ASGITransport(issuer)
    async with httpx.AsyncClient(transport=transport, base_url="https://id.test") as client:
        for redirect_uri, status in ((named, 303), (REDIRECT_URI, 400)):
            parameters = REQUEST | {"redirect_uri": redirect_uri, "person": "grace"}
            response = await client.get("/authorize", params=parameters)
            assert response.status_code == status
