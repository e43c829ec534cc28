"""The file watcher reports changed files once they have settled."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.file_watcher import POLL_SECONDS, FileWatcher
from tests.support.clock import ManualClock


class Watched:
    """Two watched files in one group, and the number of reported changes."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.first, self.second = directory / "first", directory / "second"
        self.changes = 0
        self.error: Exception | None = None
        self.watcher = FileWatcher(self.clock)
        self.watcher.watch([self.first, self.second], self._on_change)

    def _on_change(self) -> None:
        self.changes += 1
        if self.error:
            raise self.error

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
    assert await watched.poll() == 1
    assert await watched.poll(5) == 0
    watched.first.write_text("1", "utf-8")
    assert await watched.poll(5) == 1
    watched.first.unlink()
    assert await watched.poll(5) == 1


async def test_files_written_one_after_the_other_are_reported_together(watched: Watched) -> None:
    await watched.poll()
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
        assert await watched.poll() == 1
    assert [record.message for record in caplog.records] == ["unhandled_exception"]
    watched.first.write_text("1", "utf-8")
    assert await watched.poll(2) == 1


async def test_a_watcher_without_files_ends_at_once() -> None:
    clock = ManualClock()
    watcher = FileWatcher(clock)
    watcher.watch([], lambda: None)
    await asyncio.wait_for(watcher.run(), 1)
    assert clock.pending_timers == 0
