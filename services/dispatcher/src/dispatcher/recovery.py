"""Makes again what a crash has lost: jobs, announcements, and the claims of workers that are gone."""

import asyncio
import logging
import time
import uuid

from dispatcher.announcer import Announcer
from dispatcher.doubt import Doubt
from dispatcher.evidence import Evidence
from dispatcher.store.batches import Batches, Claim, job
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.retention import Retention
from dispatcher.store.senders import Senders
from dispatcher.worker import WorkerLimits
from postfleet.bus import Bus
from postfleet.instants import now_ms

log = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
_LIMIT = 200
_JOB_LOST_MS = 30_000


class Recovery:
    def __init__(
        self,
        *,
        bus: Bus,
        batches: Batches,
        deliveries: Deliveries,
        senders: Senders,
        announcer: Announcer,
        limits: WorkerLimits,
        evidence: Evidence,
        doubt: Doubt,
        unknown_after_ms: int,
        retention: Retention | None = None,
        keep_ms: int = 0,
    ) -> None:
        self._retention, self._keep_ms = retention, keep_ms
        self._bus, self._batches, self._deliveries = bus, batches, deliveries
        self._senders = senders
        self._announcer, self._limits = announcer, limits
        self._evidence, self._unknown_after_ms = evidence, unknown_after_ms
        self._doubt = doubt

    async def at_start(self) -> None:
        """Announce what was settled, and take up what an earlier life of this instance held or had
        pulled."""
        while await self._announcer.sweep(grace_ms=0):
            pass
        # The jobs that our earlier life had pulled come back only after the durable's ack_wait.
        await self.after(self._limits.instance)

    async def after(self, owner: str) -> None:
        """This worker is no more: what it held or had pulled is taken up now."""
        for claim in await self._batches.abandoned(owner, _LIMIT, ours=True):
            await self._take_up(claim)
        await self._make_jobs_again(now_ms() + 1, f"-{uuid.uuid4().hex[:8]}")

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.sweep()
            except Exception as error:
                log.warning("recovery failed, tried again soon: %r", error)

    async def sweep(self) -> None:
        await self._senders.load()  # each sender event is heard by one replica only
        await self._announcer.sweep()
        for claim in await self._batches.abandoned(self._limits.instance, _LIMIT, ours=False):
            await self._take_up(claim)
        # A new id every half minute: within the stream's window the old one would be a duplicate.
        await self._make_jobs_again(now_ms() - _JOB_LOST_MS, f"-{int(time.time()) // 30}")
        await self._end_doubt()
        if self._retention is not None:
            await self._retention.forget(now_ms() - self._keep_ms)

    async def _make_jobs_again(self, before: int, generation: str) -> None:
        waiting = await self._batches.ready_since(before, _LIMIT)
        await self._bus.put(job(batch, generation) for batch in waiting)

    async def _end_doubt(self) -> None:
        """What stayed unknown for too long: a campaign's lead is held, a mail of its own goes again."""
        before = now_ms() - self._unknown_after_ms
        for row in await self._deliveries.unknown_since(before, _LIMIT):
            if row.origin.campaign_id:
                await self._evidence.hold(row)
            else:
                await self._evidence.send_again(row)

    async def _take_up(self, claim: Claim) -> None:
        """Attempts without a settlement become unknown; the rest of the batch goes out again."""
        mine = uuid.uuid4().hex
        limits = self._limits
        if not await self._batches.take_over(claim, mine, limits.instance, limits.lease_ms):
            return
        unknown = await self._doubt.begun_here(claim.batch)
        log.warning("batch %s taken up again, %d in doubt", claim.batch.id, len(unknown))
        await self._announcer.settle(claim.batch, unknown)
        await self._batches.give_back(claim.batch.id, mine)
        await self._bus.put([job(claim.batch, f"-{mine[:8]}")])
