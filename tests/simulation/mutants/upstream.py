"""Mutants of the upstream client: limiter, circuit breaker, retries and credential."""

import asyncio
from typing import Any

from app.single_flight import SingleFlight
from app.upstream.breaker import Breaker, CallResult
from app.upstream.client import ORDER_PATH, UpstreamClient, create_upstream_client
from app.upstream.credentials import AccessKey, CallAuth, TokenCredential
from app.upstream.errors import DeadlineExceeded
from app.upstream.limiter import CallLimiter, CallStart
from app.upstream.parsing import Subject
from app.upstream.token import Token
from app.upstream.transport import UpstreamRequest
from app.upstream.wire import ObjectResponse
from tests.simulation.components import Components


def with_extra_concurrency(**config: Any) -> UpstreamClient:
    return create_upstream_client(**config | {"max_concurrency": config["max_concurrency"] + 1})


def with_double_rate(**config: Any) -> UpstreamClient:
    return create_upstream_client(**config | {"max_rate": 2 * config["max_rate"]})


def with_too_many_attempts(**config: Any) -> UpstreamClient:
    return create_upstream_client(**config | {"max_attempts": 50})


def with_breaker(breaker: type[Breaker]) -> Components:
    """Return components whose client has a circuit breaker of that class."""

    def make_client(**config: Any) -> UpstreamClient:
        client = create_upstream_client(**config)
        for circuit in (breakers := client._transport._admission._breakers):
            breakers[circuit] = breaker(open_seconds=config["breaker_open_seconds"])
        return client

    return Components(client=make_client)


class NeverOpens(Breaker):
    def retry_in(self, now: float) -> None:
        del now


class SendsSeveralProbes(Breaker):
    def retry_in(self, now: float) -> float | None:
        return None if self._probing else super().retry_in(now)


class NeverCloses(Breaker):
    def after_call(
        self, epoch: int, result: CallResult, now: float, subject: str = ""
    ) -> float | None:
        if self._probing and result is CallResult.SUCCESS:
            result = CallResult.FAILURE
        return super().after_call(epoch, result, now, subject)


def with_limiter(limiter: type[CallLimiter]) -> Components:
    """Return components whose client has a limiter of that class."""

    def make_client(**config: Any) -> UpstreamClient:
        client = create_upstream_client(**config)
        client._transport._admission._limiter = limiter(
            config["clock"], max_concurrency=config["max_concurrency"], max_rate=config["max_rate"]
        )
        return client

    return Components(client=make_client)


class IgnoresThrottling(CallLimiter):
    def on_throttled(self, started: float, retry_after: float | None) -> None:
        """Do nothing."""


class PausesForLong(CallLimiter):
    def on_throttled(self, started: float, retry_after: float | None) -> None:
        super().on_throttled(started, 1000 * (retry_after or 1.0))


class KeepsTimedOutCalls(CallLimiter):
    async def _wait_turn(self, call: Any, seconds: float) -> CallStart:
        try:
            return await super()._wait_turn(call, seconds)
        except DeadlineExceeded:
            self._queue.append(call)
            raise


class LeaksSlots(CallLimiter):
    def release(self, start: CallStart, *, responded: bool = False) -> None:
        if self._queue:
            super().release(start, responded=responded)


def with_other_orders(**config: Any) -> UpstreamClient:
    client = create_upstream_client(**config)
    client.__class__ = AcceptsOtherOrders
    return client


class AcceptsOtherOrders(UpstreamClient):
    async def _get_object(self, subject: Subject, order_no: str, deadline: float) -> ObjectResponse:
        del subject
        request = UpstreamRequest(ORDER_PATH, deadline, {"orderNo": order_no})
        return await self._request(
            request,
            lambda envelope: ObjectResponse(envelope.data, envelope.request_id, envelope.sandbox),
        )


def with_credential(credential: type[TokenCredential]) -> Components:
    """Return components whose client has credentials of that class."""

    def make_client(**config: Any) -> UpstreamClient:
        client = create_upstream_client(**config)

        def make_credential(key: AccessKey) -> TokenCredential:
            return credential(
                client._transport,
                config["clock"],
                client.drift,
                client.status,
                access_key=key,
                pool_id=config["pool_id"],
                deadline=config["deadline"],
            )

        key = AccessKey(config["access_key_id"], config["access_key_secret"])
        client._credential = make_credential(key)
        client.make_credential = make_credential
        return client

    return Components(client=make_client)


class DropsAnyToken(TokenCredential):
    async def renew(self, rejected: CallAuth, *, deadline: float) -> Token:
        del rejected
        self._token = None
        return await self.authorize(deadline=deadline)


class AcceptsAnyPool(TokenCredential):
    async def _fetch(self) -> Token:
        self.pool_id = None
        return await super()._fetch()


class _SeparateRenewals(SingleFlight[None, Token]):
    def get(self, key: None) -> None:
        del key

    def _remove(self, key: None, task: "asyncio.Task[Token]") -> None:
        if key in self._flights:
            super()._remove(key, task)


class NoSharedRenewal(TokenCredential):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._renewals = _SeparateRenewals(self._clock)


class KeepsRejectedToken(TokenCredential):
    async def renew(self, rejected: CallAuth, *, deadline: float) -> Token:
        del rejected
        return await self.authorize(deadline=deadline)
