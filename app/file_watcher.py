"""Watches files and calls back when they have changed, off the path of any request."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.clock import Clock

POLL_SECONDS = 1.0

_FileState = tuple[int, int, int] | None
"""Modification time, size and inode of a file; None if it cannot be found."""

_logger = logging.getLogger("orders_bff.file_watcher")


class FileWatcher:
    """Calls back when files have changed. Polls them, following links, once a second.

    A change is reported once two polls in a row find the same state, because files that belong
    together are written one after the other. Each group of files is also reported once after the
    start: a change between reading the files and watching them would be missed otherwise.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watches: list[_Watch] = []

    def watch(self, paths: Sequence[Path], on_change: Callable[[], None]) -> None:
        """Call `on_change` when any of `paths` has changed; they need not exist."""
        if paths:
            self._watches.append(_Watch(paths, on_change, list(map(_state, paths))))

    async def run(self) -> None:
        """Poll until cancelled. Returns at once if there is nothing to watch."""
        while self._watches:
            await self._clock.sleep(POLL_SECONDS)
            for watch in self._watches:
                watch.poll()


@dataclass(slots=True)
class _Watch:
    paths: Sequence[Path]
    on_change: Callable[[], None]
    last_seen: list[_FileState]
    reported: list[_FileState] | None = None

    def poll(self) -> None:
        states = list(map(_state, self.paths))
        if states == self.last_seen != self.reported:
            self.reported = states
            try:
                self.on_change()
            except Exception:
                # One failing callback must not end the watching of other files.
                _logger.exception("unhandled_exception")
        self.last_seen = states


def _state(path: Path) -> _FileState:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
