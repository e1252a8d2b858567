"""Prometheus and Grafana: their own checkers accept the files, and every alert has its test."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from postfleet import metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if folder.is_dir())
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool here: apt-get install prometheus"
)


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _panels(dashboard: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(dashboard.read_text())["panels"]
    return loaded


def _expressions() -> list[str]:
    shown = [
        target["expr"]
        for dashboard in DASHBOARDS
        for panel in _panels(dashboard)
        for target in panel["targets"]
    ]
    return [*shown, *(rule["expr"] for rule in _rules())]


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["check", "config", "prometheus.yml"], id="configuration"),
        pytest.param(["check", "rules", "rules.yml"], id="alert rules"),
        pytest.param(["test", "rules", "rules.test.yml"], id="tests of the alert rules"),
    ],
)
def test_promtool_accepts(arguments: list[str]) -> None:
    result = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=PROMETHEUS, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_a_test_and_tells_what_to_do() -> None:
    tests = (PROMETHEUS / "rules.test.yml").read_text()
    for rule in _rules():
        assert rule["alert"] in tests, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["description"]) > 40


def test_every_service_is_scraped() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    (ours,) = [job for job in jobs if job["job_name"] == "postfleet"]
    assert sorted(ours["static_configs"][0]["targets"]) == [f"{name}:8000" for name in SERVICES]


def test_every_metric_that_is_looked_at_exists() -> None:
    """Those of `postfleet.metrics`, and what a service adds: find its name in the sources."""
    common = {
        f"{next(iter(metric.describe())).name}{suffix}"
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for suffix in ("", "_total", "_bucket", "_sum", "_count")
    }
    folders = [ROOT / "services", ROOT / "libs"]
    sources = "".join(file.read_text() for top in folders for file in top.rglob("src/**/*.py"))
    used = {name for text in _expressions() for name in re.findall(r"postfleet_\w+", text)}
    suffix = re.compile(r"_(?:bucket|sum|count)$")
    unknown = {n for n in used - common if f'"{n}"' not in sources}
    unknown = {n for n in unknown if f'"{suffix.sub("", n)}"' not in sources}
    assert not unknown


def test_the_dashboards_are_those_of_the_boards() -> None:
    script = ROOT / "deploy/grafana/render.py"
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    names = {"overview", "sending", "deliverability", "inbox", "tracking", "bus"}
    assert {file.stem for file in DASHBOARDS} == names


def test_the_dashboard_is_provisioned_with_the_data_source_it_names() -> None:
    provisioned = yaml.safe_load((ROOT / "deploy/grafana/datasources/prometheus.yaml").read_text())
    uids = {source["uid"] for source in provisioned["datasources"]}
    assert DASHBOARDS
    for dashboard in DASHBOARDS:
        loaded = json.loads(dashboard.read_text())
        assert loaded["uid"]
        assert len({panel["id"] for panel in loaded["panels"]}) == len(loaded["panels"])
        for panel in loaded["panels"]:
            assert panel["datasource"]["uid"] in uids
            assert panel["description"], f"{panel['title']}: what does an operator read here?"
            assert all(target["datasource"]["uid"] in uids for target in panel["targets"])


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_overlap(dashboard: Path) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in _panels(dashboard):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        rows, columns = range(place["h"]), range(place["w"])
        mine = {(place["x"] + dx, place["y"] + dy) for dx in columns for dy in rows}
        assert not cells & mine, panel["title"]
        cells |= mine


@needs_promtool
def test_every_query_of_the_dashboards_is_promql(tmp_path: Path) -> None:
    queries = [text.replace("$__rate_interval", "5m") for text in _expressions()]
    rules = [{"record": f"query:{number}", "expr": q} for number, q in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    result = subprocess.run(
        [str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
