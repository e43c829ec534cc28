"""The docs come from our own files alone, and can be left out."""

import hashlib
import re

import pytest

from app.edge.docs import docs_router
from app.edge.exception_handlers import install_exception_handlers
from app.edge.pages import STATIC
from tests.support.api_harness import ApiHarness, bare_api


def docs(*, enabled: bool = True, sandbox: bool = False) -> ApiHarness:
    api = bare_api()
    install_exception_handlers(api, {})
    if enabled:
        api.include_router(docs_router(document=lambda: {"title": "é"}, is_sandbox=lambda: sandbox))
    return ApiHarness(api)


async def test_all_that_the_page_loads_is_ours_relative_and_there() -> None:
    doorway = docs()
    page = await doorway.request("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert {"docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/init.js"} <= set(loaded)
    for address in loaded:
        assert not address.startswith(("/", "http"))
        if address.startswith("docs/"):
            assert (await doorway.request(f"/{address}")).status_code == 200


async def test_nothing_on_the_page_is_inline() -> None:
    page = await docs().request("/docs")

    assert re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page.text) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("init.js", "javascript"), ("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "css")],
)
async def test_a_file_has_its_type_and_is_asked_for_again_cheaply(name: str, kind: str) -> None:
    doorway = docs()
    first = await doorway.request(f"/docs/{name}")
    again = await doorway.request(f"/docs/{name}", headers={"If-None-Match": first.headers["etag"]})

    assert kind in first.headers["content-type"]
    assert first.headers["cache-control"] == "no-cache"
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/README.md",
        "/docs/docs.js",
        "/docs/..%2fdocs.py",
        "/docs/%2e%2e/docs.py",
        "/docs/swagger-ui/swagger-ui.css",
        "/docs/swagger-ui.css%00",
    ],
)
async def test_nothing_else_can_be_asked_for(path: str) -> None:
    answer = await docs().request(path)

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/docs", "/docs/init.js", "/openapi.json"])
async def test_docs_that_are_off_are_not_there(path: str) -> None:
    assert (await docs(enabled=False).request(path)).status_code == 404


async def test_the_document_is_json() -> None:
    answer = await docs().request("/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"title": "é"}


@pytest.mark.parametrize("sandbox", [True, False])
async def test_the_page_says_when_the_orders_are_invented(sandbox: bool) -> None:
    page = await docs(sandbox=sandbox).request("/docs")

    assert ("these orders are invented" in page.text) is sandbox


def test_the_files_of_swagger_ui_are_those_that_were_published() -> None:
    folder = STATIC / "swagger-ui"
    told = re.findall(r"([0-9a-f]{64})  (\S+)", (folder / "README.md").read_text("utf-8"))
    there = {file.name for file in folder.iterdir()} - {"README.md"}

    assert {name for _, name in told} == there
    for digest, name in told:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
