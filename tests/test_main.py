"""The whole, as it is put together."""

import hashlib
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

import app
from app.edge.problem_types import PROBLEM_TYPES
from app.main import PROBLEM_CODES, create_app
from app.settings import Settings, load
from tests.support.proxy import Proxy

DOCUMENT = Path(__file__).parent.parent / "openapi" / "openapi.json"


ROOMS_BEHIND_THE_DOOR = ("cache", "orders", "single_flight", "upstream")


def errors_of_the_rooms() -> set[type[Exception]]:
    """The concrete errors that a room behind the door declares."""
    found: set[type[Exception]] = set()
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name.split(".")[1] in ROOMS_BEHIND_THE_DOOR:
            declared = vars(importlib.import_module(module.name)).values()
            found |= {one for one in declared if isinstance(one, type) and is_error(one)}
    return {error for error in found if not found & set(error.__subclasses__())}


def is_error(one: type) -> bool:
    """Whether it is an error of ours."""
    return issubclass(one, Exception) and one.__module__.startswith("app.")


def test_every_error_of_every_room_has_its_problem():
    assert len(errors_of_the_rooms()) > 15
    for error in errors_of_the_rooms():
        assert PROBLEM_CODES.get(error) in PROBLEM_TYPES, error


def test_every_problem_that_an_error_leads_to_exists():
    assert set(PROBLEM_CODES.values()) <= set(PROBLEM_TYPES)


def test_the_published_document_is_what_the_code_says():
    told = create_app(Settings.for_openapi()).openapi()
    assert json.loads(DOCUMENT.read_text("utf-8")) == told, "make openapi writes it anew"


def test_the_published_document_is_valid():
    validate(json.loads(DOCUMENT.read_text("utf-8")))


async def test_docs_can_be_hidden():
    proxy = Proxy(docs={"enabled": False})
    assert (await proxy.get("/docs")).status_code == 404
    assert (await proxy.get("/openapi.json")).status_code == 404
    assert (await proxy.get("/")).status_code == 200


async def test_keys_in_a_file_open_the_door(tmp_path: Path):
    file = tmp_path / "keys.json"
    key = "a-key-that-stands-in-a-file"
    entry = {
        "name": "nightly",
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": ["orders:read"],
    }
    file.write_text(json.dumps([entry]), "utf-8")
    proxy = Proxy(environ={"ORDERS_CALLERS__API_KEYS_FILE": str(file)})
    assert (await proxy.get("/v1/me", X_API_Key=key)).json()["data"]["name"] == "nightly"
    file.write_text("[]", "utf-8")
    await proxy.clock.advance(1)
    assert (await proxy.get("/v1/me", X_API_Key=key)).status_code == 401


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9", "https://api.example.com"])
def test_nothing_is_asked_of_the_upstream_by_making_the_proxy(base_url: str):
    upstream = {"base_url": base_url, "access_key_id": "a", "access_key_secret": "b"}
    create_app(load({"ORDERS_CALLERS__ANONYMOUS": "true"}, upstream=upstream))


def test_the_document_is_printed_where_no_file_is_named():
    told = subprocess.run(
        [sys.executable, "-m", "app", "openapi"], capture_output=True, text=True, check=True
    )
    assert json.loads(told.stdout) == json.loads(DOCUMENT.read_text("utf-8"))


def test_the_doctor_tells_machines_what_is_wrong(tmp_path: Path):
    told = subprocess.run(
        [sys.executable, "-m", "app", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(DOCUMENT.parent.parent)},
        cwd=tmp_path,
    )
    assert told.returncode == 1
    findings = json.loads(told.stdout)
    assert findings["ok"] is False
    assert {finding["outcome"] for finding in findings["checks"]} == {"error"}
