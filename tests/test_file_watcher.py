"""The file watcher reports changed files once they have settled."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from app.daemon_thread import run_in_thread
from app.file_watcher import POLL_SECONDS, FileWatcher
from tests.support.clock import ManualClock
from tests.support.run import run_inline

T = TypeVar("T")


async def _never() -> bool:
    raise AssertionError


class Watched:
    """Two watched files in one group, and the number of reported changes."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.first, self.second = directory / "first", directory / "second"
        self.changes = 0
        self.error: Exception | None = None
        self.is_usable = True
        self.watcher = FileWatcher(self.clock, run_inline)
        self.watcher.watch([self.first, self.second], self._on_change)

    async def _on_change(self) -> bool:
        self.changes += 1
        if self.error:
            raise self.error
        return self.is_usable

    async def poll(self, times: int = 1) -> int:
        """Let the watcher poll; return how many changes it reported meanwhile."""
        before = self.changes
        await self.clock.advance(times * POLL_SECONDS)
        return self.changes - before


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path)
    running = asyncio.create_task(watched.watcher.run())
    yield watched
    running.cancel()


async def test_files_are_reported_once_after_the_start_and_then_when_they_change(
    watched: Watched,
) -> None:
    assert await watched.poll(2) == 1
    assert await watched.poll(5) == 0
    watched.first.write_text("1", "utf-8")
    assert await watched.poll(5) == 1
    watched.first.chmod(0o600)
    assert await watched.poll(5) == 1
    watched.first.unlink()
    assert await watched.poll(5) == 1


async def test_files_written_one_after_the_other_are_reported_together(watched: Watched) -> None:
    await watched.poll(2)
    watched.first.write_text("1", "utf-8")
    assert await watched.poll() == 0
    watched.second.write_text("2", "utf-8")
    assert await watched.poll() == 0
    assert await watched.poll() == 1


async def test_a_change_before_the_first_poll_is_reported(watched: Watched) -> None:
    watched.first.write_text("1", "utf-8")
    assert await watched.poll() == 0
    assert await watched.poll() == 1


async def test_a_link_that_is_replaced_is_a_change(watched: Watched, tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).write_text(version, "utf-8")
    watched.first.symlink_to("1")
    await watched.poll(2)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(watched.first)
    assert await watched.poll(2) == 1


async def test_a_failing_callback_is_logged_and_watching_goes_on(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.error = RuntimeError()
    with caplog.at_level(logging.ERROR, logger="orders_bff"):
        assert await watched.poll(2) == 1
    assert [record.message for record in caplog.records] == ["unhandled_exception"]
    watched.first.write_text("1", "utf-8")
    assert await watched.poll(2) == 1


async def test_files_that_cannot_be_used_are_reported_until_they_can(watched: Watched) -> None:
    watched.is_usable = False
    assert await watched.poll(4) == 3
    watched.is_usable = True
    assert await watched.poll(4) == 1


async def test_a_hung_mount_is_logged_once_and_read_by_one_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, mount = ManualClock(), asyncio.Event()
    threads, changes = [0], [0]

    async def run_on_hung_mount(function: Callable[[], T], /) -> T:
        threads[0] += 1
        await mount.wait()
        return function()

    async def on_change() -> bool:
        changes[0] += 1
        return True

    watcher = FileWatcher(clock, run_on_hung_mount)
    watcher.watch([tmp_path / "keys.json"], on_change)
    running = asyncio.create_task(watcher.run())
    with caplog.at_level(logging.INFO, logger="orders_bff"):
        await clock.advance(100)
        assert [record.message for record in caplog.records] == ["files_not_readable_in_time"]
        assert threads == [1]
        mount.set()
        await clock.advance(3)
        assert [record.message for record in caplog.records][1:] == ["files_readable_again"]
    assert changes == [1]
    running.cancel()


async def test_a_watcher_is_stopped_while_a_mount_hangs(tmp_path: Path) -> None:
    clock, mount = ManualClock(), threading.Event()

    async def run_until_the_mount_is_back(function: Callable[[], T], /) -> T:
        await run_in_thread(mount.wait)
        return function()

    watcher = FileWatcher(clock, run_until_the_mount_is_back)
    watcher.watch([tmp_path / "keys.json"], _never)
    running = asyncio.create_task(watcher.run())
    await clock.advance(2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    mount.set()


async def test_a_watcher_without_files_ends_at_once() -> None:
    clock = ManualClock()
    watcher = FileWatcher(clock)
    watcher.watch([], _never)
    await asyncio.wait_for(watcher.run(), 1)
    assert clock.pending_timers == 0
