"""What a newcomer types from the README works, and brings what it shows."""

import json
import re
from pathlib import Path

from tests.support.proxy import Proxy

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


async def test_each_question_of_the_readme_brings_something_to_look_at() -> None:
    proxy = Proxy()
    asked = re.findall(r"curl -s 'http://127\.0\.0\.1:8000([^']+)'", README)
    assert len(asked) >= 3
    for path in asked:
        answer = await proxy.get(path)
        assert answer.status_code == 200, path
        assert json.dumps(answer.json()["data"]).count(":") > 5, path


async def test_the_answer_that_the_readme_shows_is_the_one_that_is_given() -> None:
    found = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert found
    shown, given = json.loads(found[1]), (await Proxy().get("/v1/orders?limit=1")).json()
    assert shown["data"] == given["data"]
    other_each_time = ("as_of", "upstream_request_ids")
    assert shown["meta"] == given["meta"] | {name: shown["meta"][name] for name in other_each_time}


async def test_the_readme_names_every_route_of_the_api() -> None:
    for path in Proxy().app.openapi()["paths"]:
        assert f"`GET {path}" in README, path
