"""Sign-in through the whole proxy: what is sent to the issuer, and what is accepted of it."""

import base64
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from html import unescape
from typing import Any

import httpx
import pytest

from app.edge.caller_limits import FAILURE_RATE
from app.identity.cookie_encryption import MAX_COOKIE_BYTES
from tests.edge.asgi_harness import logging_to
from tests.identity.forge import ISSUER, key_of, part, sign, sign_with_public_key
from tests.identity.login_browser import (
    CLIENT_ID,
    CLIENT_SECRET,
    COOKIE_SECRET,
    NAVIGATION,
    SAME_ORIGIN,
    LoginBrowser,
    LoginIssuer,
)
from tests.support.proxy import problem

SESSION = "__Host-Http-orders"


def target_of(response: httpx.Response) -> str:
    """Return where the page of the callback leads."""
    match = re.search(r'content="0; url=([^"]*)"', response.text)
    assert match
    return unescape(match[1])


def link_of(response: httpx.Response) -> str:
    """Return the one way on from a page about a failed sign-in."""
    match = re.search(r'<a class="button" href="([^"]*)">Sign in again', response.text)
    assert match
    return unescape(match[1])


def unsigned(claims: dict[str, Any]) -> bytes:
    """Return a token without a signature."""
    return b".".join((part({"alg": "none"}), part(claims), b""))


async def test_a_person_signs_in_and_uses_the_api() -> None:
    browser = LoginBrowser()
    assert (await browser.request("/v1/orders")).status_code == 401

    request = await browser.begin("/auth/login?return_to=/dashboard%3Fstatus%3Dpaid%26q%3D%60a%60")
    response = await browser.come_back(request["state"])

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert target_of(response) == "/dashboard?status=paid&q=`a`"
    me = await browser.me()
    assert me["data"] == {"name": "Ada", "kind": "session", "scopes": ["orders:read"]}
    assert (await browser.request("/v1/orders")).status_code == 200
    assert list(browser.cookies) == [SESSION]


async def test_the_authorization_request_is_bound_to_this_browser() -> None:
    browser = LoginBrowser()
    request = await browser.begin()

    assert {name: request[name] for name in ("response_type", "client_id", "scope", "tenant")} == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "scope": "openid profile email",
        "tenant": "1",
    }
    assert request["redirect_uri"] == "https://orders.example.com/auth/callback"
    assert request["code_challenge_method"] == "S256"
    other = await browser.begin()
    for name in ("state", "nonce", "code_challenge"):
        assert request[name] != other[name]


async def test_the_code_is_exchanged_with_the_verifier_and_the_client_secret() -> None:
    browser = LoginBrowser()
    request = await browser.begin()
    await browser.come_back(request["state"])

    form = browser.issuer.token_form
    assert form["grant_type"] == ["authorization_code"]
    assert form["code"] == ["c1"]
    assert form["redirect_uri"] == [request["redirect_uri"]]
    assert "client_secret" not in form
    scheme, _, value = browser.issuer.token_requests[0].headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(value) == b"orders-dashboard:canary%2Fsecret%2B%25"


async def test_the_client_authenticates_as_the_issuer_supports_it() -> None:
    browser = LoginBrowser()
    browser.issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await browser.sign_in()
    assert browser.issuer.token_form["client_secret"] == [CLIENT_SECRET]
    assert "authorization" not in browser.issuer.token_requests[0].headers

    browser = LoginBrowser()
    browser.issuer.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    assert (await browser.sign_in()).status_code == 502
    assert browser.issuer.token_requests == []


async def test_a_person_without_grants_is_known_and_may_do_nothing() -> None:
    browser = LoginBrowser()
    browser.issuer.id_token = {"roles": ["other"], "scope": "orders:read"}
    await browser.sign_in()

    assert (await browser.me())["data"]["scopes"] == []
    assert problem(await browser.request("/v1/orders"))["code"] == "forbidden"


async def test_behind_a_prefix_all_addresses_have_it() -> None:
    browser = LoginBrowser(ORDERS_SERVER__PUBLIC_URL="https://orders.example.com/shop")
    request = await browser.begin()
    assert request["redirect_uri"] == "https://orders.example.com/shop/auth/callback"
    assert target_of(await browser.come_back(request["state"])) == "/shop/dashboard"
    browser.cookies.clear()
    assert problem(await browser.request("/v1/me"))["login"] == "/shop/auth/login"
    failed = await browser.come_back("x", code="c")
    assert link_of(failed) == "/shop/auth/login"


async def test_on_loopback_no_https_is_needed() -> None:
    browser = LoginBrowser(ORDERS_SERVER__PUBLIC_URL="", ORDERS_DASHBOARD__ENABLED="")
    request = await browser.begin()
    assert request["redirect_uri"] == "http://localhost:8000/auth/callback"
    assert target_of(await browser.come_back(request["state"])) == "/"
    assert list(browser.cookies) == ["orders"]
    own = {"Origin": "http://localhost:8000", "X-CSRF": "1"}
    assert (await browser.request("/v1/me", headers=own)).status_code == 200
    other = {"Origin": "http://localhost:9000", "X-CSRF": "1"}
    assert (await browser.request("/v1/me", headers=other)).status_code == 403


@pytest.mark.parametrize(
    "claims", [{"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}, {"exp": 2**60}]
)
async def test_valid_variants_of_an_id_token_are_accepted(claims: dict[str, Any]) -> None:
    browser = LoginBrowser()
    browser.issuer.id_token = claims
    assert (await browser.sign_in()).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": [CLIENT_ID, "other"]},
        {"aud": None},
        {"azp": "other"},
        {"nonce": "other"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 2**40},
        {"sub": ""},
        {"sub": None},
        {"sub": "x" * 256},
    ],
    ids=lambda value: re.sub(r"[^a-z0-9]+", "-", str(value)[:40].lower()),
)
async def test_an_id_token_that_is_wrong_signs_nobody_in(claims: dict[str, Any]) -> None:
    browser = LoginBrowser()
    browser.issuer.id_token = claims
    await assert_refuses_the_id_token(browser)


@pytest.mark.parametrize(
    "signed",
    [
        pytest.param(partial(sign, key=key_of("ES256", 2)), id="other-key"),
        pytest.param(partial(sign, kid="other"), id="other-kid"),
        pytest.param(partial(sign_with_public_key, key=key_of("ES256")), id="hs256"),
        pytest.param(unsigned, id="none"),
    ],
)
async def test_an_id_token_that_the_issuer_has_not_signed_signs_nobody_in(
    signed: Callable[[dict[str, Any]], bytes],
) -> None:
    browser = LoginBrowser()
    browser.issuer.sign = signed
    await assert_refuses_the_id_token(browser)


async def assert_refuses_the_id_token(browser: LoginBrowser) -> None:
    with logging_to() as log:
        response = await browser.sign_in()

    assert response.status_code == 502
    assert link_of(response) == "/auth/login?return_to=%2Fdashboard"
    assert SESSION not in browser.cookies
    (line,) = [line for line in log.lines() if line["event"] == "login_failed"]
    assert line["reason"] == "id_token_invalid"
    assert line["client"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("response", "status", "reason"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), 400, "code_rejected"),
        (httpx.Response(401, json={"error": "invalid_client"}), 502, "invalid_client"),
        (httpx.Response(400, json={"error": "<b>canary"}), 502, "status_400"),
        (httpx.Response(404, text="canary"), 502, "status_404"),
        (httpx.Response(302, headers={"Location": "/canary"}), 502, "status_302"),
        (httpx.Response(200, json={"access_token": "canary"}), 502, "token_response_malformed"),
        (httpx.Response(200, json={"id_token": None}), 502, "token_response_malformed"),
        (httpx.Response(200, text="canary"), 502, "token_response_malformed"),
        (httpx.Response(200, json={"id_token": "canary"}), 502, "id_token_invalid"),
        (httpx.Response(429), 503, "issuer_unavailable"),
        (httpx.Response(500, text="canary"), 503, "issuer_unavailable"),
        (httpx.ConnectError("canary"), 503, "issuer_unavailable"),
        (httpx.ReadTimeout("canary"), 503, "issuer_unavailable"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | int) else "",
)
async def test_a_code_that_cannot_be_exchanged_signs_nobody_in(
    response: httpx.Response | Exception, status: int, reason: str
) -> None:
    browser = LoginBrowser()
    browser.issuer.token_response = response
    with logging_to() as log:
        failed = await browser.sign_in("/auth/login?return_to=/docs")

    assert failed.status_code == status
    assert link_of(failed) == "/auth/login?return_to=%2Fdocs"
    assert [line["reason"] for line in log.lines() if line["event"] == "login_failed"] == [reason]
    assert "canary" not in failed.text + log.text()
    assert list(browser.cookies) == []


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ({"error": "access_denied", "error_description": "canary"}, 400, "access_denied"),
        ({"error": "<script>canary"}, 400, "issuer_error"),
        ({"error": "temporarily_unavailable"}, 503, "issuer_unavailable"),
        ({"error": "invalid_scope"}, 502, "invalid_scope"),
        ({"x": ""}, 400, "no_code"),
        ({"code": "c" * 4097}, 400, "no_code"),
        ({"code": "c1", "iss": f"{ISSUER}/"}, 400, "other_issuer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_error_of_the_callback_leads_to_a_new_sign_in(
    query: dict[str, str], status: int, reason: str
) -> None:
    browser = LoginBrowser()
    state = (await browser.begin())["state"]
    with logging_to() as log:
        failed = await browser.come_back(state, **query)

    assert failed.status_code == status
    assert link_of(failed)
    assert [line["reason"] for line in log.lines() if line["event"] == "login_failed"] == [reason]
    assert "canary" not in failed.text + log.text()
    assert browser.issuer.token_requests == []
    assert list(browser.cookies) == []


async def test_where_the_issuer_names_itself_the_callback_must_name_it() -> None:
    issuer = LoginIssuer()
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    browser = LoginBrowser(issuer)
    assert (await browser.come_back((await browser.begin())["state"])).status_code == 400
    state = (await browser.begin())["state"]
    assert (await browser.come_back(state, code="c1", iss=ISSUER)).status_code == 200


async def test_a_callback_that_was_stolen_or_used_signs_nobody_in() -> None:
    browser, thief = LoginBrowser(), LoginBrowser()
    state = (await browser.begin())["state"]
    await thief.begin()

    assert (await thief.come_back(state)).status_code == 400
    assert thief.issuer.token_requests == []
    assert (await browser.come_back(state)).status_code == 200
    again = await browser.come_back(state)
    assert again.status_code == 400
    assert link_of(again) == "/auth/login"
    assert len(browser.issuer.token_requests) == 1
    assert (await browser.me())["data"]["kind"] == "session"


async def test_sign_ins_that_fail_cost_the_issuer_a_bounded_number_of_calls() -> None:
    browser, quota = LoginBrowser(), int(FAILURE_RATE.partition("/")[0])
    for _ in range(3):
        assert (await browser.sign_in()).status_code == 200
    browser.issuer.token_requests.clear()
    browser.issuer.token_response = httpx.Response(400, json={"error": "invalid_grant"})
    state = (await browser.begin())["state"]
    begun = dict(browser.cookies)

    async def come_back() -> httpx.Response:
        browser.cookies = httpx.Cookies(begun)  # a client that keeps the state
        return await browser.come_back(state)

    assert {(await come_back()).status_code for _ in range(quota)} == {400}
    refused = await come_back()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert link_of(refused)
    assert len(browser.issuer.token_requests) == quota

    await browser.proxy.clock.advance(1)
    browser.issuer.token_response = None
    assert (await come_back()).status_code == 200


async def test_wrong_keys_of_an_address_do_not_keep_people_from_signing_in() -> None:
    browser, quota = LoginBrowser(), int(FAILURE_RATE.partition("/")[0])
    wrong = {"x-api-key": "obff_wrong"}
    for _ in range(quota):
        await browser.request("/v1/me", headers=wrong)
    assert (await browser.request("/v1/me", headers=wrong)).status_code == 429

    assert (await browser.sign_in()).status_code == 200


async def test_a_repeated_parameter_is_an_error() -> None:
    browser = LoginBrowser()
    state = (await browser.begin())["state"]
    response = await browser.open(f"/auth/callback?state={state}&code=a&code=b")
    assert response.status_code == 400
    assert browser.issuer.token_requests == []


async def test_two_tabs_sign_in_at_the_same_time() -> None:
    browser = LoginBrowser()
    first = await browser.begin("/auth/login?return_to=/a")
    first_nonce = browser.issuer.nonce
    second = await browser.begin("/auth/login?return_to=/b")
    assert target_of(await browser.come_back(second["state"])) == "/b"
    browser.issuer.nonce = first_nonce
    assert target_of(await browser.come_back(first["state"])) == "/a"


async def test_a_client_that_accepts_no_page_gets_a_problem() -> None:
    browser = LoginBrowser()
    response = await browser.request("/auth/callback?state=x&code=y", headers={})
    assert problem(response)["code"] == "login_failed"
    assert problem(response)["login"] == "/auth/login"


async def test_while_the_issuer_is_down_sign_in_says_so_and_sessions_go_on() -> None:
    browser = LoginBrowser()
    await browser.sign_in()
    issuer = LoginIssuer()
    issuer.respond = lambda _: httpx.Response(503)
    other = LoginBrowser(issuer)
    other.cookies = browser.cookies

    failed = await other.open("/auth/login?return_to=/docs")
    assert failed.status_code == 503
    assert int(failed.headers["retry-after"]) >= 1
    assert link_of(failed) == "/auth/login?return_to=%2Fdocs"
    assert (await other.open("/auth/end-session")).status_code == 503
    assert (await other.me())["data"]["name"] == "Ada"


async def test_an_issuer_that_fails_during_a_sign_in_signs_nobody_in() -> None:
    browser = LoginBrowser()
    state = (await browser.begin())["state"]
    respond = browser.issuer.respond
    assert respond
    browser.issuer.respond = lambda request: (
        respond(request) if request.method == "POST" else httpx.Response(503)
    )
    browser.issuer.sign = partial(sign, key=key_of("ES256", 2), kid="2")
    await browser.proxy.clock.advance(60)

    assert (await browser.come_back(state)).status_code == 503
    assert list(browser.cookies) == []


@pytest.mark.parametrize(
    ("name", "url"),
    [("authorization_endpoint", "http://login.example.com/a"), ("authorization_endpoint", None)],
)
async def test_an_endpoint_that_must_not_be_called_is_an_error(name: str, url: str | None) -> None:
    browser = LoginBrowser()
    browser.issuer.metadata[name] = url
    assert (await browser.open("/auth/login")).status_code == 502


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Purpose": "prefetch"},
    ],
)
async def test_sign_in_begins_only_with_a_navigation(headers: dict[str, str]) -> None:
    browser = LoginBrowser()
    response = await browser.request("/auth/login", headers=NAVIGATION | headers)
    assert problem(response)["code"] == "cross_site_request"
    assert list(browser.cookies) == []
    assert (await browser.request("/auth/login", headers={})).status_code == 303


@pytest.mark.parametrize("return_to", ["//other.example", "https://other.example", "/%5Cx"])
async def test_sign_in_never_leads_to_another_site(return_to: str) -> None:
    browser = LoginBrowser(ORDERS_CORS__ORIGINS='["https://shop.example.com"]')
    query = httpx.QueryParams({"return_to": return_to})
    response = await browser.open(f"/auth/login?{query}")
    assert response.status_code == 422
    assert problem(response)["errors"][0]["parameter"] == "return_to"
    listed = await browser.sign_in("/auth/login?return_to=https://shop.example.com/a")
    assert target_of(listed) == "https://shop.example.com/a"


async def test_signing_out_needs_a_page_of_this_origin_and_ends_the_session() -> None:
    browser = LoginBrowser()
    await browser.sign_in()
    await browser.begin()

    with logging_to() as log:
        refused = await browser.request("/auth/logout", "POST")
    assert problem(refused)["code"] == "cross_site_request"
    assert {line["route"] for line in log.lines()} == {"/auth/logout"}
    assert (await browser.me())["data"]["kind"] == "session"
    response = await browser.request("/auth/logout", "POST", SAME_ORIGIN | {"X-CSRF": "1"})
    assert (response.status_code, response.content) == (204, b"")
    assert "clear-site-data" not in response.headers
    assert list(browser.cookies) == []
    assert problem(await browser.request("/v1/me"))["login"] == "/auth/login"


async def test_signing_out_at_the_issuer_is_a_second_choice() -> None:
    browser = LoginBrowser()
    assert (await browser.open("/auth/end-session")).status_code == 200
    browser = LoginBrowser()
    browser.issuer.metadata["end_session_endpoint"] = f"{ISSUER}/end"
    response = await browser.open("/auth/end-session")
    assert response.status_code == 303
    assert response.headers["location"] == f"{ISSUER}/end?client_id={CLIENT_ID}"


async def test_a_session_ends_and_a_cookie_of_another_issuer_or_secret_opens_nothing() -> None:
    browser = LoginBrowser()
    await browser.sign_in()
    value = browser.cookies[SESSION]
    for environ in (
        {"ORDERS_LOGIN__CLIENT_ID": "other"},
        {"ORDERS_LOGIN__COOKIE_SECRETS": f'["{COOKIE_SECRET[::-1]}"]'},
    ):
        other = LoginBrowser(None, **environ)
        other.cookies.set(SESSION, value)
        assert (await other.request("/v1/me")).status_code == 401
    browser.proxy.clock.wall_offset += timedelta(seconds=28_800)
    assert (await browser.request("/v1/me")).status_code == 401


async def test_a_key_beside_a_cookie_decides() -> None:
    browser = LoginBrowser(ORDERS_CALLERS__ANONYMOUS="true")
    await browser.sign_in()
    wrong = SAME_ORIGIN | {"X-API-Key": "obff_wrong-key-0123456789"}
    assert (await browser.request("/v1/me", headers=wrong)).status_code == 401
    cross_site = {"Sec-Fetch-Site": "cross-site"}
    assert (await browser.request("/v1/me", headers=cross_site)).status_code == 403
    browser.cookies.clear()
    assert (await browser.request("/v1/me", headers=cross_site)).status_code == 200


async def test_more_roles_than_fit_into_a_cookie_sign_nobody_in() -> None:
    roles = [f"{number:0200}" for number in range(MAX_COOKIE_BYTES // 200)]
    grants = ",".join(
        f'{{"claim":"roles","value":"{role}","scopes":["orders:read"]}}' for role in roles
    )
    browser = LoginBrowser(ORDERS_CALLERS__GRANTS=f"[{grants}]")
    browser.issuer.id_token = {"roles": roles}
    assert (await browser.sign_in()).status_code == 502
    assert list(browser.cookies) == []


async def test_without_login_there_are_no_such_routes_and_no_credentials() -> None:
    names = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "COOKIE_SECRETS")
    unset = {f"ORDERS_LOGIN__{name}": "" for name in names}
    browser = LoginBrowser(
        None,
        **unset, ORDERS_CALLERS__GRANTS="", ORDERS_CALLERS__ANONYMOUS="true",
        ORDERS_CORS__ORIGINS='["https://shop.example.com"]',
    )  # fmt: skip
    for path in ("/auth/login", "/auth/callback", "/auth/end-session"):
        assert (await browser.open(path)).status_code == 404
    page = {"Origin": "https://shop.example.com"}
    assert (
        "access-control-allow-credentials"
        not in (await browser.request("/v1/me", headers=page)).headers
    )


async def test_who_signs_in_and_out_is_logged_and_nothing_secret() -> None:
    browser = LoginBrowser()
    with logging_to() as log:
        request = await browser.begin()
        shown = (await browser.come_back(request["state"])).text
        shown += (await browser.come_back(request["state"])).text
        for _ in range(2):
            await browser.request("/auth/logout", "POST", SAME_ORIGIN | {"X-CSRF": "1"})
    output = log.text() + shown
    events = [
        (line["event"], line["caller"], line["client"])
        for line in log.lines()
        if line["event"].startswith("signed_")
    ]
    assert events == [("signed_in", "Ada", "192.0.2.1"), ("signed_out", "Ada", "192.0.2.1")]
    for secret in (CLIENT_SECRET, COOKIE_SECRET, "canary-access", request["state"], "c1&", "eyJ"):
        assert secret not in output
