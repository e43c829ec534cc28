"""`serve`, and one thing more: on SIGUSR1 it notes how many asyncio tasks it has.

The number of tasks is nobody's business on a route; a soak asks for it by signal. It is written,
with a line a task, to the file that the environment names.
"""

import asyncio
import os
import signal
from pathlib import Path

from app.cli import main

TOLD = "SOAK_TASKS"
"""The variable that names the file."""


def _tell(_number: int, _frame: object) -> None:
    tasks = [f"{task.get_name()} {task.get_coro()!r}" for task in asyncio.all_tasks()]
    written = Path(os.environ[TOLD])
    part = written.with_suffix(".part")
    part.write_text("".join(f"{line}\n" for line in tasks), "utf-8")
    part.replace(written)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _tell)
    main()
