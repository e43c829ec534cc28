"""Rejects names that are not in the field's vocabulary. Part of `make check`.

Looks at the names that Python code defines (modules, classes, functions, parameters, attributes,
variables) and at all identifiers of the dashboard's JavaScript, split at underscores and capitals.
Text is not checked.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
FOLDERS = ("app", "bench", "tests", "tools")
EXCLUDED = ("/node_modules/", "/build/", "/swagger-ui/")

REPLACEMENTS = {
    "ask": "request, fetch",
    "asked": "requested, fetched_at",
    "asking": "requesting, fetching",
    "asks": "requests, fetches",
    "awaited": "waiting, pending",
    "desk": "a word for what the class does",
    "gone": "expired, removed",
    "governor": "rate limiter",
    "heard": "received",
    "hearing": "receiving, parsing",
    "held": "cached, buffered, loaded",
    "judge": "validate, check, classify",
    "knob": "setting, option",
    "knobs": "settings, options",
    "laggard": "outdated",
    "laggards": "outdated",
    "lagging": "outdated",
    "landed": "finished, fetched",
    "leaver": "disconnected client, cancelled waiter",
    "leavers": "disconnected clients, cancelled waiters",
    "leaving": "shutdown, disconnecting",
    "manner": "mode, behavior",
    "mend": "fix",
    "mended": "fixed",
    "mends": "fixes",
    "moments": "timestamps",
    "patience": "timeout",
    "peace": "backoff",
    "reshape": "map, mapping",
    "shifting": "inconsistent",
    "tell": "log, report, describe",
    "telling": "logging, reporting",
    "tells": "logs, reports, describes",
    "told": "logged, reported, described",
    "untold": "unreported",
    "weigh": "size_of",
    "whole": "snapshot, complete",
    "workings": "a word for what the class does",
}
"""Words that may not be part of a name, and words to consider instead."""

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
JS_IGNORED = re.compile(
    r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`", re.DOTALL
)
JS_NAME = re.compile(r"[A-Za-z_$][\w$]*")


def main() -> int:
    """Print each rejected name. Return 1 if there is one, else 0."""
    paths = [
        path
        for folder in FOLDERS
        for pattern in ("*.py", "*.js")
        for path in sorted((REPOSITORY / folder).rglob(pattern))
        if not any(part in f"/{path.relative_to(REPOSITORY).as_posix()}" for part in EXCLUDED)
    ]
    rejected = 0
    for path in paths:
        text = path.read_text("utf-8")
        names = names_in_python(text) if path.suffix == ".py" else names_in_javascript(text)
        for line, name in [(1, path.stem), *names]:
            for word in rejected_words(name):
                rejected += 1
                position = f"{path.relative_to(REPOSITORY)}:{line}"
                print(f"{position}: {name}: not {word!r}; consider {REPLACEMENTS[word]}")
    return int(rejected > 0)


def rejected_words(name: str) -> list[str]:
    """Return the words of a name that may not be in it."""
    return [word for word in map(str.lower, WORD.findall(name)) if word in REPLACEMENTS]


def names_in_python(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each definition, assignment and parameter."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case _:
                pass


def names_in_javascript(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each identifier outside comments and strings."""
    code = JS_IGNORED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    for number, line in enumerate(code.splitlines(), 1):
        for name in JS_NAME.findall(line):
            yield number, name


if __name__ == "__main__":
    sys.exit(main())
