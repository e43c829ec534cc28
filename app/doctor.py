"""Look at the upstream step by step, and say what is wrong and how to mend it. Serves nobody.

The only place that may show the upstream's own text, and it never shows a credential.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from app.clock import Clock
from app.http import open_client
from app.settings import Settings
from app.upstream import errors
from app.upstream.admission import Admission
from app.upstream.breaker import Breaker
from app.upstream.client import LOST_CALL_DEADLINES, ORDERS_PATH, UpstreamClient
from app.upstream.client_pool import ClientPool
from app.upstream.credentials import AccessKey, credential_factory
from app.upstream.drift import Drift
from app.upstream.limiter import CallLimiter
from app.upstream.retry import RetryBudget, RetryPolicy
from app.upstream.transport import Transport

SKEW_SECONDS = 60
"""Clocks further apart than this make signatures fail, and ages look odd."""

T = TypeVar("T")

_CREDENTIAL = "ORDERS_UPSTREAM__ACCESS_KEY_ID and ORDERS_UPSTREAM__ACCESS_KEY_SECRET"
MENDS: Mapping[type[errors.UpstreamError], str] = {
    errors.UpstreamCredentialRejected: (
        f"check {_CREDENTIAL}, and that ORDERS_UPSTREAM__POOL_ID is empty or theirs;"
        " with ORDERS_UPSTREAM__AUTH=signature also ORDERS_UPSTREAM__BRAND and this clock"
    ),
    errors.UpstreamPlanRequired: "ask the vendor for a plan that includes the order API",
    errors.UpstreamRejected: "check that ORDERS_UPSTREAM__BASE_URL is the management API's",
    errors.UpstreamNotFound: "check that ORDERS_UPSTREAM__BASE_URL is the management API's",
    errors.UpstreamThrottled: "wait, then lower ORDERS_UPSTREAM__MAX_RATE: the pool is shared",
    errors.UpstreamFailed: "try again later; give the vendor the request id",
    errors.UpstreamUnreachable: "check firewalls and ORDERS_UPSTREAM__PROXY between here and there",
    errors.UpstreamTimeout: (
        "raise ORDERS_UPSTREAM__READ_TIMEOUT and ORDERS_UPSTREAM__DEADLINE, or find what is slow"
    ),
    errors.UpstreamUnavailable: "wait a moment and try again",
    errors.UpstreamMalformed: (
        "check that ORDERS_UPSTREAM__BASE_URL is the API itself, not a page or gateway before it"
    ),
}


@dataclass(frozen=True, slots=True)
class Check:
    """What one step found; `mend` is empty where nothing is to be done."""

    step: str
    outcome: Literal["ok", "warning", "error"]
    message: str
    fix: str = ""


class _Wrong(Exception):
    """A step cannot be passed."""

    def __init__(self, told: str, mend: str) -> None:
        super().__init__(told)
        self.mend = mend


class Diagnostics:
    """One look at the upstream of `settings`, from the network up to the list of orders."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._knobs = settings.upstream
        self._clock = clock
        self._drift = Drift(tell=lambda _: None)  # it is told in a finding instead
        open_http = partial(
            open_client,
            self._knobs.base_url,
            max_connections=1,
            ca_file=self._knobs.ca_file,
            proxy=self._knobs.proxy.get_secret_value() if self._knobs.proxy else None,
        )
        governor = CallLimiter(clock, max_concurrency=1, max_rate=self._knobs.max_rate)
        guard = Admission(governor, Breaker(pause=0.0), clock)
        self._calls = Transport(
            ClientPool(open_http, clock, lost_after=LOST_CALL_DEADLINES * self._knobs.deadline),
            guard,
            # One try: what is wrong now and then is to be seen.
            RetryPolicy(guard, RetryBudget(), clock, lambda: 0.0, tries=1),
            clock,
            connect_timeout=self._knobs.connect_timeout,
            read_timeout=self._knobs.read_timeout,
        )
        make_credential = credential_factory(
            self._calls,
            clock,
            scheme=self._knobs.auth,
            brand=self._knobs.brand,
            pool_id=self._knobs.pool_id,
            deadline=self._knobs.deadline,
        )
        access_key = AccessKey(self._knobs.access_key_id, self._knobs.access_key_secret)
        self._client = UpstreamClient(self._calls, make_credential, access_key, self._drift)

    async def run(self) -> AsyncIterator[Check]:
        """What each step found; what is wrong ends it, since the later steps stand upon it."""
        steps = {
            "name": self._look_up,
            "connection": self._connect,
            "clock": self._compare_clocks,
            "credential": self._be_admitted,
            "list": self._read_list,
        }
        try:
            for step, look in steps.items():
                try:
                    finding = await look()
                except errors.UpstreamError as error:
                    finding = Check(step, "error", self._told(error), _mend(error))
                except _Wrong as wrong:
                    finding = Check(step, "error", str(wrong), wrong.mend)
                yield finding
                if finding.outcome == "error":
                    return
        finally:
            await self._client.aclose(0)

    async def _look_up(self) -> Check:
        host, port, _ = self._next_hop()
        loop = asyncio.get_running_loop()
        try:
            found = await self._within(loop.getaddrinfo(host, port, type=1))
        except (OSError, UnicodeError):  # UnicodeError: a label that is too long
            raise _Wrong(
                f"{host} has no address here", "check the name, and this machine's DNS"
            ) from None
        addresses = sorted({str(entry[4][0]) for entry in found})
        return Check("name", "ok", f"{host} is {', '.join(addresses)}")

    async def _connect(self) -> Check:
        host, port, encrypted = self._next_hop()
        context = ssl.create_default_context() if encrypted else None
        if context and self._knobs.ca_file:
            context.load_verify_locations(self._knobs.ca_file)
        started = self._clock.monotonic()
        try:
            _, writer = await self._within(asyncio.open_connection(host, port, ssl=context))
        except ssl.SSLCertVerificationError as error:
            raise _Wrong(
                f"{host} shows a certificate that is not trusted: {error.verify_message}",
                "for a private CA set ORDERS_UPSTREAM__CA_FILE; else somebody is in between",
            ) from None
        except ssl.SSLError as error:
            raise _Wrong(
                f"{host}:{port} does not speak TLS as we do ({error.reason})",
                "check the scheme and the port of ORDERS_UPSTREAM__BASE_URL",
            ) from None
        except OSError as error:
            raise _Wrong(
                f"no connection to {host}:{port} ({type(error).__name__})",
                MENDS[errors.UpstreamUnreachable],
            ) from None
        took = (self._clock.monotonic() - started) * 1000
        spoken = writer.get_extra_info("ssl_object")
        writer.close()
        over = spoken.version() if spoken else "TCP"
        through = " (the proxy)" if self._knobs.proxy else ""
        return Check("connection", "ok", f"{over} to {host}:{port}{through} in {took:.0f} ms")

    async def _compare_clocks(self) -> Check:
        reply = await self._calls.get_raw("/", deadline=self._deadline())
        try:
            theirs = parsedate_to_datetime(reply.headers.get("date", ""))
            apart = abs((theirs - self._clock.now()).total_seconds())
        except (ValueError, TypeError):  # TypeError: a date without a zone
            return Check("clock", "ok", "the upstream does not tell its time; not compared")
        told = f"ours and the upstream's are {apart:.0f} s apart"
        if apart <= SKEW_SECONDS:
            return Check("clock", "ok", told)
        signs = self._knobs.auth == "signature"
        mend = "set this machine's clock (NTP): signatures carry the time"
        return Check("clock", "error" if signs else "warning", told, mend)

    async def _be_admitted(self) -> Check:
        admitted = await self._client.credential.authorize(
            ORDERS_PATH, {}, deadline=self._deadline()
        )
        if self._knobs.auth == "signature":
            return Check("credential", "ok", "each call is signed; the list will tell if it holds")
        pool_id = admitted.headers["x-authing-userpool-id"]
        pinned = "as pinned" if self._knobs.pool_id else "as the token tells"
        return Check("credential", "ok", f"a token was given; the pool is {pool_id}, {pinned}")

    async def _read_list(self) -> Check:
        answer = await self._client.list_orders(1, deadline=self._deadline())
        told = f"{answer.total} orders, {len(answer.rows)} in the first block"
        if answer.sandbox:
            told += "; from a sandbox, so they are made up"
        if self._drift.counts:
            kinds = ", ".join(str(kind) for kind, _ in self._drift.counts)
            return Check(
                "list",
                "warning",
                f"{told}; the answer is outside what we know: {kinds}",
                "orders are served as far as they can be read; please report it",
            )
        return Check("list", "ok", told)

    def _next_hop(self) -> tuple[str, int, bool]:
        """Host and port that we connect to, and whether TLS is spoken from there on."""
        proxy = self._knobs.proxy
        parts = urlsplit(proxy.get_secret_value() if proxy else self._knobs.base_url)
        encrypted = parts.scheme == "https"
        return parts.hostname or "", parts.port or (443 if encrypted else 80), encrypted

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._knobs.deadline

    async def _within(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; TimeoutError (an OSError) where it takes too long."""
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._clock.sleep(self._knobs.connect_timeout))
        await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not task.done():
            task.cancel()
            raise TimeoutError
        return task.result()

    def _told(self, error: errors.UpstreamError) -> str:
        """The error, its codes and the upstream's own text without anything of our credential."""
        facts = {
            "statusCode": error.status_code,
            "apiCode": error.api_code,
            "request id": error.request_id,
            "message": self._scrubbed(error.message) or None,
        }
        known = ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact is not None)
        return f"{error} ({known})" if known else str(error)

    def _scrubbed(self, text: str) -> str:
        for secret in (self._knobs.access_key_secret, self._knobs.access_key_id):
            text = text.replace(secret.get_secret_value(), "***")
        # A token looks like this; and a terminal obeys control characters.
        text = re.sub(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*", "***", text)
        return "".join(sign if sign.isprintable() else " " for sign in text)[:300]


def _mend(error: errors.UpstreamError) -> str:
    return next(MENDS[kind] for kind in type(error).__mro__ if kind in MENDS)
