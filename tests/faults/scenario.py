"""One fault tried on one proxy: cold, stale, kept, and after it has gone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.sandbox.options import Options
from app.sandbox.server import SandboxServer
from tests.faults.environments import PAGE, Answer, Environ, Place
from tests.faults.table import Papers, Row
from tests.faults.tcp_proxy import Wire, whole

Times = Mapping[str, float]

UPSTREAM_TIMES = ("CONNECT_TIMEOUT", "READ_TIMEOUT", "DEADLINE")
CACHE_TIMES = ("MAX_STALE_WAIT", "TTL", "STALE_WHILE_REVALIDATE")

SHORT = {
    "CONNECT_TIMEOUT": 1.0,
    "READ_TIMEOUT": 1.5,
    "DEADLINE": 3.0,
    "MAX_STALE_WAIT": 0.8,
    "TTL": 1.0,
    "STALE_WHILE_REVALIDATE": 2.0,
}
"""Seconds that are soon over."""

LONG = {
    "CONNECT_TIMEOUT": 20.0,
    "READ_TIMEOUT": 40.0,
    "DEADLINE": 50.0,
    "MAX_STALE_WAIT": 20.0,
    "TTL": 60.0,
    "STALE_WHILE_REVALIDATE": 300.0,
}
"""Seconds that are not over by themselves, however busy the machine is."""

PATIENCE = 90.0
"""Seconds after which it will not be over any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of one fault. Without `stale` and `kept` nobody was warm.

    Attributes:
        cold: the answer to a caller for whom nothing is held.
        ready: the answer of `/readyz` then.
        stale: the answer within grace.
        kept: the answer past it.
        back_cold: seconds until a caller is served, once the fault is over.
        back_kept: seconds until what is served is fresh, once the fault is over.
        lines: the events that the proxy logged, beside a line a request.
    """

    cold: Answer
    ready: Answer
    lines: tuple[str, ...]
    stale: Answer | None = None
    kept: Answer | None = None
    back_cold: float | None = None
    back_kept: float | None = None


def times_of(row: Row, *, hurried: bool) -> Times:
    """The times that a proxy keeps. Hurried, all are short; else those that the row is about."""
    return {name: SHORT[name] if hurried or name in row.about else LONG[name] for name in SHORT}


def environ_of(row: Row, times: Times, wire: Wire, papers: Papers, options: Options) -> Environ:
    """The settings of the proxy on which `row` is tried."""
    scheme = "https" if row.tls else "http"
    config = {
        "BASE_URL": f"{scheme}://localhost:{wire.port}",
        "ACCESS_KEY_ID": options.access_key_id,
        "ACCESS_KEY_SECRET": options.access_key_secret,
        "CA_FILE": str(papers.ca_file),
        **{name: str(times[name]) for name in UPSTREAM_TIMES},
        **row.environ,
    }
    return {
        **{f"ORDERS_UPSTREAM__{name}": value for name, value in config.items()},
        **{f"ORDERS_CACHE__{name}": str(times[name]) for name in CACHE_TIMES},
        "ORDERS_CALLERS__ANONYMOUS": "true",
    }


@dataclass
class Trial:
    """One row, and a proxy, a wire and a sandbox to try it with."""

    name: str
    row: Row
    times: Times
    place: Place
    wire: Wire
    papers: Papers
    upstream: SandboxServer
    _asked: int = 0

    async def run(self) -> Seen:
        """All of it, in order."""
        await self._break()
        cold = await self._ask("cold")
        ready = await self.place.ask("/readyz", f"{self.name}-ready")
        if not self.row.comes_back:
            return Seen(cold=cold, ready=ready, lines=tuple(dict.fromkeys(self._told())))
        back_cold = await self._mend()
        kept = await self._later("kept", self.times["TTL"] + self.times["STALE_WHILE_REVALIDATE"])
        back_kept = await self._mend()
        # Last: what is refreshed behind is still under way when the caller has gone.
        stale = await self._later("stale", self.times["TTL"])
        return Seen(
            cold=cold,
            ready=ready,
            stale=stale,
            kept=kept,
            back_cold=back_cold,
            back_kept=back_kept,
            lines=tuple(dict.fromkeys(self._told())),
        )

    async def _later(self, when: str, seconds: float) -> Answer:
        """The answer while the fault stands, so long after a fresh one."""
        await self._break()
        await self.place.pass_time(seconds + 0.1)
        return await self._ask(when)

    async def _ask(self, when: str) -> Answer:
        return await self.place.ask(PAGE, f"fault-{self.name}-{when}")

    async def _break(self) -> None:
        self.upstream.sandbox.inject(*self.row.faults)
        self.wire.damage = self.row.damage or whole
        if self.row.cut:
            await self.row.cut(self.wire, self.papers)

    async def _mend(self) -> float | None:
        """End the fault; the seconds that pass until the answer is fresh, None if they do not."""
        self.upstream.sandbox.inject()
        self.wire.damage = whole
        if self.row.cut:
            await self.wire.up()
        waited = 0.0
        while waited < PATIENCE:
            self._asked += 1
            answer = await self._ask(f"again-{self._asked}")
            if answer.status == 200 and answer.freshness == "fresh":
                return waited
            await self.place.pass_time(self.place.step)
            waited += self.place.step + answer.seconds
        return None

    def _told(self) -> Iterator[str]:
        """The events of its requests, beside the one that each has."""
        for when in ("cold", "stale", "kept"):
            for line in self.place.lines(f"fault-{self.name}-{when}"):
                if line["event"] != "request":
                    yield str(line["event"])
