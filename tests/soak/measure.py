"""Measures a process from outside, and evaluates series of measurements."""

import os
from collections.abc import Sequence
from pathlib import Path


def resident_mib(pid: int) -> float:
    """Return the resident memory of the process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_sockets(pid: int) -> int:
    """Return how many sockets the process has open, listeners included."""
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed meanwhile
            continue
    return count


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the growth of y per unit of x by least squares, for points (x, y)."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    variance = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / variance if variance else 0.0


def max_within(times: Sequence[float], seconds: float) -> int:
    """Return the largest number of the ascending `times` within any window of `seconds`."""
    largest, first = 0, 0
    for last, time in enumerate(times):
        while time - times[first] >= seconds:
            first += 1
        largest = max(largest, last - first + 1)
    return largest
