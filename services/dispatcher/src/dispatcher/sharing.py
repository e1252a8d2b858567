"""This process' partitions: taken under leases, pulled from, given up when others need work too.

A partition is let go when the last of its batches has ended and its connections are closed, so that
a sender's connections are never opened by two. A process that dies is found out by its lease.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.domain.shares import Change, change
from dispatcher.store.leases import Lease, Leases
from dispatcher.worker import Worker
from postfleet.bus import Bus
from postfleet.instants import now_ms
from postfleet.pull import PullLimits, PullLoop
from postfleet.tasks import end
from postfleet.topology import JOB_LANES, JOB_PARTITIONS, job_durable

log = logging.getLogger(__name__)

#: What waits here is not with whoever could take it, so little does: a batch is 50 mails.
_LIMITS = PullLimits(prefetch=32, batch=16)
_LEASE_MS = 6000
_EVERY_SECONDS = 1.0
_PULLS_END_SECONDS = 0.5
_FORGET_MS = 3600_000
_MEMBER, _PARTITION = "worker.", "partition."


@dataclass(slots=True)
class _Held:
    pulls: dict[int, list[PullLoop]] = field(default_factory=dict)
    leaving: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    renewed: float = 0.0


class Sharing:
    def __init__(self, leases: Leases, bus: Bus, worker: Worker) -> None:
        self._leases, self._bus, self._worker = leases, bus, worker
        self._held = _Held()
        self._task: asyncio.Task[None] | None = None
        self._open = True
        self._changing = asyncio.Lock()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="partitions")

    async def stop_pulling(self) -> None:
        """Nothing new from now on; the leases are kept until `leave`."""
        async with self._changing:
            self._open = False
            await asyncio.gather(*(self._end_pulls(p) for p in list(self._held.pulls)))

    async def leave(self) -> None:
        """What this process had is free for the others."""
        await end(self._task)
        await asyncio.gather(*self._held.leaving.values(), return_exceptions=True)
        try:
            await self._leases.end_all(self._leases.owner)
            await self._leases.remove(_MEMBER + self._leases.owner)
        except PyMongoError as error:
            log.warning("the leases of the partitions end by themselves: %s", error)

    @property
    def partitions(self) -> frozenset[int]:
        """Those whose jobs are pulled here."""
        return frozenset(self._held.pulls)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except PyMongoError as error:
                log.warning("partitions are not looked after: %s", error)
            await self._give_up_what_has_ended()
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> None:
        """Renew what is ours, see who else is there, take or give up what the fair share says."""
        asked = time.monotonic()
        mine = [_name(p) for p in self._held.pulls.keys() | self._held.leaving.keys()]
        await self._leases.hold(_MEMBER + self._leases.owner, _LEASE_MS)
        await self._leases.renew(mine, _LEASE_MS)
        self._held.renewed = asked
        leases = await self._leases.all()
        await self._forget_dead(leases)
        holders, me = _holders(leases), self._leases.owner
        for partition in [p for p in self._held.pulls if holders.get(p) != me]:
            await self._lose(partition)
        async with self._changing:
            if self._open and not self._held.leaving:
                known = {p: o for p, o in holders.items() if p in self._held.pulls or o != me}
                await self._apply(change(me, _members(leases), known, self._busy()))

    def _busy(self) -> frozenset[int]:
        return frozenset(p for p in self._held.pulls if self._worker.works_on(p))

    async def _apply(self, wanted: Change) -> None:
        for partition in wanted.let_go:
            task = asyncio.create_task(self._let_go(partition), name=f"let go {partition}")
            self._held.leaving[partition] = task
        theirs = set(wanted.take)
        for partition in sorted(theirs):
            if await self._leases.hold(_name(partition), _LEASE_MS):
                await self._start_pulls(partition)
        if wanted.let_go or theirs:
            log.info("partitions: %s", sorted(self._held.pulls.keys() - self._held.leaving.keys()))

    async def _start_pulls(self, partition: int) -> None:
        pulls = self._held.pulls.setdefault(partition, [])
        for lane in JOB_LANES:
            name = job_durable(lane, partition)
            handler = self._worker.jobs_of(lane, partition, name)
            pulls.append(await self._bus.pull(name, handler, _LIMITS))
        gauges.partitions.set(len(self._held.pulls))

    async def _end_pulls(self, partition: int) -> None:
        pulls = self._held.pulls.pop(partition, [])
        await asyncio.gather(*(pull.stop(_PULLS_END_SECONDS) for pull in pulls))
        gauges.partitions.set(len(self._held.pulls))

    async def _let_go(self, partition: int) -> None:
        try:
            await self._end_pulls(partition)
            await self._worker.ended(partition)
            await self._leases.let_go(_name(partition))
        except PyMongoError as error:
            log.warning("the lease of partition %d ends by itself: %s", partition, error)
        finally:
            self._held.leaving.pop(partition, None)

    async def _lose(self, partition: int) -> None:
        """Another has it: this process slept, or the database was away for longer than a lease."""
        log.warning("partition %d was taken over", partition)
        await self._end_pulls(partition)

    async def _give_up_what_has_ended(self) -> None:
        """Without the database nobody can tell whose a partition is: nothing new is begun in it."""
        if self._held.pulls and time.monotonic() - self._held.renewed > _LEASE_MS / 1000:
            for partition in list(self._held.pulls):
                await self._end_pulls(partition)

    async def _forget_dead(self, leases: Mapping[str, Lease]) -> None:
        old = now_ms() - _FORGET_MS
        for name, lease in leases.items():
            if name.startswith(_MEMBER) and lease.until < old:
                await self._leases.remove(name)


async def end_of(owner: str, leases: Leases) -> None:
    """A process has died, and its parent knows: the others need not wait for its leases' end."""
    await leases.end_all(owner)
    await leases.remove(_MEMBER + owner)


def _name(partition: int) -> str:
    return f"{_PARTITION}{partition:02}"


def _members(leases: Mapping[str, Lease]) -> list[str]:
    now = now_ms()
    return [
        name.removeprefix(_MEMBER)
        for name, lease in leases.items()
        if name.startswith(_MEMBER) and lease.until >= now
    ]


def _holders(leases: Mapping[str, Lease]) -> dict[int, str]:
    now, found = now_ms(), {}
    for partition in range(JOB_PARTITIONS):
        lease = leases.get(_name(partition))
        if lease is not None and lease.until >= now:
            found[partition] = lease.owner
    return found
