"""The examples in the README work and show what the proxy returns."""

import json
import re
from pathlib import Path

from app.settings.loading import SANDBOX_CURRENCY
from tests.support.proxy import Proxy

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


async def test_every_curl_example_returns_data() -> None:
    proxy = Proxy()
    paths = re.findall(r"curl -s 'http://127\.0\.0\.1:8000([^']+)'", README)
    assert len(paths) >= 3
    for path in paths:
        response = await proxy.get(path)
        assert response.status_code == 200, path
        assert json.dumps(response.json()["data"]).count(":") > 5, path


async def test_the_example_response_is_the_one_that_is_returned() -> None:
    found = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert found
    proxy = Proxy(upstream={"currency": SANDBOX_CURRENCY})
    shown, returned = json.loads(found[1]), (await proxy.get("/v1/orders?limit=1")).json()
    assert shown["data"] == returned["data"]
    variable = ("as_of", "upstream_request_ids")
    assert shown["meta"] == returned["meta"] | {name: shown["meta"][name] for name in variable}


async def test_the_readme_names_every_route_of_the_api() -> None:
    for path, operations in Proxy().app.openapi()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}" in README, path
