"""The route `/v1/status/bundle`: facts for a support case, without secrets and without orders."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Depends, Response, Security
from typing_extensions import TypedDict  # pydantic supports typing's own only from Python 3.12 on

from app.edge.openapi import api_responses
from app.edge.query_params import StrictQuery
from app.edge.schema import Count, Int32, described, documented, open_enum
from app.edge.scopes import require_scopes
from app.operations.responses import EmptyMeta, json_response, known
from app.operations.schema import CIRCUIT_STATES, STATUS_EXAMPLE, Seconds, Status, Timestamp
from app.operations.status import StatusReport, rfc3339
from app.upstream.calls import CallRecord
from app.upstream.drift import DriftKind

BUNDLE_PATH = "/v1/status/bundle"
SUCCESS = "success"
PACKAGES = ("fastapi", "httpcore", "httptools", "httpx", "pydantic", "starlette", "uvicorn")
"""Packages whose version a support case depends on."""


class UpstreamCall(TypedDict):
    """One call to the upstream that has ended."""

    at: Annotated[str, described("When it started.", json_schema_extra={"format": "date-time"})]
    operation: Annotated[str, described("The endpoint.", "get-orders")]
    seconds: Annotated[Seconds, described("How long it took, connecting included.", 0.21)]
    result: Annotated[str, described("`success`, or the problem code.", SUCCESS)]
    status_code: NotRequired[Int32]
    api_code: NotRequired[Int32]
    request_id: NotRequired[Annotated[str, described("The upstream's id of the response.")]]
    caller_request_id: NotRequired[
        Annotated[str, described("The id of the request that it was made for, as in the log.")]
    ]
    circuit: Annotated[str, open_enum("The circuit when it started.", CIRCUIT_STATES)]
    rate: Annotated[float, described("Calls per second that the limiter allowed then.", 50.0)]
    in_flight: Annotated[Count, described("Calls in flight then, this one included.", 1)]
    queued: Annotated[Count, described("Calls that waited then.", 0)]


class DriftFound(TypedDict):
    """One way in which responses of the upstream differ from the known schema."""

    what: Annotated[str, described("What differs.", "new field")]
    where: Annotated[str, described("In which object.", "order")]
    name: NotRequired[Annotated[str, described("The name of the field.", "discount")]]
    type: NotRequired[Annotated[str, described("The JSON type that was sent.", "text")]]
    count: Annotated[Count, described("In how many responses.", 3)]


class Bundle(TypedDict):
    """Facts for a support case."""

    created_at: Timestamp
    status: Status
    calls: Annotated[list[UpstreamCall], described("The last 200 calls, oldest first.")]
    drift: list[DriftFound]
    settings: Annotated[
        dict[str, Any],
        described("All settings; of a secret only that it is set.", {"ORDERS_CACHE__TTL": 60}),
    ]
    versions: Annotated[
        dict[str, str], described("Of Python and of packages.", {"python": "3.14.0"})
    ]


@documented
class BundleResponse(TypedDict):
    """Facts for a support case."""

    data: Bundle
    meta: EmptyMeta


EXAMPLE: dict[str, Any] = {
    "data": {
        "created_at": "2026-11-23T09:00:00.000Z",
        "status": STATUS_EXAMPLE["data"],
        "calls": [
            {
                "at": "2026-11-23T08:59:55.000Z",
                "operation": "get-orders",
                "seconds": 0.212,
                "result": "upstream_failed",
                "status_code": 500,
                "request_id": "934108e5-9fbf-4d24-8da1-c330328abd6c",
                "caller_request_id": "6d0b4d7c0d7a4d0c9d6f2f3b5b1c8e77",
                "circuit": "closed",
                "rate": 50.0,
                "in_flight": 1,
                "queued": 0,
            }
        ],
        "drift": [
            {
                "what": "new field",
                "where": "order",
                "name": "discount",
                "type": "text",
                "count": 3,
            }
        ],
        "settings": {"ORDERS_CACHE__TTL": 60, "ORDERS_UPSTREAM__ACCESS_KEY_ID": "(set)"},
        "versions": {"python": "3.14.0", "httpx": "0.28.1"},
    },
    "meta": {},
}


def add_support_route(router: APIRouter, report: StatusReport) -> None:
    """Add the route of the support bundle to `router`."""

    @router.get(
        BUNDLE_PATH,
        operation_id="getSupportBundle",
        summary="Get facts for a support case",
        response_model=BundleResponse,
        responses=api_responses(
            "The facts.", EXAMPLE, problems=("forbidden",), calls_upstream=False
        ),
        dependencies=[
            Security(require_scopes, scopes=["metrics:read"]),
            Depends(StrictQuery()),
        ],
    )
    async def get_support_bundle() -> Response:
        """What the vendor's support asks for. `orders-bff bundle` writes it to a file.

        It has no secret, no order, and no text of the upstream.
        """
        return json_response(BundleResponse(data=_bundle(report), meta=EmptyMeta()))


def _bundle(report: StatusReport) -> Bundle:
    sources = report.sources
    return Bundle(
        created_at=rfc3339(sources.clock.now()),
        status=report.status(),
        calls=[
            _call(record, _result(record, sources.problem_code))
            for record in sources.client.calls.records
        ],
        drift=[_drift(kind, count) for kind, count in sources.client.drift.counts],
        settings=dict(sources.facts.all_settings),
        versions=_versions(),
    )


def _result(record: CallRecord, problem_code: Callable[[BaseException], str]) -> str:
    return SUCCESS if record.error is None else problem_code(record.error(""))


def _call(record: CallRecord, result: str) -> UpstreamCall:
    call: UpstreamCall = known(
        at=rfc3339(record.started_at),
        operation=record.operation,
        seconds=round(record.seconds, 3),
        result=result,
        status_code=record.status_code,
        api_code=record.api_code,
        request_id=record.request_id,
        caller_request_id=record.caller_request_id or None,
        circuit=record.state.circuit,
        rate=round(record.state.rate, 1),
        in_flight=record.state.in_flight,
        queued=record.state.queued,
    )
    return call


def _drift(kind: DriftKind, responses: int) -> DriftFound:
    drift: DriftFound = known(
        what=kind.what,
        where=kind.where,
        name=kind.name or None,
        type=kind.type or None,
        count=responses,
    )
    return drift


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        **{name: version(name) for name in PACKAGES},
    }
