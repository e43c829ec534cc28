"""A client that keeps a copy of the list: an export first, then what changed since.

It does what the documentation says: it takes the export, and applies the changes since the cursor
of the export to it. If the cursor has expired, it starts again.
"""

from app.clock import Clock
from app.orders.changes import CursorExpired
from tests.simulation.sync import plan
from tests.simulation.sync.oracle import SyncOracle
from tests.simulation.sync.proxy import ChangesReading, Proxy

RETRY_AFTER = 1.0


class Follower:
    """One such client.

    Args:
        takes_inconsistent: whether it takes an export that is marked as inconsistent, with a cursor
            from before it; otherwise it tries again.

    Attributes:
        copy: the fingerprint of each order.
    """

    def __init__(
        self,
        name: str,
        follower: plan.Follower,
        proxy: Proxy,
        clock: Clock,
        oracle: SyncOracle,
        *,
        takes_inconsistent: bool,
    ) -> None:
        self._name = name
        self._interval = follower.interval
        self._pause = follower.pause
        self._proxy = proxy
        self._clock = clock
        self._oracle = oracle
        self._takes_inconsistent = takes_inconsistent
        self._cursor = ""
        self._started_at = 0.0
        self.copy: dict[str, str] = {}

    async def run(self) -> None:
        """Follow the list until this is cancelled."""
        while True:
            try:
                seconds = await self._step()
            except CursorExpired:
                self._cursor, seconds = "", 0.0
            except Exception as error:  # noqa: BLE001  the oracle checks it
                self._oracle.read_failed(self._name, self._started_at, error)
                seconds = RETRY_AFTER
            await self._clock.sleep(seconds)

    async def _step(self) -> float:
        """Take the export or the next changes; return the seconds until the next step."""
        if not self._cursor:
            return await self._start()
        reading = await self._read_changes()
        for change in reading.changes:
            if change.row is None:
                self.copy.pop(change.order_no, None)
            else:
                self.copy[change.order_no] = change.row.rev
        self._cursor = reading.cursor
        return self._interval or reading.poll_after

    async def _start(self) -> float:
        cursor = ""
        if self._takes_inconsistent:
            cursor = (await self._read_changes()).cursor
            await self._clock.sleep(self._pause)
        self._started_at = self._clock.monotonic()
        export = await self._proxy.export()
        self._oracle.export_read(self._name, self._started_at, export)
        self._cursor = export.cursor or cursor
        if not self._cursor:
            return RETRY_AFTER
        self.copy = {row.order_no: row.rev for row in export.rows}
        return self._pause

    async def _read_changes(self) -> ChangesReading:
        self._started_at = self._clock.monotonic()
        reading = await self._proxy.changes(self._cursor)
        self._oracle.changes_read(self._name, self._started_at, reading)
        return reading
