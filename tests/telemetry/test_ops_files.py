"""The alert rules and the dashboard use metrics that exist, and promtool accepts them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from app.telemetry.metrics import DEFINITIONS
from tests.server.proxies import require

OPS = Path(__file__).parent.parent.parent / "docs" / "ops"
ALERTS = OPS / "alerts.yml"
METRIC = re.compile(r"\b(?:orders|process)_[a-z_]+\b(?!\()")
PROCESS_METRICS = {
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
}


def sample_names() -> set[str]:
    """Return the names that a query may use: a histogram has several."""
    names = {definition.name for definition in DEFINITIONS if definition.kind != "histogram"}
    for definition in DEFINITIONS:
        if definition.kind == "histogram":
            names |= {f"{definition.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
    return names | PROCESS_METRICS


def dashboard_queries() -> list[str]:
    dashboard = json.loads((OPS / "dashboard.json").read_text("utf-8"))
    annotations = [one["expr"] for one in dashboard["annotations"]["list"]]
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return targets + annotations


def promtool(*arguments: str) -> str:
    """Run promtool and return its output; fail if it does."""
    require("promtool", package="prometheus")
    result = subprocess.run(
        ["promtool", *arguments],  # noqa: S607  found on PATH
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_metric_in_an_alert_or_a_panel_exists():
    queries = [ALERTS.read_text("utf-8"), *dashboard_queries()]
    used = {name for query in queries for name in METRIC.findall(query)}
    assert used <= sample_names()


def test_every_metric_has_a_panel():
    used = {name for query in dashboard_queries() for name in METRIC.findall(query)}
    for definition in DEFINITIONS:
        assert any(name.startswith(definition.name) for name in used), definition.name


def test_every_alert_says_what_to_do_and_is_unit_tested():
    text = ALERTS.read_text("utf-8")
    tested = (Path(__file__).parent / "alerts_test.yml").read_text("utf-8")
    alerts = text.split("- alert: ")[1:]
    assert len(alerts) == 12
    for alert in alerts:
        name = alert.split("\n", 1)[0]
        assert re.search(r"severity: (page|warning|info)\n", alert), name
        assert "summary: " in alert, name
        assert "action: >-" in alert, name
        assert name in tested, name


def test_promtool_accepts_the_alert_rules():
    assert f"{ALERTS.read_text('utf-8').count('- alert:')} rules found" in promtool(
        "check", "rules", str(ALERTS)
    )


def test_the_alerts_fire_when_they_should_and_only_then():
    promtool("test", "rules", str(Path(__file__).parent / "alerts_test.yml"))


def test_promtool_accepts_the_queries_of_the_dashboard(tmp_path: Path):
    rules = [
        {"record": f"panel:query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(dashboard_queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_panels_do_not_overlap():
    dashboard = json.loads((OPS / "dashboard.json").read_text("utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("severity", ["page", "warning", "info"])
def test_every_severity_is_used(severity: str):
    assert f"severity: {severity}\n" in ALERTS.read_text("utf-8")
