"""Every operation of the API requires a credential."""

import json

import pytest

from app.edge.api_keys import key_digest
from tests.support.proxy import Proxy

KEYS = json.dumps(
    [{"name": "caller", "sha256": key_digest(b"k" * 32).hex(), "scopes": ["orders:read"]}]
)


@pytest.mark.parametrize("headers", [{}, {"X_API_Key": "w" * 32}, {"Cookie": "orders=w"}])
async def test_no_operation_answers_without_a_valid_credential(headers: dict[str, str]) -> None:
    proxy = Proxy(environ={"ORDERS_CALLERS__API_KEYS": KEYS})
    paths = proxy.app.openapi()["paths"]
    operations = [(path, method) for path in paths for method in paths[path]]
    assert len(operations) >= 10
    for path, method in operations:
        response = await proxy.get(path.replace("{order_no}", "1"), method.upper(), **headers)
        assert response.status_code == 401, (method, path)
    assert not any(proxy.sandbox.calls.values())
