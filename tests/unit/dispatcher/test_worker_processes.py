"""Figures of several processes are one figure, which never goes back."""

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from dispatcher.worker_processes import WorkerProcesses, samples_of
from postfleet import metrics

ACCEPTED = 'postfleet_deliveries_total{service="dispatcher",outcome="accepted"}'


def said(accepted: float, partitions: int) -> str:
    return (
        "# TYPE postfleet_deliveries_total counter\n"
        f"{ACCEPTED} {accepted}\n"
        "# TYPE postfleet_job_partitions gauge\n"
        f"postfleet_job_partitions {partitions}\n"
        "# TYPE process_cpu_seconds_total counter\n"
        "process_cpu_seconds_total 7\n"
    )


@pytest.fixture
def processes() -> WorkerProcesses:
    async def died(_: str) -> None:
        return None

    return WorkerProcesses(2, "here", died)


def figures(processes: WorkerProcesses) -> dict[str, float]:
    found = {}
    for (_, name, labels), value in samples_of(processes.collect()).items():
        if name == "postfleet_job_partitions" or dict(labels).get("outcome") == "accepted":
            found[name] = value
    return found


def test_what_each_process_counts_is_added_up_and_survives_it(processes: WorkerProcesses) -> None:
    own = metrics.deliveries.labels("dispatcher", "accepted")
    before = figures(processes)["postfleet_deliveries_total"]
    own.inc(1)
    first, second = processes._workers
    first.counts = samples_of(text_string_to_metric_families(said(10, 8)))
    second.counts = samples_of(text_string_to_metric_families(said(5, 8)))
    assert figures(processes) == {
        "postfleet_deliveries_total": before + 16,
        "postfleet_job_partitions": 16,
    }
    first._add_up()  # it died, and counts from zero again
    assert figures(processes)["postfleet_deliveries_total"] == before + 16
    assert figures(processes)["postfleet_job_partitions"] == 8
    first.counts = samples_of(text_string_to_metric_families(said(2, 8)))
    assert figures(processes)["postfleet_deliveries_total"] == before + 18


def test_figures_of_the_process_itself_are_nobody_elses(processes: WorkerProcesses) -> None:
    processes._workers[0].counts = samples_of(text_string_to_metric_families(said(1, 1)))
    assert not [f for f in processes.collect() if f.name.startswith("process_")]
    assert metrics.deliveries in REGISTRY._collector_to_names  # started ones only replace it
