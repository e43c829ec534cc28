"""`make fault-report`: try every fault on real processes, and print what becomes of it as a page.

Named faults are tried alone: `python -m tests.faults late refused`. The page is also written where
`--output` says. Exit 1 where a promise of the table was not kept.
"""

import asyncio
import sys
from argparse import ArgumentParser
from pathlib import Path

from tests.faults.report import broken_promises, late_answers, page
from tests.faults.run import in_processes
from tests.faults.table import ROWS


def main() -> int:
    """Run it."""
    parser = ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", choices=[[], *ROWS], metavar="NAME")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    seen = asyncio.run(in_processes(given.names or ROWS))
    text = page(seen)
    print(text, end="")
    if given.output:
        given.output.write_text(text, "utf-8")
    wrong = [f"{name}: {told}" for name in seen for told in broken_promises(name, seen[name])]
    wrong += [f"an answer came after {late:.2f} s" for late in late_answers(seen.values())]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
