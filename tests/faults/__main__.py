"""`make fault-report`: tries every fault on real processes and prints the results as a page.

`python -m tests.faults slow refused` tries only these. `--output` also writes the page to a file.
The exit code is 1 if a result differs from the table or a response was late.
"""

import asyncio
import sys
from argparse import ArgumentParser
from pathlib import Path

from tests.faults.report import late_responses, mismatches, page
from tests.faults.run import run_in_own_processes
from tests.faults.table import ROWS


def main() -> int:
    """Run the command; return its exit code."""
    parser = ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", choices=[[], *ROWS], metavar="NAME")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    observations = asyncio.run(run_in_own_processes(arguments.names or ROWS))
    text = page(observations)
    print(text, end="")
    if arguments.output:
        arguments.output.write_text(text, "utf-8")
    failures = [
        f"{name}: {mismatch}"
        for name, observed in observations.items()
        for mismatch in mismatches(name, observed)
    ]
    failures += [
        f"a response took {seconds:.2f} s" for seconds in late_responses(observations.values())
    ]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
