"""Calls the proxy with the generated Python client."""

import os

from orders_client import AuthenticatedClient
from orders_client.api.orders import get_order, list_orders
from orders_client.models import OrderPage, Problem, SingleOrder

client = AuthenticatedClient(
    base_url=os.environ["ORIGIN"],
    token=os.environ["API_KEY"],
    prefix="",
    auth_header_name="X-API-Key",
    raise_on_unexpected_status=True,
)

page = list_orders.sync(client=client, limit=3)
assert isinstance(page, OrderPage), page
assert len(page.data) == page.meta.limit == 3

order = get_order.sync(page.data[0].order_no, client=client)
assert isinstance(order, SingleOrder), order
assert order.data.to_dict() == page.data[0].to_dict()

rejected = list_orders.sync(client=client, limit=51)
assert isinstance(rejected, Problem), rejected
assert (rejected.status, rejected.code, rejected.retryable) == (422, "invalid_request", False)

print(f"python: {page.meta.total} orders, the first {order.data.status}")
