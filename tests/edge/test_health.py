"""Whether the process lives, and whether it can serve."""

from app.edge.exception_handlers import install_exception_handlers
from app.edge.health import health_router
from app.upstream.errors import UpstreamCredentialRejected, UpstreamError
from tests.support.api_harness import ApiHarness, bare_api

TABLE: dict[type[Exception], str] = {UpstreamCredentialRejected: "upstream_credential_rejected"}


def health(error: Exception | None = None, *, leaving: bool = False) -> ApiHarness:
    async def ready() -> None:
        if error is not None:
            raise error

    api = bare_api()
    install_exception_handlers(api, TABLE)
    api.include_router(health_router(ready=ready, table=TABLE, leaving=lambda: leaving))
    return ApiHarness(api)


async def test_the_process_lives_whatever_the_upstream_does() -> None:
    answer = await health(RuntimeError("never asked")).request("/livez")

    assert answer.status_code == 200
    assert answer.json() == {"status": "alive"}
    assert answer.headers["cache-control"] == "no-store"


async def test_ready_is_said_when_the_upstream_answers() -> None:
    answer = await health().request("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready"}
    assert answer.headers["cache-control"] == "no-store"


async def test_who_is_about_to_leave_is_not_ready_and_lives() -> None:
    answer = await health(leaving=True).request("/readyz")

    assert answer.status_code == 503
    assert answer.json()["code"] == "overloaded"
    assert answer.json()["detail"] == "This proxy is about to stop, and takes nobody more in."
    assert (await health(leaving=True).request("/livez")).status_code == 200


async def test_not_ready_says_why_and_when_to_look_again() -> None:
    error = UpstreamCredentialRejected("", status_code=401, request_id="upstream-1")
    answer = await health(error).request("/readyz")

    assert answer.status_code == 503
    assert answer.json()["code"] == "upstream_unavailable"
    assert answer.json()["detail"].startswith("The upstream does not accept the credential")
    assert answer.json()["upstream"] == {"status_code": 401, "request_id": "upstream-1"}
    assert answer.headers["retry-after"] == "1"


async def test_what_nobody_foresaw_is_a_fault_of_ours() -> None:
    answer = await health(UpstreamError("of no known kind")).request("/readyz")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
