"""Which faults can be ordered, which calls they hit, and what a caller sees of them."""

import asyncio
from typing import Any

import pytest

from app.sandbox import KINDS, Fault, Options
from app.sandbox.faults import EVERYWHERE, FaultDesk
from app.sandbox.oddities import ODDITIES
from tests.sandbox.asker import DETAIL, ORDERS, PAYMENT, Asker
from tests.support.clock import ManualClock, settle


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_a_fault_is_read_from_a_text_or_an_object(text: object, expected: Fault) -> None:
    assert Fault.read(text) == expected


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "is not one of"),
        ("earthquake", "is not one of latency"),
        ("hang=3", "hang takes no value"),
        ("status=20", "status takes 100 to 999"),
        ("status=500.5", "status takes a whole number"),
        ("latency=-1", "latency takes 0 to 86400"),
        ("latency=nan", "latency takes 0 to 86400"),
        ("latency=soon", "value: .* valid number"),
        ("hang,api_code=2020", "hang takes no api_code"),
        ("hang,times=0", "times: .* greater than 0"),
        ("hang,times", "times: .* valid integer"),
        ("hang,times=1,times=2", "twice"),
        ("hang,colour=red", "colour: "),
        ("odd_rows,path=get-order-detail", "odd_rows hits /api/v3/get-orders, not"),
        ("hang,path=/elsewhere", "not '/elsewhere'"),
        (5, "valid dictionary"),
        ({"kind": 5}, "kind: .* valid string"),
        ({"value": 5}, "kind: "),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_in_one_line(given: object, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        Fault.read(given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_hits_every_path_of_its_kind_unless_it_names_one(kind: str) -> None:
    desk = FaultDesk([Fault(kind=kind)])
    assert tuple(path for path in EVERYWHERE if desk.take(path)) == KINDS[kind].paths
    desk.order([Fault(kind=kind, path=ORDERS)])
    assert tuple(path for path in EVERYWHERE if desk.take(path)) == (ORDERS,)


def test_a_spent_fault_hits_no_more_and_lets_the_next_one_speak() -> None:
    desk = FaultDesk([Fault(kind="html", times=1), Fault(kind="hang")])
    assert [desk.take(ORDERS)[0][0].kind for _ in range(3)] == ["html", "hang", "hang"]
    assert [one["hits"] for one in desk.listing()] == [1, 2]


def test_a_fault_that_answers_leaves_the_call_to_none_behind_it() -> None:
    desk = FaultDesk([Fault(kind="latency"), Fault(kind="html"), Fault(kind="odd_rows")])
    assert [fault.kind for fault, _ in desk.take(ORDERS)] == ["latency", "html"]
    assert [one["hits"] for one in desk.listing()] == [1, 1, 0]


async def test_any_status_code_comes_in_the_envelope(asker: Asker) -> None:
    asker.sandbox.break_with("status=601")
    answer = await asker.get(ORDERS)
    assert answer["statusCode"] == 601
    assert "apiCode" not in answer
    assert "data" not in answer
    asker.sandbox.break_with("status=422,api_code=4004")
    answer = await asker.get(DETAIL)
    assert (answer["statusCode"], answer["apiCode"]) == (422, 4004)


async def test_a_throttled_call_may_be_told_when_to_come_back(asker: Asker) -> None:
    asker.sandbox.break_with("throttle,times=1", "throttle=3,times=1", "throttle=0,times=1")
    answers = [await asker.answer(ORDERS) for _ in range(4)]
    assert [one.status_code for one in answers] == [429, 429, 429, 200]
    assert [one.headers.get("retry-after") for one in answers] == [None, "3", "0", None]
    assert answers[0].json() == {
        "statusCode": 429,
        "message": "您的请求已超过最大数量限制\N{FULLWIDTH COMMA}请稍后重试",
    }


async def test_a_gateway_answers_html(asker: Asker) -> None:
    asker.sandbox.break_with("html=503")
    answer = await asker.answer(ORDERS)
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-sandbox"] == "true"


async def test_a_slow_answer_comes_when_its_time_has_passed(
    asker: Asker, clock: ManualClock
) -> None:
    asker.sandbox.break_with("latency=2", "latency=0.5")
    question = asyncio.ensure_future(asker.get(ORDERS))
    await clock.advance(2.4)
    assert not question.done()
    await clock.advance(0.1)
    assert (await question)["statusCode"] == 200


async def test_no_latency_is_no_wait(asker: Asker) -> None:
    asker.sandbox.break_with("latency=0")
    assert (await asker.get(ORDERS))["statusCode"] == 200


async def test_a_call_that_hangs_is_never_answered(asker: Asker, clock: ManualClock) -> None:
    asker.sandbox.break_with("hang")
    question = asyncio.ensure_future(asker.get(ORDERS))
    await clock.advance(100_000)
    assert not question.done()
    question.cancel()
    await settle()
    assert question.cancelled()


async def test_revoked_tokens_are_refused_until_there_is_a_new_one(asker: Asker) -> None:
    asker.sandbox.break_with("revoke_tokens,times=1")
    assert (await asker.get(ORDERS))["apiCode"] == 2020
    assert (await asker.get(ORDERS))["apiCode"] == 2020
    await asker.log_in()
    assert (await asker.get(ORDERS))["statusCode"] == 200


async def test_each_odd_row_has_one_thing_wrong_and_the_order_is_well_alone(asker: Asker) -> None:
    plain = await asker.rows(limit=50)
    asker.sandbox.break_with("odd_rows")
    broken = await asker.rows(limit=50)
    assert len(broken) == 50
    for before, after in zip(plain, broken, strict=True):
        assert len([name for name in before if after.get(name, ...) != before[name]]) == 1
    assert "orderNo" not in broken[4]
    assert broken[5]["goodsName"] is None
    assert broken[6]["quantity"] == 3
    assert broken[0]["quantity"] == broken[len(ODDITIES)]["quantity"] == "two"
    assert (await asker.get(DETAIL, orderNo=plain[0]["orderNo"]))["data"] == plain[0]


async def test_the_list_may_be_the_object_of_the_vendors_own_sample(asker: Asker) -> None:
    first = (await asker.rows())[0]
    asker.sandbox.break_with("list_object")
    assert (await asker.get(ORDERS))["data"] == {"totalCount": "137", "list": first}
    assert (await asker.get(ORDERS, page=1000))["data"]["list"] == {}


async def test_faults_of_the_list_leave_its_refusals_alone(asker: Asker) -> None:
    asker.sandbox.break_with("odd_rows", "list_object", "arrivals")
    assert (await asker.get(ORDERS, limit=51))["statusCode"] == 400


async def test_orders_arrive_while_the_list_is_read(asker: Asker) -> None:
    asker.sandbox.break_with("arrivals=2,times=4")
    totals = [(await asker.get(ORDERS))["data"]["totalCount"] for _ in range(6)]
    assert totals == ["137", "138", "138", "139", "139", "139"]


async def put(asker: Asker, body: object) -> tuple[int, Any]:
    answer = await asker.http.put("/sandbox/faults", json=body)
    return answer.status_code, answer.json()


async def test_faults_are_ordered_listed_and_cleared_over_http(asker: Asker) -> None:
    status, ordered = await put(
        asker, {"faults": ["html,times=2", {"kind": "latency", "value": 0}]}
    )
    assert status == 200
    await asker.answer(ORDERS)
    listed = (await asker.answer("/sandbox/faults")).json()
    assert [one["hits"] for one in ordered["faults"]] == [0, 0]
    assert [one["hits"] for one in listed["faults"]] == [1, 0]
    assert listed["faults"][0] == {
        "kind": "html",
        "value": 502.0,
        "api_code": None,
        "times": 2,
        "path": None,
        "hits": 1,
    }
    assert (await asker.http.delete("/sandbox/faults")).json() == {"faults": []}
    assert (await asker.get(ORDERS))["statusCode"] == 200


@pytest.mark.parametrize("body", [[], {"faults": "hang"}, {"faults": ["hang", "earthquake"]}, 5])
async def test_an_order_that_cannot_be_read_changes_nothing(asker: Asker, body: object) -> None:
    asker.sandbox.break_with("html")
    status, told = await put(asker, body)
    assert status == 400
    assert told["error"]
    assert [one["kind"] for one in asker.sandbox.faults.listing()] == ["html"]


async def test_an_order_that_is_no_json_is_refused(asker: Asker) -> None:
    assert (await asker.http.put("/sandbox/faults", content=b"{")).status_code == 400


@pytest.mark.parametrize("kind", ["reset", "half_body"])
async def test_a_connection_cannot_be_broken_where_there_is_none(kind: str) -> None:
    asker = await Asker.admitted(Options(), ManualClock())
    asker.sandbox.break_with(kind)
    with pytest.raises(RuntimeError, match="SandboxServer"):
        await asker.get(PAYMENT)
