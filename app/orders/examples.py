"""Example bodies for the OpenAPI document."""

import json
from typing import Any

from app.orders.schema import ORDER_NO, UPSTREAM_REQUEST_ID

_META = {
    "as_of": "2026-11-23T08:00:00.123Z",
    "upstream_request_ids": [UPSTREAM_REQUEST_ID],
}
_ORDER = {
    "order_no": ORDER_NO,
    "package_name": {"en": "Enterprise", "zh": "企业版"},
    "unit_price": "199.00",
    "quantity": 2,
    "actual_amount": "398.00",
    "status": "paid",
    "type": "new",
    "source": "self_service",
    "created_at": "2022-09-25T04:34:22Z",
}
_TOTAL = {"count": 1, "actual_amount": "398.00"}

PAGE: dict[str, Any] = {
    "data": [_ORDER],
    "meta": {"page": 1, "limit": 10, "total": 1, "pages": 1, **_META},
}
ORDER: dict[str, Any] = {"data": _ORDER, "meta": _META}
PAYMENT: dict[str, Any] = {
    "data": {
        "order_no": ORDER_NO,
        "channel_order_no": "2022092522001411365029",
        "paid_amount": "398.00",
        "paid_at": "2022-09-25T04:35:02Z",
        "paid_account": "********************6503",
        "status_code": "3",
        "method": "Alipay",
        "created_at": "2022-09-25T04:34:22Z",
    },
    "meta": _META,
}
SUMMARY: dict[str, Any] = {
    "data": {
        **_TOTAL,
        "amounts_unknown": 0,
        "by_status": [{"status": "paid", **_TOTAL}],
        "by_type": [{"type": "new", **_TOTAL}],
        "by_source": [{"source": "self_service", **_TOTAL}],
        "by_month": [{"month": "2022-09", "status": "paid", **_TOTAL}],
    },
    "meta": _META,
}
CHANGES: dict[str, Any] = {
    "data": [
        {"change": "updated", "order_no": ORDER_NO, "order": _ORDER},
        {"change": "removed", "order_no": "202209251234225"},
    ],
    "meta": {"cursor": "5f0c9be2a0d54c7e8d3f1c0a9b7e5264", "poll_after": 41, **_META},
}
CSV = (
    "order_no,package_name_en,package_name_zh,unit_price,quantity,actual_amount,status,type,source,"
    "created_at\r\n"
    f"{ORDER_NO},Enterprise,企业版,199.00,2,398.00,paid,new,self_service,2022-09-25T04:34:22Z\r\n"
)
NDJSON = json.dumps(_ORDER, ensure_ascii=False, separators=(",", ":")) + "\n"
