"""What Prometheus really gets from a platform at work: every dashboard and every alert has data."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support import prometheus
from tests.support.platform import Platform
from tests.support.prometheus import Prometheus

ROOT = Path(__file__).parents[2]
SERVICES = ("sender_registry", "dispatcher", "inbox_watcher", "tracker", "mail_provisioner")
PROMTOOL = shutil.which("promtool")

pytestmark = pytest.mark.skipif(
    prometheus.PROGRAM is None or PROMTOOL is None,
    reason="no Prometheus here: apt-get install prometheus",
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("watched") / "data", demo=True) as up:
        yield up


@pytest.fixture(scope="module")
def watcher(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    target = f"127.0.0.1:{platform.http_port}"
    with Prometheus(tmp_path_factory.mktemp("prometheus"), target) as up:
        platform.wait_until(lambda: bool(platform.summary()), 180, "end of the demo")
        yield up


def _queries() -> dict[str, str]:
    """Where it stands -> the query; that of an alert without its threshold."""
    found = {}
    for file in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                place = f"{file.stem}: {panel['title']} {target['refId']}"
                found[place] = target["expr"].replace("$__rate_interval", "5m")
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    for rule in (rule for group in rules for rule in group["rules"]):
        without = re.sub(r"\s*(==|>=|<=|>|<)\s*[\d.]+", "", rule["expr"])
        assert without != rule["expr"], f"{rule['alert']} has no threshold"
        found[f"alert {rule['alert']}"] = without
    return found


def test_every_query_of_dashboards_and_alerts_has_data_from_a_platform_at_work(
    watcher: Prometheus,
) -> None:
    missing = _queries()
    assert len(missing) > 70
    deadline = time.monotonic() + 60
    while missing and time.monotonic() < deadline:
        missing = {place: query for place, query in missing.items() if not watcher.ask(query)}
        time.sleep(1 if missing else 0)
    assert not missing, "\n".join(f"{place}\n    {query}" for place, query in missing.items())


@pytest.mark.parametrize(
    "query",
    [
        pytest.param('sum(postfleet_deliveries_total{outcome="accepted"})', id="deliveries"),
        pytest.param(
            'postfleet_delivery_phase_seconds_count{phase="transmitted"}', id="transmitted"
        ),
        pytest.param('postfleet_delivery_phase_seconds_count{phase="announced"}', id="announced"),
        pytest.param("postfleet_quota_used", id="quota used"),
        pytest.param("postfleet_quota_limit", id="quota limit"),
        pytest.param('postfleet_tracker_verdicts_total{verdict="human"}', id="humans"),
        pytest.param('postfleet_tracker_verdicts_total{verdict="bot"}', id="bots"),
        pytest.param("sum(postfleet_senders)", id="senders"),
        pytest.param("sum(postfleet_inbox_classified_total)", id="mails understood"),
        pytest.param('postfleet_mongo_command_seconds_count{command="insert"}', id="commands"),
        pytest.param('postfleet_event_handling_seconds_count{durable="tracker-events"}', id="bus"),
        pytest.param("sum(postfleet_ready) == 5", id="ready"),
    ],
)
def test_what_happened_is_in_the_figures(watcher: Prometheus, query: str) -> None:
    deadline = time.monotonic() + 60
    while not (found := watcher.ask(f"({query}) > 0")) and time.monotonic() < deadline:
        time.sleep(1)
    assert found


@pytest.mark.parametrize("service", SERVICES)
def test_promtool_has_nothing_to_say_about_a_services_metrics(
    platform: Platform, watcher: Prometheus, service: str
) -> None:
    text = httpx.get(f"{platform.own_url(service)}/metrics", timeout=10, trust_env=False).text
    _no_complaint(text)
    assert "postfleet_ready" in text


def test_promtool_has_nothing_to_say_about_what_the_gateway_puts_together(
    platform: Platform, watcher: Prometheus
) -> None:
    text = httpx.get(f"{platform.url}/metrics", timeout=10, trust_env=False).text
    _no_complaint(text)
    names = set(re.findall(r"(?m)^# TYPE (\w+)", text))
    foreign = {n for n in names if not n.startswith(("postfleet_", "process_", "python_"))}
    assert not foreign, "one naming scheme"


def test_no_label_grows_with_the_mail(platform: Platform, watcher: Prometheus) -> None:
    """Addresses, ids and tokens are never labels: the series do not grow with the platform."""
    text = httpx.get(f"{platform.url}/metrics", timeout=10, trust_env=False).text
    values = set(re.findall(r'="((?:[^"\\]|\\.)*)"', text))
    strange = {v for v in values if "@" in v or re.search(r"[0-9a-f]{12}", v)}
    assert not strange


def _no_complaint(text: str) -> None:
    result = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not result.stdout + result.stderr
