"""Five expositions become one that Prometheus accepts."""

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from postfleet_cli.exposition import merge

_TRACKER = """\
# HELP postfleet_http_requests_total HTTP requests
# TYPE postfleet_http_requests_total counter
postfleet_http_requests_total{code="200",service="tracker"} 3.0
# HELP process_open_fds Number of open file descriptors.
# TYPE process_open_fds gauge
process_open_fds 19.0
# HELP postfleet_wait_seconds Time to wait
# TYPE postfleet_wait_seconds histogram
postfleet_wait_seconds_bucket{le="0.1"} 1.0
postfleet_wait_seconds_bucket{le="+Inf"} 2.0
postfleet_wait_seconds_count 2.0
postfleet_wait_seconds_sum 0.5
"""
_DISPATCHER = _TRACKER.replace("tracker", "dispatcher")


def _samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_help_and_type_of_a_family_are_said_once_and_its_samples_stand_together() -> None:
    lines = merge({"tracker": _TRACKER, "dispatcher": _DISPATCHER}).splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert len(comments) == len(set(comments)) == 6
    requests = [n for n, line in enumerate(lines) if line.startswith("postfleet_http_requests")]
    assert requests == [requests[0], requests[0] + 1]


def test_every_sample_carries_its_service_and_one_that_says_it_keeps_its_own() -> None:
    samples = _samples(merge({"tracker": _TRACKER, "dispatcher": _DISPATCHER}))
    assert samples["process_open_fds", frozenset({("service", "dispatcher")})] == 19
    bucket = frozenset({("service", "tracker"), ("le", "+Inf")})
    assert samples["postfleet_wait_seconds_bucket", bucket] == 2
    labels = frozenset({("service", "tracker"), ("code", "200")})
    assert samples["postfleet_http_requests_total", labels] == 3
    assert all("service" in dict(labels) for _, labels in samples)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param('{a="}"}', {"a": "}", "service": "x"}, id="a brace inside a value"),
        pytest.param('{a="service="}', {"a": "service=", "service": "x"}, id="the name in a value"),
        pytest.param(r'{a="say \"hi\", you"}', {"a": 'say "hi", you', "service": "x"}, id="quotes"),
        pytest.param('{a="b",}', {"a": "b", "service": "x"}, id="a trailing comma"),
        pytest.param("{}", {"service": "x"}, id="empty braces"),
        pytest.param('{service="y",a="b"}', {"a": "b", "service": "y"}, id="an own service"),
    ],
)
def test_labels_survive(labels: str, expected: dict[str, str]) -> None:
    merged = merge({"x": f"# TYPE m gauge\nm{labels} 1\n"})
    assert [dict(labels) for _, labels in _samples(merged)] == [expected]


def test_a_family_of_another_type_than_the_first_is_left_out() -> None:
    merged = merge({"a": "# TYPE m gauge\nm 1\n", "b": "# TYPE m counter\nm 2\n"})
    assert merged == '# TYPE m gauge\nm{service="a"} 1\n'


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is missing")
def test_promtool_finds_nothing_to_say() -> None:
    merged = merge({"tracker": _TRACKER, "dispatcher": _DISPATCHER})
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=merged, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
