"""A real OpenID provider (npm `oidc-provider`), in its own process on loopback."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

NODE_DIR = Path(__file__).parent.parent / "identity" / "node"
INSTALL_COMMAND = "npm ci --prefix tests/identity/node"
AUDIENCE = "orders-api"
PREFIX = "issuer: "


class NodeIssuer:
    """The issuer; see `tests/identity/node/issuer.mjs` for what it can do.

    People sign in at it without typing anything: as the person that was set last, at first Alice
    with the role `billing`. The ID token has her `name` and `roles`.

    Attributes:
        url: its issuer.
        client_id: of the client that signs people in, if redirect URIs were given.
        client_secret: of that client, sent with HTTP Basic authentication.
    """

    client_id = "orders-dashboard"
    client_secret = "dashboard-secret"

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(trust_env=False)

    def access_token(self) -> str:
        """Return a token of the client `service` for `AUDIENCE`, with the role `billing`."""
        response = self._http.post(
            f"{self.url}/token",
            auth=("service", "service-secret"),
            data={"grant_type": "client_credentials", "scope": "orders"},
        )
        token: str = response.raise_for_status().json()["access_token"]
        return token

    def rotate(self, *, keep: bool) -> None:
        """Sign with a new key from now on; keep publishing the old one, or withdraw it."""
        self._control("POST", "rotate", {"keep": keep})

    def sign_in_as(self, sub: str, *, name: str, roles: Sequence[str]) -> None:
        """Set the person who signs in from now on."""
        self._control("PUT", "person", {"sub": sub, "name": name, "roles": roles})

    def close(self) -> None:
        """Close the connections to the process."""
        self._http.close()

    def _control(self, method: str, path: str, body: dict[str, Any]) -> None:
        origin = self.url.removesuffix("/oidc")
        self._http.request(method, f"{origin}/test/{path}", json=body).raise_for_status()


@contextmanager
def running_issuer(*, redirect_uris: Sequence[str] = ()) -> Iterator[NodeIssuer]:
    """Run an issuer. The test is skipped if it is not installed, but fails in CI.

    `redirect_uris` are those of the client that signs people in. Without any there is none.
    """
    node = shutil.which("node")
    if node is None or not (NODE_DIR / "node_modules" / "oidc-provider").is_dir():
        reason = f"the OpenID provider is not installed; run {INSTALL_COMMAND}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = {"redirectUris": redirect_uris}
    with subprocess.Popen(
        [node, NODE_DIR / "issuer.mjs", json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        url = next((line for line in lines if line.startswith(PREFIX)), None)
        assert url is not None, "the OpenID provider did not start"
        issuer = NodeIssuer(url.removeprefix(PREFIX).strip())
        try:
            yield issuer
        finally:
            issuer.close()
            process.kill()
