"""One fault tried on one proxy: with nothing cached, with a stale response, and afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from tests.faults.environments import PAGE, Environ, Environment, Response
from tests.faults.table import Certificates, Row
from tests.faults.tcp_proxy import TcpProxy, forward

Durations = Mapping[str, float]

UPSTREAM_SETTINGS = ("CONNECT_TIMEOUT", "READ_TIMEOUT", "DEADLINE")
CACHE_SETTINGS = ("MAX_STALE_WAIT", "TTL", "STALE_WHILE_REVALIDATE")

SHORT = {
    "CONNECT_TIMEOUT": 1.0,
    "READ_TIMEOUT": 1.5,
    "DEADLINE": 3.0,
    "MAX_STALE_WAIT": 0.8,
    "TTL": 1.0,
    "STALE_WHILE_REVALIDATE": 2.0,
}
"""Seconds that pass quickly."""

LONG = {
    "CONNECT_TIMEOUT": 20.0,
    "READ_TIMEOUT": 40.0,
    "DEADLINE": 50.0,
    "MAX_STALE_WAIT": 20.0,
    "TTL": 60.0,
    "STALE_WHILE_REVALIDATE": 300.0,
}
"""Seconds that do not pass during a test, even on a busy machine."""

RECOVERY_TIMEOUT = 90.0
"""Seconds after which a proxy that has not recovered never will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What happened during one fault. `None` if the fault is not recoverable.

    Attributes:
        uncached: the response while nothing was cached.
        readyz: the response of `/readyz` then.
        stale: the response while the cached one was stale.
        stale_if_error: the response while the cached one was past STALE_WHILE_REVALIDATE.
        uncached_recovery: seconds from the end of the fault to the first fresh response.
        cached_recovery: the same, with a cached response.
        events: the logged events, without the access log.
    """

    uncached: Response
    readyz: Response
    events: tuple[str, ...]
    stale: Response | None = None
    stale_if_error: Response | None = None
    uncached_recovery: float | None = None
    cached_recovery: float | None = None


def durations_for(row: Row, *, all_short: bool) -> Durations:
    """Return the timeouts and lifetimes of a proxy: short ones where the row needs them, or all."""
    return {
        name: SHORT[name] if all_short or name in row.short_timeouts else LONG[name]
        for name in SHORT
    }


def environ_for(
    row: Row,
    durations: Durations,
    tcp_proxy: TcpProxy,
    certificates: Certificates,
    options: Options,
) -> Environ:
    """Return the settings of the proxy on which `row` is tried."""
    scheme = "https" if row.tls else "http"
    upstream = {
        "BASE_URL": f"{scheme}://localhost:{tcp_proxy.port}",
        "ACCESS_KEY_ID": options.access_key_id,
        "ACCESS_KEY_SECRET": options.access_key_secret,
        "CA_FILE": str(certificates.ca_file),
        **{name: str(durations[name]) for name in UPSTREAM_SETTINGS},
        **row.settings,
    }
    return {
        **{f"ORDERS_UPSTREAM__{name}": value for name, value in upstream.items()},
        **{f"ORDERS_CACHE__{name}": str(durations[name]) for name in CACHE_SETTINGS},
        "ORDERS_CALLERS__ANONYMOUS": "true",
    }


@dataclass
class Scenario:
    """One row, with the proxy, TCP proxy and sandbox to try it on."""

    name: str
    row: Row
    durations: Durations
    proxy: Environment
    tcp_proxy: TcpProxy
    certificates: Certificates
    sandbox: SandboxServer
    _polls: int = 0

    async def run(self) -> Observations:
        """Run all steps in order."""
        await self._start_fault()
        uncached = await self._request("uncached")
        readyz = await self.proxy.request("/readyz", f"{self.name}-readyz")
        if not self.row.recoverable:
            await self.proxy.wait(self.proxy.poll_interval)  # the log is written with a delay
            return Observations(uncached=uncached, readyz=readyz, events=self._events())
        uncached_recovery = await self._recover()
        stale_if_error = await self._request_after(
            "stale-if-error", self.durations["TTL"] + self.durations["STALE_WHILE_REVALIDATE"]
        )
        cached_recovery = await self._recover()
        # Last, because its background refresh is still running when the response has been sent.
        stale = await self._request_after("stale", self.durations["TTL"])
        return Observations(
            uncached=uncached,
            readyz=readyz,
            stale=stale,
            stale_if_error=stale_if_error,
            uncached_recovery=uncached_recovery,
            cached_recovery=cached_recovery,
            events=self._events(),
        )

    async def _request_after(self, step: str, seconds: float) -> Response:
        """Start the fault, let `seconds` pass, and send a request."""
        await self._start_fault()
        await self.proxy.wait(seconds + 0.1)
        return await self._request(step)

    async def _request(self, step: str) -> Response:
        return await self.proxy.request(PAGE, f"fault-{self.name}-{step}")

    async def _start_fault(self) -> None:
        self.sandbox.sandbox.inject(*self.row.sandbox_faults)
        self.tcp_proxy.fault = self.row.response_fault or forward
        if self.row.network_fault:
            await self.row.network_fault(self.tcp_proxy, self.certificates)

    async def _recover(self) -> float | None:
        """End the fault. Return the seconds until a response is fresh, or None if none is."""
        self.sandbox.sandbox.inject()
        self.tcp_proxy.fault = forward
        if self.row.network_fault:
            await self.tcp_proxy.start()
        waited = 0.0
        while waited < RECOVERY_TIMEOUT:
            self._polls += 1
            response = await self._request(f"poll-{self._polls}")
            if response.status == 200 and response.freshness == "fresh":
                return waited
            await self.proxy.wait(self.proxy.poll_interval)
            waited += self.proxy.poll_interval + response.seconds
        return None

    def _events(self) -> tuple[str, ...]:
        """Return each event that was logged for the requests during the fault, once."""
        return tuple(dict.fromkeys(self._all_events()))

    def _all_events(self) -> Iterator[str]:
        for step in ("uncached", "stale", "stale-if-error"):
            for entry in self.proxy.log_entries(f"fault-{self.name}-{step}"):
                if entry["event"] != "request":
                    yield str(entry["event"])
