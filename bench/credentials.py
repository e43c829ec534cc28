"""`python -m bench.credentials`: what the check of a credential adds to the CPU time of a hit.

The requests are answered from the response cache, in this process and without a server: reading
the request and sending the response would only make the share of the check smaller. The kinds of
callers take turns, and the fastest round of each counts.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from app.edge.api_keys import generate_key, key_digest
from tests.identity.forge import AUDIENCE, ISSUER, key_of, public, sign
from tests.identity.login_browser import LoginBrowser
from tests.support.proxy import Proxy

ROUNDS = 15
REQUESTS = 400
KEY = generate_key()
SCOPES = ["orders:read"]
SETTINGS = {
    "ORDERS_CALLERS__ANONYMOUS": "true",
    "ORDERS_CALLERS__RATE": "0",
    "ORDERS_CALLERS__API_KEYS": json.dumps(
        [{"name": "bench", "sha256": key_digest(KEY.encode()).hex(), "scopes": SCOPES}]
    ),
    "ORDERS_CALLERS__OIDC_ISSUER": ISSUER,
    "ORDERS_CALLERS__OIDC_AUDIENCE": AUDIENCE,
}


async def measure() -> Mapping[str, float]:
    """Return the microseconds of CPU time of a hit, by the credential of the caller."""
    browser = LoginBrowser(None, **SETTINGS)
    browser.issuer.keys.append(public(key_of("RS256"), kid="2"))
    await browser.sign_in()
    session = "; ".join(f"{name}={value}" for name, value in browser.cookies.items()).encode()
    claims = browser.issuer.claims(roles=["billing"], exp=2**40, jti="x" * 400)
    token = sign(claims, algorithm="RS256", key=key_of("RS256"), kid="2")
    callers = {
        "anonymous": [],
        "API key": [(b"x-api-key", KEY.encode())],
        f"cached token of {len(token)} bytes": [(b"authorization", b"Bearer " + token)],
        f"session cookie of {len(session)} bytes": [
            (b"cookie", session),
            (b"sec-fetch-site", b"same-origin"),
        ],
    }
    best = dict.fromkeys(callers, float("inf"))
    for _ in range(ROUNDS + 1):  # the first one fills the caches
        for name, headers in callers.items():
            best[name] = min(best[name], await _microseconds(browser.proxy, headers))
    return best


async def _microseconds(proxy: Proxy, headers: list[tuple[bytes, bytes]]) -> float:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/orders",
        "raw_path": b"/v1/orders",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError(message)

    started = time.process_time()
    for _ in range(REQUESTS):
        await proxy.app(dict(scope), receive, send)
    return (time.process_time() - started) / REQUESTS * 1e6


def main() -> None:
    """Print the results."""
    times = asyncio.run(measure())
    reference = min(times.values())
    for name, microseconds in times.items():
        print(f"{name:28} {microseconds:6.1f} µs  {microseconds / reference - 1:+.1%}")


if __name__ == "__main__":
    main()
