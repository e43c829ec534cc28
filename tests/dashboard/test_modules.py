"""Modules of the page by themselves: days, periods, amounts, changes, updates in place."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import expect

from tests.dashboard.browser_session import BrowserSession, DashboardPage, Deployment

DAY = "2026-11-27"


@pytest.fixture(scope="module")
async def modules(session: BrowserSession, deployment: Deployment) -> AsyncIterator[DashboardPage]:
    dashboard = await session.new_page()
    await dashboard.page.goto(f"{deployment.origin}/dashboard")
    await expect(dashboard.rows.first).to_be_visible()
    yield dashboard
    await session.close_pages()


@pytest.mark.parametrize(
    ("preset", "start", "end"),
    [
        ("today", "2026-11-27", "2026-11-27"),
        ("last_7_days", "2026-11-21", "2026-11-27"),
        ("last_30_days", "2026-10-29", "2026-11-27"),
        ("this_month", "2026-11-01", "2026-11-27"),
        ("last_month", "2026-10-01", "2026-10-31"),
        ("this_quarter", "2026-10-01", "2026-11-27"),
        ("last_quarter", "2026-07-01", "2026-09-30"),
        ("this_year", "2026-01-01", "2026-11-27"),
        ("last_year", "2025-01-01", "2025-12-31"),
    ],
)
async def test_a_preset_stands_for_days_that_end_at_the_latest_today(
    modules: DashboardPage, preset: str, start: str, end: str
) -> None:
    days = await modules.module("calendar.js", "m.presetRange(...args)", preset, DAY)
    assert days == {"from": start, "to": end}


@pytest.mark.parametrize(
    ("start", "end", "before"),
    [
        ("2026-07-01", "2026-09-30", ("2026-04-01", "2026-06-30")),  # a quarter
        ("2024-03-01", "2024-03-31", ("2024-02-01", "2024-02-29")),  # a month
        ("2026-01-01", "2026-12-31", ("2025-01-01", "2025-12-31")),  # a year
        ("2026-11-01", "2026-11-27", ("2026-10-05", "2026-10-31")),  # days
        ("2026-11-27", "2026-11-27", ("2026-11-26", "2026-11-26")),
    ],
)
async def test_the_period_before_has_equal_length(
    modules: DashboardPage, start: str, end: str, before: tuple[str, str]
) -> None:
    days = await modules.module(
        "calendar.js", "m.previousRange(args[0])", {"from": start, "to": end}
    )
    assert (days["from"], days["to"]) == before


async def test_periods_begin_on_their_first_day_and_are_bounded(modules: DashboardPage) -> None:
    between = "m.periodsBetween(...args)"
    weeks = await modules.module("calendar.js", between, "2026-11-04", "2026-11-18", "week", 9)
    assert weeks == ["2026-11-02", "2026-11-09", "2026-11-16"]
    quarters = await modules.module("calendar.js", between, "1970-01-01", DAY, "quarter", 2)
    assert quarters == ["2026-07-01", "2026-10-01"]
    end = await modules.module("calendar.js", "m.periodEnd(...args)", "2026-10-01", "quarter")
    assert end == "2026-12-31"


@pytest.mark.parametrize(
    ("days", "interval"), [(1, "day"), (31, "day"), (92, "week"), (366, "month"), (4000, "quarter")]
)
async def test_the_interval_of_the_chart_suits_the_number_of_days(
    modules: DashboardPage, days: int, interval: str
) -> None:
    assert await modules.module("calendar.js", "m.intervalFor(args[0])", days) == interval


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("", ""),
        (" 1,234,567.50 ", "1234567.50"),
        ("\uff11\uff10\uff10\uff10", "1000"),
        ("-5", "-5"),
        ("1000,50", None),
        ("1e3", None),
        ("abc", None),
    ],
)
async def test_a_typed_amount_is_a_decimal_or_a_mistake(
    modules: DashboardPage, typed: str, amount: str | None
) -> None:
    assert await modules.module("filters.js", "m.parseAmount(args[0])", typed) == amount


@pytest.mark.parametrize(
    ("decimal", "shown"),
    [
        ("0", "0.00"),
        ("179.1", "179.10"),
        ("-1234567.125", "\u22121,234,567.125"),
        ("0.12345678", "0.123456\u2026"),
        ("9007199254740993.5", "9,007,199,254,740,993.50"),
    ],
)
async def test_an_amount_has_the_decimals_of_the_currency_and_keeps_its_digits(
    modules: DashboardPage, decimal: str, shown: str
) -> None:
    assert await modules.module("format.js", "m.formatAmount(args[0], 2)", decimal) == shown


async def test_a_range_that_is_a_month_or_a_quarter_has_its_name(modules: DashboardPage) -> None:
    ranges = [
        {"from": "2024-02-01", "to": "2024-02-29"},
        {"from": "2026-04-01", "to": "2026-06-30"},
        {"from": "2026-04-01", "to": "2026-06-29"},
    ]
    names = await modules.module("format.js", "args[0].map(m.formatRange)", ranges)
    assert names == ["Feb 2024", "Q2 2026", "1 Apr \u2013 29 Jun 2026"]


async def test_a_total_is_rounded_from_its_exact_value(modules: DashboardPage) -> None:
    rounded = await modules.module("format.js", "m.roundAmount(...args)", "9007199254740993.125", 2)
    assert rounded == "9,007,199,254,740,993.13"
    assert await modules.module("format.js", "m.currencyDigits(args[0])", "JPY") == 0


async def test_the_axis_begins_at_zero_and_has_round_steps(modules: DashboardPage) -> None:
    assert await modules.module("charts.js", "m.axisTicks(args[0])", 37) == [0, 10, 20, 30, 40]
    assert await modules.module("charts.js", "m.axisTicks(args[0])", 0) == [0, 1]


ADD_CHANGES = """
(() => {
  const tracker = new m.ChangeTracker();
  const listed = { isBackground: false, isNewestFirst: true };
  const again = { isBackground: true, isNewestFirst: true };
  const row = (order_no, status, created_at) => ({ order_no, status, created_at });
  const one = row("A1", "unpaid", "2026-11-01T00:00:00Z");
  const paid = { ...one, status: "paid" };
  const two = row("A2", "unpaid", "2026-11-02T00:00:00Z");
  const old = row("A0", "paid", "2026-10-01T00:00:00Z");
  return {
    first: tracker.addRows([one], listed),
    feed: tracker.addFeed([
      { change: "created", order_no: "A2", order: two },
      { change: "updated", order_no: "A1", order: paid },
      { change: "updated", order_no: "X9", order: row("X9", "paid") },
      { change: "removed", order_no: "X1" },
    ]),
    rows: tracker.addRows([two, paid, old], again),
    later: tracker.addRows([row("A3", "paid", "2026-11-03T00:00:00Z"), two, paid], again),
    marks: [...tracker.marks],
  };
})()
"""


async def test_each_change_is_announced_once_and_a_new_order_as_new(modules: DashboardPage) -> None:
    result: dict[str, Any] = await modules.module("changes.js", ADD_CHANGES)
    assert result["first"] == []
    # The status is known to have changed only where the page has shown the order.
    assert result["feed"] == ["created", "paid", "updated", "removed"]
    assert result["rows"] == []
    assert result["later"] == ["created"]
    assert ["A3", "created"] in result["marks"]
    assert ["A1", "updated"] in result["marks"]


PROGRESS = """
(() => {
  const strip = new m.StatusStrip(() => {});
  const problem = loaded => ({ code: "list_loading", progress: { loaded, total: 1000 } });
  const inputs = { provenance: undefined, problem: null, base: "" };
  const bar = document.getElementById("strip-progress");
  const now = Date.now;
  const answers = [[0, 0], [1000, 100], [2000, 100], [3000, 100], [99000, 100]];
  const values = answers.map(([at, loaded]) => {
    Date.now = () => now() + at;
    strip.update({ ...inputs, pollProblem: problem(loaded) });
    return Math.round(bar.value / 10) * 10;
  });
  Date.now = now;
  strip.update({ ...inputs, pollProblem: null });
  return [...values, bar.hidden];
})()
"""


async def test_the_progress_goes_on_between_two_answers(modules: DashboardPage) -> None:
    values = await modules.module("status_strip.js", PROGRESS)
    assert values[0] == 0
    # By 100 orders a second, but no further than it is likely.
    assert values[1] < values[2] < values[3] <= values[4] <= 600
    assert values[5] is True


PATCH = """
(() => {
  const list = document.createElement("ul");
  document.body.append(list);
  const item = (key, text) => m.el("li", { "data-key": key }, m.el("button", {}, text));
  m.update(list, item("b", "b"), item("c", "c"));
  const [b, c] = list.children;
  c.firstChild.focus();
  getSelection().selectAllChildren(b);
  m.update(list, item("a", "a"), item("b", "b"), item("c", "C"));
  const isFocused = document.activeElement === c.firstChild;
  const kept = [list.children[1] === b, isFocused, `${getSelection()}`];
  m.update(list, item("c", "C"), item("b", "b"));
  const moved = [...list.children].map(child => child.textContent);
  m.update(list, item("d", "d"));
  const focus = document.activeElement === list;
  list.remove();
  return { kept, moved, focus };
})()
"""


async def test_an_update_keeps_focus_and_selection_of_what_stays(modules: DashboardPage) -> None:
    result = await modules.module("dom.js", PATCH)
    assert result["kept"] == [True, True, "b"]
    assert result["moved"] == ["C", "b"]
    assert result["focus"]


async def test_every_text_has_both_languages(modules: DashboardPage) -> None:
    texts = await modules.module("messages.js", "m.MESSAGES")
    assert all(len(pair) == 2 and all(pair) for pair in texts.values())
    placeholders = {
        key: [set(re.findall(r"{\w+}", text)) for text in pair] for key, pair in texts.items()
    }
    assert [key for key, (en, zh) in placeholders.items() if en != zh] == []
    problems = await modules.module("problem_messages.js", "m.PROBLEM_MESSAGES")
    assert all(
        len(problem["title"]) == len(problem["detail"]) == 2 for problem in problems.values()
    )
