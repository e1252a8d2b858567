"""The service's life: it connects, recovers, works and drains."""

import asyncio
import logging

from dispatcher.parts import Parts
from dispatcher.worker_processes import WorkerProcesses
from postfleet.tasks import end

log = logging.getLogger(__name__)


class Running:
    """Without `processes` the service sends itself."""

    def __init__(self, parts: Parts, processes: WorkerProcesses | None) -> None:
        self._parts, self._processes = parts, processes
        self._tasks: list[asyncio.Task[None] | None] = []
        self.started = False

    async def ready(self) -> bool:
        return self.started and await self._parts.bus.ready()

    async def start(self) -> None:
        """Waits for its dependencies as long as it takes; /healthz answers meanwhile."""
        parts = self._parts
        await parts.connect()
        await parts.holding.at_start()
        if self._processes is not None:
            self._processes.start()  # what was restored is held before anybody sends
        await parts.recovery.at_start()
        await parts.bus.start()
        loops = (
            parts.planner.run(),
            parts.message_planner.run(),
            parts.warmup.run(),
            parts.recovery.run(),
            parts.brakes.run(),
            parts.watch.run(),
            parts.exchangers.run(),
            parts.variant_choice.run(),
            parts.measuring.run(),
            parts.worker.keep_leases(),
        )
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        if self._processes is None:
            parts.sharing.start()
        await parts.relay.start()
        self.started = True
        log.info("started")

    async def stop(self) -> None:
        """Plan and pull no more, finish what is in flight, settle it, say it."""
        self.started = False
        await self._parts.relay.stop()
        *makers, leases = self._tasks or [None]
        for task in makers:
            await end(task)
        await self._parts.planner.let_go()
        if self._processes is not None:
            await self._processes.stop()
        await self._parts.sharing.stop_pulling()
        await self._parts.bus.stop_consuming()
        await self._parts.worker.drain()
        await self._parts.sharing.leave()
        await end(leases)
        await self._parts.close()
        log.info("drained")
