"""Liveness and readiness."""

from app.edge.exception_handlers import install_exception_handlers
from app.edge.health import health_router
from app.upstream.errors import UpstreamCredentialRejected, UpstreamError, UpstreamTimeout
from tests.support.api_harness import ApiHarness, bare_api

PROBLEM_CODES: dict[type[Exception], str] = {
    UpstreamCredentialRejected: "upstream_credential_rejected",
    UpstreamTimeout: "upstream_timeout",
}


def health(*errors: Exception | None, draining: bool = False) -> ApiHarness:
    """Return the routes, with a check that raises these errors in turn."""
    results = list(errors)

    async def check_ready() -> None:
        if results and (error := results.pop(0)) is not None:
            raise error

    api = bare_api()
    install_exception_handlers(api, PROBLEM_CODES)
    api.include_router(
        health_router(
            check_ready=check_ready, problem_codes=PROBLEM_CODES, is_draining=lambda: draining
        )
    )
    return ApiHarness(api)


async def test_the_process_is_alive_whatever_the_upstream_does() -> None:
    response = await health(RuntimeError("not called")).request("/livez")

    assert response.status_code == 200
    assert response.json() == {"status": "alive"}
    assert response.headers["cache-control"] == "no-store"


async def test_the_proxy_is_ready_if_the_check_succeeds() -> None:
    response = await health().request("/readyz")

    assert response.status_code == 200
    assert response.json() == {"status": "ready"}
    assert response.headers["cache-control"] == "no-store"


async def test_a_draining_process_is_not_ready_but_alive() -> None:
    response = await health(draining=True).request("/readyz")

    assert response.status_code == 503
    assert response.json()["code"] == "shutting_down"
    assert response.headers["retry-after"] == "1"
    assert (await health(draining=True).request("/livez")).status_code == 200


async def test_a_proxy_that_is_not_ready_reports_the_cause_with_status_503() -> None:
    error = UpstreamCredentialRejected("", status_code=401, request_id="upstream-1")
    response = await health(error).request("/readyz")

    assert response.status_code == response.json()["status"] == 503
    assert response.json()["code"] == "upstream_credential_rejected"
    assert response.json()["title"] == "Upstream rejected the proxy's credential"
    assert response.json()["upstream"] == {"status_code": 401, "request_id": "upstream-1"}
    timeout = await health(UpstreamTimeout("", retry_after=3.0)).request("/readyz")
    assert (timeout.status_code, timeout.headers["retry-after"]) == (503, "3")


async def test_an_unexpected_error_is_an_internal_error() -> None:
    response = await health(UpstreamError("without a code")).request("/readyz")

    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
