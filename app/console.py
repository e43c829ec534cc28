"""Output of the commands: lines for people, documents for programs, and standard streams.

Lines are in the encoding of the terminal, with `?` for what it does not have. They can repeat names
and texts of others, so control and bidirectional characters are escaped. Documents are UTF-8
everywhere.
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EPIPE
from io import TextIOWrapper
from typing import cast

import typer


def prepare_streams() -> None:
    """Make the standard streams usable, whatever the process was started with.

    A closed one is replaced by the null device: otherwise the next file or socket that is opened
    would take its number, and the event loop aborts the process when it closes that.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    sys.stdout = sys.stdout or _open_text(1)
    sys.stderr = sys.stderr or _open_text(2)
    for stream in (sys.stdout, sys.stderr):
        cast("TextIOWrapper", stream).reconfigure(errors="replace")
    atexit.register(_discard_unwritten_output)


def _discard_unwritten_output() -> None:
    """Discard output that cannot be written, for which the interpreter would exit with 120."""
    for descriptor, stream in enumerate((sys.stdout, sys.stderr), start=1):
        try:
            stream.flush()
        except OSError:
            _discard_output(descriptor)


def _discard_output(descriptor: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def printable(line: str) -> str:
    """Return `line` with an escape in place of each character that would control a terminal."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in line
    )


def echo(line: str) -> None:
    """Print a line for people to standard output."""
    with _write_errors():
        # Not `typer.echo`, which takes ASCII for a mistake and writes UTF-8.
        sys.stdout.write(f"{printable(line)}\n")
        sys.stdout.flush()


def echo_err(line: str) -> None:
    """Print a line for people to standard error; nothing happens if it cannot be written."""
    with suppress(OSError):
        sys.stderr.write(f"{printable(line)}\n")
        sys.stderr.flush()


def write_document(text: str) -> None:
    """Write a text for programs to standard output, as UTF-8."""
    with _write_errors():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


@contextmanager
def _write_errors() -> Iterator[None]:
    """Report that standard output cannot be written, and exit with 1."""
    try:
        yield
    except OSError as error:
        _discard_output(1)
        if error.errno != EPIPE:  # whoever read the output has seen enough
            echo_err(f"Cannot write to standard output: {error.strerror}")
        raise typer.Exit(1) from None


def _open_text(descriptor: int) -> TextIOWrapper:
    return open(descriptor, "w", encoding="utf-8", closefd=False)
