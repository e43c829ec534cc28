"""Watches files and calls back when they have changed, off the path of any request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from app.clock import Clock
from app.daemon_thread import RunInThread, run_in_thread

POLL_SECONDS = 1.0

POLL_TIMEOUT = 5.0
"""Seconds after which a poll that has not ended is reported: the files are on a hung mount."""

_FileState = tuple[int, int, int, int] | None
"""Times of modification and change, size and inode of a file; None if it cannot be found."""

_logger = logging.getLogger("orders_bff.file_watcher")


class FileWatcher:
    """Calls back when files have changed. Polls them, following links, once a second.

    A change is reported once two polls in a row find the same state, because files that belong
    together are written one after the other. Each group of files is also reported once after the
    start: a change between reading the files and watching them would be missed otherwise.

    The file system is read in another thread. A poll that hangs delays the next one of its group,
    and nothing else.
    """

    def __init__(self, clock: Clock, run_in_thread: RunInThread = run_in_thread) -> None:
        self._clock = clock
        self._run_in_thread = run_in_thread
        self._watches: list[_Watch] = []

    def watch(self, paths: Sequence[Path], on_change: Callable[[], Awaitable[bool]]) -> None:
        """Await `on_change` when any of `paths` has changed; they need not exist.

        If it returns False, because the files cannot be used, it is called again at the next poll.
        """
        if paths:
            self._watches.append(_Watch(paths, on_change, self._run_in_thread))

    async def run(self) -> None:
        """Poll until cancelled. Returns at once if there is nothing to watch."""
        await asyncio.gather(*map(self._run, self._watches))

    async def _run(self, watch: "_Watch") -> None:
        while True:
            await self._clock.sleep(POLL_SECONDS)
            poll = asyncio.ensure_future(watch.poll())
            try:
                if not await self._clock.finishes_within(poll, POLL_TIMEOUT):
                    fields = {"files": [path.name for path in watch.paths]}
                    _logger.error("files_not_readable_in_time", extra={"fields": fields})
                    await asyncio.wait([poll])
                    _logger.info("files_readable_again", extra={"fields": fields})
                poll.result()
            except Exception:
                # One failing callback must not end the watching.
                _logger.exception("unhandled_exception")
            finally:
                poll.cancel()


class _Watch:
    def __init__(
        self,
        paths: Sequence[Path],
        on_change: Callable[[], Awaitable[bool]],
        run_in_thread: RunInThread,
    ) -> None:
        self.paths = paths
        self._on_change = on_change
        self._run_in_thread = run_in_thread
        self._last_seen: list[_FileState] | None = None
        self._reported: list[_FileState] | None = None

    async def poll(self) -> None:
        states = await self._run_in_thread(partial(_states, self.paths))
        if states == self._last_seen != self._reported:
            self._reported = states
            if not await self._on_change():
                self._reported = None
        self._last_seen = states


def _states(paths: Sequence[Path]) -> list[_FileState]:
    return list(map(_state, paths))


def _state(path: Path) -> _FileState:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
