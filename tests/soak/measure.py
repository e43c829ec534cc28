"""What a process costs and holds, read from outside, and what a row of measurements says."""

import os
from collections.abc import Sequence
from pathlib import Path


def resident_mib(pid: int) -> float:
    """Memory of the process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_sockets(pid: int) -> int:
    """Sockets that the process holds: the listener, callers, connections to the upstream."""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second number grows for each one of the first, by least squares."""
    middle = sum(x for x, _ in points) / len(points)
    level = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - level) for x, y in points) / spread if spread else 0.0


def most_within(moments: Sequence[float], seconds: float) -> int:
    """The most of `moments`, which are in order, that lie within any so many seconds."""
    most, first = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
