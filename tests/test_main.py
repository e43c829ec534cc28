"""The composition root: errors, the published OpenAPI document, keys in a file."""

import hashlib
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import FrameType
from zoneinfo import ZoneInfo

import pytest
from fastapi.routing import APIRoute
from openapi_spec_validator import validate
from pydantic import TypeAdapter
from starlette.types import Message

import app
from app.cache.store import StoreError
from app.cache.store_access import StoreUnavailable
from app.composition.problem_codes import PROBLEM_CODES
from app.edge.problem_types import PROBLEM_TYPES
from app.edge.query_params import StrictQuery
from app.main import BLOCK_BYTES, create_app
from app.orders.blocks import BLOCK_OVERHEAD, INDEX_ROW_BYTES
from app.orders.mapping import map_order
from app.settings import Settings, SettingsError, load
from app.upstream.wire import BLOCK_SIZE
from tests.edge.asgi_harness import logging_to
from tests.support.proxy import Proxy

DOCUMENT = Path(__file__).parent.parent / "openapi" / "openapi.json"


HANDLED_IN_CACHE = {StoreError, StoreUnavailable}
"""Errors that reach no caller: without the store, a fetch is made."""

PACKAGES_BELOW_EDGE = ("cache", "orders", "single_flight", "upstream")


def concrete_errors() -> set[type[Exception]]:
    """Return the errors without subclasses that a package below edge declares."""
    found: set[type[Exception]] = set()
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name.split(".")[1] in PACKAGES_BELOW_EDGE:
            declared = vars(importlib.import_module(module.name)).values()
            found |= {one for one in declared if isinstance(one, type) and is_error(one)}
    return {error for error in found if not found & set(error.__subclasses__())}


def is_error(one: type) -> bool:
    """Return whether it is an exception class of this project."""
    return issubclass(one, Exception) and one.__module__.startswith("app.")


def test_every_error_has_a_problem_code():
    assert len(concrete_errors()) > 15
    for error in concrete_errors() - HANDLED_IN_CACHE:
        assert PROBLEM_CODES.get(error) in PROBLEM_TYPES, error


def test_every_problem_code_of_an_error_exists():
    assert set(PROBLEM_CODES.values()) <= set(PROBLEM_TYPES)


def test_the_published_document_is_up_to_date():
    document = create_app(Settings.for_openapi()).openapi()
    assert json.loads(DOCUMENT.read_text("utf-8")) == document, "run make openapi"


@pytest.mark.without_coverage
def test_the_published_document_is_valid():
    validate(json.loads(DOCUMENT.read_text("utf-8")))


def test_the_document_has_the_version_of_the_package():
    project = tomllib.loads((DOCUMENT.parent.parent / "pyproject.toml").read_text("utf-8"))
    document = create_app(Settings.for_openapi()).openapi()
    assert document["info"]["version"] == app.__version__ == project["project"]["version"]


async def test_the_document_names_the_public_url_and_no_other_server():
    proxy = Proxy(server={"public_url": "https://api.example.com/shop/"})
    document = (await proxy.get("/openapi.json")).json()
    assert document["servers"] == [{"url": "https://api.example.com/shop"}]
    assert "servers" not in (await Proxy().get("/openapi.json")).json()


def test_the_largest_max_orders_is_about_what_the_block_cache_can_contain():
    with pytest.raises(SettingsError, match="must be at most 400000"):
        load({"ORDERS_CACHE__MAX_ORDERS": "400001"})
    smallest = map_order({"orderNo": "1"}, ZoneInfo("UTC")).size + INDEX_ROW_BYTES
    assert 400_000 * (smallest + BLOCK_OVERHEAD / BLOCK_SIZE) == pytest.approx(BLOCK_BYTES, rel=0.1)


async def test_the_docs_can_be_disabled():
    proxy = Proxy(docs={"enabled": False})
    assert (await proxy.get("/docs")).status_code == 404
    assert (await proxy.get("/openapi.json")).status_code == 404
    assert (await proxy.get("/")).status_code == 200


async def test_keys_in_a_file_are_reloaded(tmp_path: Path):
    file = tmp_path / "keys.json"
    key = "a-key-that-is-in-a-file"
    entry = {
        "name": "nightly",
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": ["orders:read"],
    }
    file.write_text(json.dumps([entry]), "utf-8")
    proxy = Proxy(environ={"ORDERS_CALLERS__API_KEYS_FILE": str(file)})
    async with proxy.app.api.router.lifespan_context(proxy.app.api):
        found = await proxy.get("/v1/me", X_API_Key=key)
        assert found.json()["data"]["name"] == "nightly"
        file.write_text("[]", "utf-8")
        await proxy.clock.advance(3)
        assert (await proxy.get("/v1/me", X_API_Key=key)).status_code == 401


async def test_a_file_with_a_key_of_the_list_is_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    file = tmp_path / "keys.json"
    key = "a-key-that-may-read-orders"
    digest = hashlib.sha256(key.encode()).hexdigest()
    entry = {"name": "nightly", "sha256": digest, "scopes": ["orders:read"]}
    file.write_text(json.dumps([entry | {"sha256": "a" * 64}]), "utf-8")
    keys = {
        "ORDERS_CALLERS__API_KEYS": json.dumps([entry]),
        "ORDERS_CALLERS__API_KEYS_FILE": str(file),
    }
    proxy = Proxy(environ=keys)
    async with proxy.app.api.router.lifespan_context(proxy.app.api):
        file.write_text(json.dumps([entry | {"scopes": ["payments:read"]}]), "utf-8")
        await proxy.clock.advance(3)
        assert "api_keys_reload_failed" in [record.message for record in caplog.records]
        me = await proxy.get("/v1/me", X_API_Key=key)
        assert me.json()["data"]["scopes"] == ["orders:read"]


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9", "https://api.example.com"])
def test_creating_the_proxy_does_not_call_the_upstream(base_url: str):
    upstream = {"base_url": base_url, "access_key_id": "a", "access_key_secret": "b"}
    create_app(load({"ORDERS_CALLERS__ANONYMOUS": "true"}, upstream=upstream))


def test_the_document_is_printed_without_a_file_name():
    completed = subprocess.run(
        [sys.executable, "-m", "app", "openapi"], capture_output=True, text=True, check=True
    )
    assert json.loads(completed.stdout) == json.loads(DOCUMENT.read_text("utf-8"))


def test_the_doctor_reports_errors_as_json(tmp_path: Path):
    completed = subprocess.run(
        [sys.executable, "-m", "app", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(DOCUMENT.parent.parent)},
        cwd=tmp_path,
    )
    assert completed.returncode == 1
    report = json.loads(completed.stdout)
    assert report["ok"] is False
    assert {check["outcome"] for check in report["checks"]} == {"error"}


TRACED_REQUEST = """
import asyncio
import httpx
from opentelemetry import trace
from app.main import create_app
from app.settings import Settings

class Provider(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        raise SystemExit("a tracer was requested")

trace.set_tracer_provider(Provider())
app = create_app(Settings.for_openapi())

async def run():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        print((await client.get("/livez")).status_code)

asyncio.run(run())
"""


def test_a_global_tracer_provider_gets_no_spans_of_the_framework():
    result = subprocess.run(
        [sys.executable, "-c", TRACED_REQUEST], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "200", result.stderr


async def test_the_configured_name_is_the_title_of_the_pages_and_of_the_document():
    proxy = Proxy(name="shop")
    assert "<title>shop</title>" in (await proxy.get("/")).text
    assert "<h1>shop</h1>" in (await proxy.get("/")).text
    assert "<title>shop: docs</title>" in (await proxy.get("/docs")).text
    assert (await proxy.get("/openapi.json")).json()["info"]["title"] == "shop"


async def test_a_request_without_a_key_is_logged_with_its_route():
    key = {"name": "shop", "sha256": "0" * 64, "scopes": ["orders:read"]}
    proxy = Proxy(environ={"ORDERS_CALLERS__API_KEYS": json.dumps([key])})
    paths = ("/v1/orders", "/v1/orders/1/payment", "/v1/orders/summary", "/v1/me", "/v1/other")
    with logging_to() as log:
        for path in paths:
            assert (await proxy.get(path)).status_code == 401

    routes = [line["route"] for line in log.lines() if line["event"] == "request"]
    assert routes == [
        "/v1/orders",
        "/v1/orders/{order_no}/payment",
        "/v1/orders/summary",
        "/v1/me",
        "unmatched",
    ]


async def test_the_routes_are_built_before_the_first_request():
    proxy = Proxy()
    built = []

    def on_call(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is TypeAdapter.__init__.__code__:
            built.append(frame)

    sys.setprofile(on_call)
    try:
        assert (await proxy.get("/v1/me")).status_code == 200
    finally:
        sys.setprofile(None)
    assert built == []


async def test_the_lifespan_does_not_pass_the_middleware():
    proxy, events = Proxy(), iter(("lifespan.startup", "lifespan.shutdown"))
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": next(events)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    with logging_to() as log:
        await proxy.app({"type": "lifespan", "state": {}}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert "request" not in [line["event"] for line in log.lines()]


def test_the_start_builds_validators_of_queries_but_not_of_what_is_only_documented():
    routes = create_app(Settings.for_openapi()).api.routes
    api_routes = [route for route in routes if isinstance(route, APIRoute)]
    documented = [
        field
        for route in api_routes
        for field in (route.response_field, *route.dependant.query_params)
        if field
    ]
    calls = [one.call for route in api_routes for one in route.dependant.dependencies]
    queries = [call.model for call in calls if isinstance(call, StrictQuery) and call.model]
    assert len(documented) >= 14
    assert [one for one in documented if one._type_adapter.pydantic_complete] == []
    assert len(queries) >= 5
    assert [model for model in queries if not model.__pydantic_complete__] == []
