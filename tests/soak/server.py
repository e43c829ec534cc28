"""`serve`, which on SIGUSR1 also writes its asyncio tasks, one a line, to a file.

The environment variable `TASKS_FILE_VARIABLE` names the file.
"""

import asyncio
import os
import signal
from pathlib import Path

from app.cli import main

TASKS_FILE_VARIABLE = "SOAK_TASKS"


def _write_tasks(_number: int, _frame: object) -> None:
    tasks = [f"{task.get_name()} {task.get_coro()!r}" for task in asyncio.all_tasks()]
    path = Path(os.environ[TASKS_FILE_VARIABLE])
    incomplete = path.with_suffix(".part")
    incomplete.write_text("".join(f"{line}\n" for line in tasks), "utf-8")
    incomplete.replace(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _write_tasks)
    main()
