"""The consumer process as its parent sees it: started, started again when it ends, and its metrics."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Iterator

import orjson
from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families

from postfleet import metrics
from postfleet.leash import Held, hold
from tracker.gauges import verdicts

log = logging.getLogger(__name__)

_SILENT_S = 10.0  # then it does not count as running
_RESTART_S = 1.0
_DRAIN_S = 25.0
_THEIRS = (
    metrics.events_consumed,
    metrics.events_published,
    metrics.event_seconds,
    metrics.publish_seconds,
    metrics.consumer_pending,
    metrics.consumer_unacked,
    metrics.dead_letters,
    metrics.outbox_pending,
    verdicts,
)


class Consumption:
    """`running` is what the process said of itself a moment ago."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._running = False
        self._heard = 0.0
        self._metrics = ""

    def start(self) -> None:
        for own in _THEIRS:  # this process has nothing to say of them
            with contextlib.suppress(KeyError):
                REGISTRY.unregister(own)
        REGISTRY.register(self)
        self._task = asyncio.create_task(self._keep(), name="consumer process")

    async def stop(self) -> None:
        """Let it drain, and wait for its end."""
        if self._task is not None:
            REGISTRY.unregister(self)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def running(self) -> bool:
        return self._running and time.monotonic() - self._heard < _SILENT_S

    def describe(self) -> list[Metric]:
        """Nothing is known before the process says so."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What the consumers count."""
        names = {next(iter(own.describe())).name for own in _THEIRS}
        families = text_string_to_metric_families(self._metrics)
        yield from (family for family in families if family.name in names)

    async def _keep(self) -> None:
        while True:
            process = await hold("tracker.consumer", os.environ)
            try:
                await self._listen(process)
            finally:
                self._running = False
                await process.let_go(_DRAIN_S)
            log.error("the consumer process ended with %s; it is started again", process.returncode)
            await asyncio.sleep(_RESTART_S)

    async def _listen(self, process: Held) -> None:
        async for line in process.lines:
            with contextlib.suppress(orjson.JSONDecodeError, KeyError):
                said = orjson.loads(line)
                self._running, self._metrics = said["running"], said["metrics"]
                self._heard = time.monotonic()
