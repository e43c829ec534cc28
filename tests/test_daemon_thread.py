"""A function in a daemon thread: its result, its error, and that the process can exit."""

import asyncio
import subprocess
import sys
import threading

import pytest

from app.daemon_thread import run_in_thread


async def test_the_result_and_the_error_are_those_of_the_function() -> None:
    assert await run_in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0)


async def test_cancelling_does_not_wait_for_the_thread() -> None:
    blocked = threading.Event()
    waiting = asyncio.create_task(run_in_thread(blocked.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    blocked.set()


def test_a_thread_that_never_ends_does_not_keep_the_process() -> None:
    program = (
        "import asyncio, threading\n"
        "from app.daemon_thread import run_in_thread\n"
        "async def main():\n"
        "    asyncio.create_task(run_in_thread(threading.Event().wait))\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 0
