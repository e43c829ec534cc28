"""Parsing faults, matching them to calls, and their effect on a client."""

import asyncio
from typing import Any

import pytest

from app.sandbox.faults import (
    ALL_PATHS,
    DETAIL,
    KINDS,
    ORDERS,
    PAYMENT,
    Fault,
    FaultRegistry,
)
from app.sandbox.options import Options
from app.sandbox.order_store import MALFORMATIONS
from tests.sandbox.client import SandboxClient
from tests.support.clock import ManualClock, settle


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hang", Fault(kind="hang")),
        ("latency", Fault(kind="latency", value=1)),
        ("latency=0.25", Fault(kind="latency", value=0.25)),
        ("throttle", Fault(kind="throttle")),
        ("html", Fault(kind="html", value=502)),
        (
            "status=403, api_code=2333, times=3, path=get-orders",
            Fault(kind="status", value=403, api_code=2333, times=3, path=ORDERS),
        ),
        ({"kind": "reset", "path": DETAIL, "times": 2}, Fault(kind="reset", times=2, path=DETAIL)),
        ({"kind": "throttle", "value": 3, "times": None}, Fault(kind="throttle", value=3)),
    ],
)
def test_a_fault_is_parsed_from_a_string_or_an_object(source: object, expected: Fault) -> None:
    assert Fault.parse(source) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "is not one of"),
        ("earthquake", "is not one of latency"),
        ("hang=3", "hang takes no value"),
        ("status=20", "value of status must be 100 to 999"),
        ("status=500.5", "value of status must be an integer"),
        ("latency=-1", "value of latency must be 0 to 86400"),
        ("latency=nan", "value of latency must be 0 to 86400"),
        ("latency=soon", "value: .* valid number"),
        ("hang,api_code=2020", "hang takes no api_code"),
        ("hang,times=0", "times: .* greater than 0"),
        ("hang,times", "times: .* valid integer"),
        ("hang,times=1,times=2", "repeated"),
        ("hang,colour=red", "colour: "),
        ("odd_rows,path=get-order-detail", "odd_rows applies to /api/v3/get-orders, not"),
        ("hang,path=/elsewhere", "not '/elsewhere'"),
        (5, "valid dictionary"),
        ({"kind": 5}, "kind: .* valid string"),
        ({"value": 5}, "kind: "),
    ],
)
def test_an_invalid_fault_is_rejected_with_a_one_line_message(source: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Fault.parse(source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_applies_to_all_paths_of_its_kind_unless_it_names_one(kind: str) -> None:
    registry = FaultRegistry([Fault(kind=kind)])
    assert tuple(path for path in ALL_PATHS if registry.match(path)) == KINDS[kind].paths
    registry.replace([Fault(kind=kind, path=ORDERS)])
    assert tuple(path for path in ALL_PATHS if registry.match(path)) == (ORDERS,)


def test_an_exhausted_fault_is_skipped_and_the_next_one_applies() -> None:
    registry = FaultRegistry([Fault(kind="html", times=1), Fault(kind="hang")])
    assert [registry.match(ORDERS)[0].fault.kind for _ in range(3)] == ["html", "hang", "hang"]
    assert [fault["hits"] for fault in registry.to_dicts()] == [1, 2]


def test_no_fault_after_a_terminal_one_applies_to_the_call() -> None:
    registry = FaultRegistry([Fault(kind="latency"), Fault(kind="html"), Fault(kind="odd_rows")])
    assert [hit.fault.kind for hit in registry.match(ORDERS)] == ["latency", "html"]
    assert [fault["hits"] for fault in registry.to_dicts()] == [1, 1, 0]


async def test_any_status_code_can_be_injected_into_the_envelope(client: SandboxClient) -> None:
    client.sandbox.inject("status=601")
    envelope = await client.get(ORDERS)
    assert envelope["statusCode"] == 601
    assert "apiCode" not in envelope
    assert "data" not in envelope
    client.sandbox.inject("status=422,api_code=4004")
    envelope = await client.get(DETAIL)
    assert (envelope["statusCode"], envelope["apiCode"]) == (422, 4004)


async def test_a_throttled_response_has_a_retry_after_only_if_the_fault_has_a_value(
    client: SandboxClient,
) -> None:
    client.sandbox.inject("throttle,times=1", "throttle=3,times=1", "throttle=0,times=1")
    responses = [await client.get_response(ORDERS) for _ in range(4)]
    assert [response.status_code for response in responses] == [429, 429, 429, 200]
    retry_after = [response.headers.get("retry-after") for response in responses]
    assert retry_after == [None, "3", "0", None]
    assert responses[0].json() == {
        "statusCode": 429,
        "message": "您的请求已超过最大数量限制\N{FULLWIDTH COMMA}请稍后重试",
    }


async def test_an_html_fault_responds_with_the_page_of_a_gateway(client: SandboxClient) -> None:
    client.sandbox.inject("html=503")
    response = await client.get_response(ORDERS)
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["x-sandbox"] == "true"


async def test_a_response_is_delayed_by_the_sum_of_its_latencies(
    client: SandboxClient, clock: ManualClock
) -> None:
    client.sandbox.inject("latency=2", "latency=0.5")
    call = asyncio.ensure_future(client.get(ORDERS))
    await clock.advance(2.4)
    assert not call.done()
    await clock.advance(0.1)
    assert (await call)["statusCode"] == 200


async def test_a_latency_of_0_does_not_wait(client: SandboxClient) -> None:
    client.sandbox.inject("latency=0")
    assert (await client.get(ORDERS))["statusCode"] == 200


async def test_a_hanging_call_gets_no_response(client: SandboxClient, clock: ManualClock) -> None:
    client.sandbox.inject("hang")
    call = asyncio.ensure_future(client.get(ORDERS))
    await clock.advance(100_000)
    assert not call.done()
    call.cancel()
    await settle()
    assert call.cancelled()


async def test_revoked_tokens_are_rejected_until_a_new_login(client: SandboxClient) -> None:
    client.sandbox.inject("revoke_tokens,times=1")
    assert (await client.get(ORDERS))["apiCode"] == 2020
    assert (await client.get(ORDERS))["apiCode"] == 2020
    await client.log_in()
    assert (await client.get(ORDERS))["statusCode"] == 200


async def test_each_odd_row_has_one_malformed_field_and_the_order_itself_has_none(
    client: SandboxClient,
) -> None:
    rows = await client.rows(limit=50)
    client.sandbox.inject("odd_rows")
    malformed = await client.rows(limit=50)
    assert len(malformed) == 50
    for before, after in zip(rows, malformed, strict=True):
        assert len([name for name in before if after.get(name, ...) != before[name]]) == 1
    assert "orderNo" not in malformed[4]
    assert malformed[5]["goodsName"] is None
    assert malformed[6]["quantity"] == 3
    assert malformed[0]["quantity"] == malformed[len(MALFORMATIONS)]["quantity"] == "two"
    assert (await client.get(DETAIL, orderNo=rows[0]["orderNo"]))["data"] == rows[0]


async def test_the_list_can_be_an_object_as_in_the_vendors_sample(client: SandboxClient) -> None:
    first = (await client.rows())[0]
    client.sandbox.inject("list_object")
    assert (await client.get(ORDERS))["data"] == {"totalCount": "137", "list": first}
    assert (await client.get(ORDERS, page=1000))["data"]["list"] == {}


async def test_faults_of_the_list_do_not_apply_to_its_error_replies(client: SandboxClient) -> None:
    client.sandbox.inject("odd_rows", "list_object", "arrivals")
    assert (await client.get(ORDERS, limit=51))["statusCode"] == 400


async def test_a_new_order_arrives_at_every_nth_call(client: SandboxClient) -> None:
    client.sandbox.inject("arrivals=2,times=4")
    totals = [(await client.get(ORDERS))["data"]["totalCount"] for _ in range(6)]
    assert totals == ["137", "138", "138", "139", "139", "139"]


async def put_faults(client: SandboxClient, body: object) -> tuple[int, Any]:
    response = await client.http.put("/sandbox/faults", json=body)
    return response.status_code, response.json()


async def test_faults_are_set_listed_and_cleared_over_http(client: SandboxClient) -> None:
    status, created = await put_faults(
        client, {"faults": ["html,times=2", {"kind": "latency", "value": 0}]}
    )
    assert status == 200
    await client.get_response(ORDERS)
    listed = (await client.get_response("/sandbox/faults")).json()
    assert [fault["hits"] for fault in created["faults"]] == [0, 0]
    assert [fault["hits"] for fault in listed["faults"]] == [1, 0]
    assert listed["faults"][0] == {
        "kind": "html",
        "value": 502.0,
        "api_code": None,
        "times": 2,
        "path": None,
        "hits": 1,
    }
    assert (await client.http.delete("/sandbox/faults")).json() == {"faults": []}
    assert (await client.get(ORDERS))["statusCode"] == 200


@pytest.mark.parametrize("body", [[], {"faults": "hang"}, {"faults": ["hang", "earthquake"]}, 5])
async def test_an_invalid_request_does_not_change_the_faults(
    client: SandboxClient, body: object
) -> None:
    client.sandbox.inject("html")
    status, response = await put_faults(client, body)
    assert status == 400
    assert response["error"]
    assert [fault["kind"] for fault in client.sandbox.faults.to_dicts()] == ["html"]


async def test_a_request_that_is_not_json_is_rejected(client: SandboxClient) -> None:
    assert (await client.http.put("/sandbox/faults", content=b"{")).status_code == 400


@pytest.mark.parametrize("kind", ["reset", "half_body"])
async def test_a_connection_fault_without_a_server_is_an_error(kind: str) -> None:
    client = await SandboxClient.logged_in(Options(), ManualClock())
    client.sandbox.inject(kind)
    with pytest.raises(RuntimeError, match="SandboxServer"):
        await client.get(PAYMENT)
