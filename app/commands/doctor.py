"""Checks the upstream step by step, and explains what is wrong and how to fix it.

The only place that may show the upstream's own text. It never shows a credential.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from app.cache.store import KEY_PREFIX, Store, StoreError
from app.certificate_errors import breaks_rfc_5280, describe_certificate_error
from app.clock import Clock
from app.composition.components import create_client
from app.composition.sharing import open_store
from app.daemon_thread import RunInThread, run_in_thread
from app.settings import Settings
from app.upstream import errors
from app.upstream.drift import Drift

MAX_CLOCK_SKEW_SECONDS = 60
"""Clocks further apart make signatures fail, and the age of answers wrong."""

HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds after which the next address is tried at the same time (RFC 8305), as httpx does it: an
address that swallows packets must not count as an error here if it does not matter for `serve`."""

SLOW_RATIO = 0.5
"""Part of READ_TIMEOUT; a list call that takes longer may time out under load."""

CERTIFICATE_FIX = (
    "for a private CA set ORDERS_UPSTREAM__CA_FILE; otherwise the connection may be intercepted"
)
STORE_TIMEOUT_SECONDS = 3.0
STORE_FIX = (
    "check ORDERS_CACHE__URL, and that the store runs; meanwhile each process caches by itself, and"
    " a restart empties its cache"
)
RFC_5280_FIX = (
    "have the CA issue certificates that follow RFC 5280; Python 3.13 and newer insist on it, so"
    " until then run this with Python 3.12"
)

T = TypeVar("T")

_CREDENTIAL = "ORDERS_UPSTREAM__ACCESS_KEY_ID and ORDERS_UPSTREAM__ACCESS_KEY_SECRET"
FIXES: Mapping[type[errors.UpstreamError], str] = {
    errors.UpstreamCredentialRejected: (
        f"check {_CREDENTIAL}, and that ORDERS_UPSTREAM__POOL_ID is empty or their pool's;"
        " with ORDERS_UPSTREAM__AUTH=signature also ORDERS_UPSTREAM__BRAND and this machine's clock"
    ),
    errors.UpstreamPlanRequired: "ask the vendor for a plan that includes the order API",
    errors.UpstreamRejected: "check that ORDERS_UPSTREAM__BASE_URL is the management API's",
    errors.UpstreamNotFound: "check that ORDERS_UPSTREAM__BASE_URL is the management API's",
    errors.UpstreamThrottled: (
        "wait, then lower ORDERS_UPSTREAM__MAX_RATE: the pool's rate limit is shared"
    ),
    errors.UpstreamFailed: "try again later; give the vendor the request id",
    errors.UpstreamUnreachable: (
        "check ORDERS_UPSTREAM__BASE_URL, ORDERS_UPSTREAM__PROXY and firewalls"
    ),
    errors.UpstreamTimeout: (
        "raise ORDERS_UPSTREAM__READ_TIMEOUT and ORDERS_UPSTREAM__DEADLINE, or find what is slow"
    ),
    errors.UpstreamUnavailable: "wait a moment and try again",
    errors.UpstreamMalformed: (
        "check that ORDERS_UPSTREAM__BASE_URL is the API, not a web page or gateway in front of it"
    ),
}
"""What to do about each error."""

Outcome = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one step; `fix` is empty if there is nothing to do.

    `seconds` is how long the step took, 0 if it took no time worth mentioning.
    """

    step: str
    outcome: Outcome
    message: str
    fix: str = ""
    seconds: float = 0.0


class _Finding(Exception):
    """Raised by a step whose outcome is not "ok"."""

    def __init__(self, message: str, fix: str, outcome: Outcome = "error") -> None:
        super().__init__(message)
        self.fix = fix
        self.outcome = outcome


class Diagnostics:
    """Checks of the configured upstream, from DNS up to the order list."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._config = config = settings.upstream
        self._clock = clock
        next_hop = urlsplit(config.proxy.get_secret_value() if config.proxy else config.base_url)
        self._host = next_hop.hostname or ""
        self._uses_tls = next_hop.scheme == "https"
        self._port = next_hop.port or (443 if self._uses_tls else 80)
        self._drift = Drift(on_new=lambda _: None)  # part of the check's message instead of the log
        self._client = create_client(
            settings,
            clock,
            max_concurrency=1,
            breaker_open_seconds=0.0,
            max_attempts=1,  # intermittent errors should be seen
            drift=self._drift,
        )

    async def run(self) -> AsyncIterator[Check]:
        """Yield the result of each step; stop after an error, because later steps depend on it."""
        steps = {
            "dns": self._resolve,
            "connection": self._connect,
            "clock": self._compare_clocks,
            "credential": self._check_credential,
            "list": self._read_list,
        }
        try:
            for step, perform in steps.items():
                started = self._clock.monotonic()
                try:
                    check = Check(step, "ok", await perform())
                except errors.UpstreamError as error:
                    fix = next(FIXES[base] for base in type(error).__mro__ if base in FIXES)
                    check = Check(step, "error", self._describe(error), fix)
                except _Finding as finding:
                    check = Check(step, finding.outcome, str(finding), finding.fix)
                yield replace(check, seconds=round(self._clock.monotonic() - started, 3))
                if check.outcome == "error":
                    return
        finally:
            await self._client.close(0)

    async def _resolve(self) -> str:
        host, loop = self._host, asyncio.get_running_loop()
        try:
            found = await self._with_timeout(loop.getaddrinfo(host, self._port, type=1))
        except (OSError, UnicodeError):  # UnicodeError: a label that is too long
            raise _Finding(
                f"{host} cannot be resolved", "check the host name, and this machine's DNS"
            ) from None
        addresses = sorted({str(entry[4][0]) for entry in found})
        return f"{host} resolves to {', '.join(addresses)}"

    async def _connect(self) -> str:
        host, port = self._host, self._port
        context = ssl.create_default_context() if self._uses_tls else None
        if context and self._config.ca_file:
            context.load_verify_locations(self._config.ca_file)
        connecting = asyncio.open_connection(
            host, port, ssl=context, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY
        )
        try:
            _, writer = await self._with_timeout(connecting)
        except ssl.SSLCertVerificationError as error:
            raise _Finding(
                f"the certificate of {host} is not trusted: {describe_certificate_error(error)}",
                RFC_5280_FIX if breaks_rfc_5280(error) else CERTIFICATE_FIX,
            ) from None
        except ssl.SSLError as error:
            raise _Finding(
                f"the TLS handshake with {host}:{port} failed ({error.reason})",
                "check the scheme and the port of ORDERS_UPSTREAM__BASE_URL",
            ) from None
        except OSError as error:
            raise _Finding(
                f"no connection to {host}:{port} ({type(error).__name__})",
                FIXES[errors.UpstreamUnreachable],
            ) from None
        tls = writer.get_extra_info("ssl_object")
        address = writer.get_extra_info("peername")[0]
        writer.close()
        protocol = tls.version() if tls else "TCP"
        proxy = " (the proxy)" if self._config.proxy else ""
        return f"{protocol} to {host}:{port}{proxy} at {address}"

    async def _compare_clocks(self) -> str:
        response = await self._client.get_raw("/", deadline=self._deadline())
        try:
            date = parsedate_to_datetime(response.headers.get("date", ""))
            skew = abs((date - self._clock.now()).total_seconds())
        except (ValueError, TypeError):  # TypeError: a date without a zone
            return "not compared: the upstream sends no valid Date"
        message = f"differs from the upstream's by {skew:.0f} s"
        if skew > MAX_CLOCK_SKEW_SECONDS:
            raise _Finding(
                message,
                "synchronize this machine's clock (NTP): signatures contain the time",
                "error" if self._config.auth == "signature" else "warning",
            )
        return message

    async def _check_credential(self) -> str:
        pool_id = await self._client.authorize(deadline=self._deadline())
        if self._config.auth == "signature":
            return "each call is signed; the next step shows whether the signature is accepted"
        origin = "as configured" if self._config.pool_id else "according to the token"
        return f"received a token; the pool is {pool_id} ({origin})"

    async def _read_list(self) -> str:
        started = self._clock.monotonic()
        response = await self._client.list_orders(1, deadline=self._deadline())
        seconds = self._clock.monotonic() - started
        message = f"{response.total} orders, {len(response.rows)} in the first block"
        if response.sandbox:
            message += "; generated by a sandbox"
        if self._drift.counts:
            kinds = ", ".join(str(kind) for kind, _ in self._drift.counts)
            raise _Finding(
                f"{message}; the response differs from the known schema: {kinds}",
                "orders are served as far as they can be read; please report this",
                "warning",
            )
        if seconds > self._config.read_timeout * SLOW_RATIO:
            raise _Finding(
                f"{message}; it took {seconds:.1f} s of ORDERS_UPSTREAM__READ_TIMEOUT, which is"
                f" {self._config.read_timeout:g} s",
                FIXES[errors.UpstreamTimeout],
                "warning",
            )
        return message

    def _deadline(self) -> float:
        return self._clock.monotonic() + self._config.deadline

    async def _with_timeout(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, or raise TimeoutError (an OSError) after CONNECT_TIMEOUT."""
        task = asyncio.ensure_future(work)
        if not await self._clock.finishes_within(task, self._config.connect_timeout):
            task.cancel()
            raise TimeoutError
        return task.result()

    def _describe(self, error: errors.UpstreamError) -> str:
        """Return the error, its codes and the upstream's text, without our credential."""
        details = {
            "statusCode": error.status_code,
            "apiCode": error.api_code,
            "request id": error.request_id,
            "message": self._redacted(error.message) or None,
        }
        present = [f"{name} {value}" for name, value in details.items() if value is not None]
        return f"{error} ({', '.join(present)})" if present else str(error)

    def _redacted(self, text: str) -> str:
        for secret in (self._config.access_key_secret, self._config.access_key_id):
            text = text.replace(secret.get_secret_value(), "***")
        # Anything that looks like a token; and control characters, which a terminal would obey.
        text = re.sub(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*", "***", text)
        return "".join(char if char.isprintable() else " " for char in text)[:300]


async def check_store(
    settings: Settings,
    clock: Clock,
    open_store: Callable[[str, Clock, RunInThread], Store] = open_store,
    *,
    user: int | None = None,
) -> Check:
    """Return whether the configured store can be written and read; it does not need the upstream.

    A text is stored for a minute under a name that nothing else uses. A SQLite file is not created
    for `user`, by default that of this process, in a folder of another one: the proxy, which runs
    as that one, could not use it.
    """
    url = settings.cache.url
    if url is None:
        return Check("store", "ok", "memory: a restart empties the cache; replicas share nothing")
    text = url.get_secret_value()
    kind, started = urlsplit(text).scheme, clock.monotonic()
    file = Path(unquote(urlsplit(text).path))
    if kind == "sqlite" and await run_in_thread(partial(_belongs_to_another, file, user)):
        message = f"{kind}: not checked, because {file} or its folder belongs to another user"
        return Check("store", "warning", message, "run doctor as the user of the proxy")
    store = open_store(text, clock, run_in_thread)
    use = asyncio.ensure_future(_use(store))
    if not await clock.finishes_within(use, STORE_TIMEOUT_SECONDS):
        use.cancel()
        error: str | None = f"no answer within {STORE_TIMEOUT_SECONDS:g} s"
    else:
        error = use.result()
    seconds = round(clock.monotonic() - started, 3)
    await store.close()
    if error:
        return Check("store", "error", f"{kind}: {error}", STORE_FIX, seconds)
    return Check("store", "ok", f"{kind}: can be written and read", seconds=seconds)


def _belongs_to_another(file: Path, user: int | None) -> bool:
    user = getattr(os, "geteuid", int)() if user is None else user
    for path in (file, file.parent):
        try:
            return path.stat().st_uid != user
        except PermissionError:
            return True  # a folder that only its owner may look into, as systemd creates them
        except OSError:
            continue  # it does not exist
    return False


async def _use(store: Store) -> str | None:
    """Write and read a text; return what is wrong, None if nothing is."""
    name = f"{KEY_PREFIX}doctor"
    try:
        await store.put_text(name, "ok", lifetime=60.0)
        found = await store.get_text(name)
    except StoreError as error:
        return str(error)
    return None if found == "ok" else "it has lost what was just written"
