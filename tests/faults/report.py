"""The table of faults as a page: what was seen, in words. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from tests.faults.environments import Answer
from tests.faults.scenario import SHORT, Seen
from tests.faults.table import ROWS

WAIT, DEADLINE, TTL, GRACE = (
    SHORT[name] for name in ("MAX_STALE_WAIT", "DEADLINE", "TTL", "STALE_WHILE_REVALIDATE")
)

AT_ONCE = 0.25
"""Seconds that nobody waits for."""

LATENESS = 0.5
"""Seconds past the deadline in which an answer has to have begun."""

STABLE = ("fault", "nothing held", "something held", "/readyz", "log")
"""Columns that are the same in each run."""

COLUMNS = (
    "fault", "nothing held", "wait", "something held", "waits", "mended", "/readyz", "log",
)  # fmt: skip

ABOUT = f"""\
# What happens when the upstream breaks

Printed by `make fault-report`, which tries every row on a proxy of its own, with a
sandbox behind it and a wire between them that breaks what passes: real sockets, short settings
(WAIT {WAIT:g} s, DEADLINE {DEADLINE:g} s, ttl {TTL:g} s, grace {GRACE:g} s). A row is a test too:
`pytest tests/faults -k NAME`.

- **nothing held**: what the first caller of a new proxy gets, and how long it waits: not at all, up
  to WAIT or up to DEADLINE.
- **something held**: what a caller gets when what is held is past its grace, and how long it waits.
  Within grace it is served at once in every row: `200 stale`, `Cache-Status: hit`.
- **mended**: seconds from the end of the fault to a fresh answer. The proxy does not ask again at
  once: 1 s after one failure, up to 5 s after several, 10 s after its credential was rejected.
- **/readyz**: what it says while nothing is held. Once the upstream has answered it stays 200.
- **log**: the lines beside the one of each request. `unanswered` tells `question`, `kind` and
  `reason`, `drift` what is new and where; after several failures comes `upstream_ill`, and at their
  end `upstream_well`.

What the upstream does, and what becomes of it:
"""


def page(seen: Mapping[str, Seen]) -> str:
    """The whole page, as Markdown."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    rows += [tuple(cells(name, one)[column] for column in COLUMNS) for name, one in seen.items()]
    return f"{ABOUT}\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cells(name: str, seen: Seen) -> dict[str, str]:
    """One row, by column."""
    warm = [answer for answer in (seen.stale, seen.kept) if answer]
    mended = max((each for each in (seen.back_cold, seen.back_kept) if each is not None), default=0)
    return {
        "fault": f"`{name}` {ROWS[name].says}",
        "nothing held": _told(seen.cold),
        "wait": _within(seen.cold.seconds),
        "something held": _told(seen.kept) if seen.kept else "",
        "waits": _within(max(answer.seconds for answer in warm)) if warm else "",
        "mended": f"{mended:.1f}" if warm else "",
        "/readyz": f"{seen.ready.status} {seen.ready.code}".strip(),
        "log": ", ".join(f"`{said}`" for said in seen.lines),
    }


def stable_cells(text: str) -> dict[str, dict[str, str]]:
    """The columns of a page that are the same in each run, by row."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    rows = (dict(zip(COLUMNS, line[1:-1].split("|"), strict=True)) for line in lines)
    return {
        row["fault"].split("`")[1]: {column: row[column].strip() for column in STABLE}
        for row in rows
    }


def broken_promises(name: str, seen: Seen) -> list[str]:
    """What of the row was not as promised."""
    row = ROWS[name]
    cold = f"{seen.cold.status} {seen.cold.code}".strip()
    found = [f"cold: {cold}, promised {row.cold}"] if cold != row.cold else []
    if not row.comes_back:
        return found
    assert seen.stale
    assert seen.kept
    if (seen.stale.status, seen.stale.freshness, seen.stale.cache_status) != (200, "stale", "hit"):
        found.append(f"within grace: {_told(seen.stale)}")
    promised = (
        ("stale-if-error", f"fwd=stale; detail={row.kept}")
        if row.kept
        else ("fresh", "fwd=stale; stored")
    )
    if (seen.kept.status, seen.kept.freshness, seen.kept.cache_status) != (200, *promised):
        found.append(f"kept: {_told(seen.kept)}, promised {' · '.join(promised)}")
    if seen.back_cold is None or seen.back_kept is None:
        found.append("it was not mended")
    return found


def late_answers(seen: Iterable[Seen]) -> Sequence[float]:
    """The waits that were longer than a caller may be kept waiting."""
    waits = [(one.cold, DEADLINE) for one in seen]
    waits += [(one.kept, WAIT) for one in seen if one.kept]
    return [answer.seconds for answer, most in waits if answer.seconds > most + LATENESS]


def _told(answer: Answer) -> str:
    parts = [f"{answer.status} {answer.code or answer.freshness}", answer.cache_status]
    retry = answer.headers.get("retry-after")
    parts += [f"Retry-After: {retry}"] if retry else []
    return " · ".join(filter(None, parts))


def _within(seconds: float) -> str:
    spans = (
        (AT_ONCE, "at once"),
        (WAIT + AT_ONCE, "MAX_STALE_WAIT"),
        (DEADLINE + LATENESS, "DEADLINE"),
    )
    return next((name for most, name in spans if seconds <= most), f"{seconds:.1f} s")
