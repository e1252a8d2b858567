"""The worker processes as the service sees them: started, started again when one ends, their metrics
added to its own."""

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import orjson
from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from pymongo.errors import PyMongoError

from dispatcher import gauges
from postfleet import metrics
from postfleet.leash import Held, hold
from postfleet.outages import Unavailable

log = logging.getLogger(__name__)

_SILENT_S = 10.0  # then it does not count as running
_RESTART_S = 1.0
_DRAIN_S = 170.0  # below the service's own grace: a transaction's last reply takes its time
#: What is counted by whoever sends or announces.
_ADDED: tuple[Collector, ...] = (
    metrics.events_consumed,
    metrics.events_published,
    metrics.deliveries,
    gauges.throttlings,
    gauges.factors_paused,
    gauges.campaigns_paused,
    gauges.campaigns_warned,
    gauges.unsayable,
    gauges.batches_held,
    gauges.phase_seconds,
    gauges.waits,
    gauges.partitions,
    gauges.batches_running,
    gauges.batches_most,
)
_GAUGES = frozenset(
    {"postfleet_job_partitions", "postfleet_batches_running", "postfleet_batches_running_limit"}
)

Sample = tuple[str, str, tuple[tuple[str, str], ...]]  # family, name, labels
Buried = Callable[[str], Awaitable[None]]


def samples_of(families: Iterable[Metric]) -> dict[Sample, float]:
    """The samples that can be added up; when a counter was created cannot."""
    return {
        (family.name, one.name, tuple(sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
        if not one.name.endswith("_created")
    }


class WorkerProcess:
    """One of them, life after life. `counted` is what its earlier lives had counted."""

    def __init__(self, name: str, died: Buried) -> None:
        self.name, self._died = name, died
        self.heard = 0.0
        self.counted: dict[Sample, float] = defaultdict(float)
        self.counts: dict[Sample, float] = {}
        self._up = False

    @property
    def running(self) -> bool:
        return self._up and time.monotonic() - self.heard < _SILENT_S

    async def keep(self) -> None:
        """Runs until it is cancelled; then the process drains."""
        while True:
            owner = f"{self.name}.{secrets.token_hex(3)}"  # leases: no life is taken for another
            process = await hold(
                "dispatcher.worker_process", {**os.environ, "POSTFLEET_DISPATCHER_INSTANCE": owner}
            )
            try:
                await self._listen(process)
            finally:
                self._up = False
                await process.let_go(_DRAIN_S)
                self._add_up()
            gauges.worker_restarts.inc()
            log.error("worker %s ended with %s; started again", owner, process.returncode)
            try:
                await self._died(owner)
            except (PyMongoError, Unavailable) as error:
                log.warning("what %s held comes back when its lease ends: %s", owner, error)
            await asyncio.sleep(_RESTART_S)

    async def _listen(self, process: Held) -> None:
        async for line in process.lines:
            with contextlib.suppress(orjson.JSONDecodeError, KeyError):
                said: dict[str, Any] = orjson.loads(line)
                self._up, self.heard = said["running"], time.monotonic()
                self.counts = samples_of(text_string_to_metric_families(said["metrics"]))

    def _add_up(self) -> None:
        """A counter never goes back, though it starts at zero in the next life."""
        for sample, value in self.counts.items():
            if sample[0] not in _GAUGES:
                self.counted[sample] += value
        self.counts = {}


class WorkerProcesses:
    """`running`: at least one of them said so a moment ago."""

    def __init__(self, count: int, instance: str, died: Buried) -> None:
        self._workers = [WorkerProcess(f"{instance}.{n}", died) for n in range(1, count + 1)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for own in _ADDED:
            with contextlib.suppress(KeyError):
                REGISTRY.unregister(own)
        REGISTRY.register(self)
        gauges.batches_most.set(0)  # this process sends none
        self._tasks = [
            asyncio.create_task(worker.keep(), name=worker.name) for worker in self._workers
        ]

    async def stop(self) -> None:
        """Let them drain, and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            REGISTRY.unregister(self)
            self._tasks = []

    async def running(self) -> bool:
        return any(worker.running for worker in self._workers)

    def describe(self) -> list[Metric]:
        """Nothing is known before the processes say so."""
        return []

    def collect(self) -> Iterator[Metric]:
        """This process' figures and theirs, added up."""
        families = [family for own in _ADDED for family in own.collect()]
        total: dict[Sample, float] = defaultdict(float)
        names = {family.name for family in families}
        theirs = [figures for one in self._workers for figures in (one.counts, one.counted)]
        for figures in (samples_of(families), *theirs):
            for sample, value in figures.items():
                if sample[0] in names:
                    total[sample] += value
        for family in families:
            added = Metric(family.name, family.documentation, family.type)
            for (name, series, labels), value in total.items():
                if name == family.name:
                    added.add_sample(series, dict(labels), value)
            yield added
