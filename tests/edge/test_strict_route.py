"""What a route runs of its declaration, and that it documents all of it."""

from typing import Annotated

from fastapi import Depends, Query, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict, field_validator

from app.edge.context import Caller
from app.edge.query_params import StrictQuery
from app.edge.scopes import require_scopes
from app.edge.strict_route import StrictRoute
from tests.support.api_harness import ApiHarness, bare_api

validated: list[str] = []


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str

    @field_validator("name")
    @classmethod
    def _record(cls, value: str) -> str:
        validated.append(value)
        return value


async def test_the_query_is_validated_once():
    api = bare_api()
    api.router.route_class = StrictRoute

    @api.get("/", dependencies=[Depends(StrictQuery(_Query))])
    async def route(query: Annotated[_Query, Query()]) -> str:
        return query.name

    validated.clear()
    response = await ApiHarness(api).request("/?name=once")

    assert response.json() == "once"
    assert validated == ["once"]


async def test_a_query_without_strict_checks_is_validated_by_fastapi():
    api = bare_api()
    api.router.route_class = StrictRoute

    @api.get("/", dependencies=[Depends(StrictQuery())])
    async def route(query: Annotated[_Query, Query()]) -> str:
        raise AssertionError(query)

    assert (await ApiHarness(api).request("/")).status_code == 422


async def test_parameters_and_security_schemes_are_documented():
    api = bare_api()
    api.router.route_class = StrictRoute

    @api.get("/", dependencies=[Security(require_scopes, scopes=[]), Depends(StrictQuery(_Query))])
    async def route(query: Annotated[_Query, Query()]) -> str:
        raise AssertionError(query)

    operation = api.openapi()["paths"]["/"]["get"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["name"]
    schemes = [scheme for requirement in operation["security"] for scheme in requirement]
    assert sorted(schemes) == ["ApiKey", "Bearer", "Session"]


async def test_a_security_scheme_that_is_not_only_documented_rejects_requests():
    api = bare_api()
    api.router.route_class = StrictRoute

    @api.get("/", dependencies=[Security(APIKeyHeader(name="X-Other-Key"))])
    async def route() -> None:
        raise AssertionError

    caller = Caller("anyone", "anonymous", frozenset(), ("address", ""))
    assert (await ApiHarness(api, caller).request("/")).status_code == 401
