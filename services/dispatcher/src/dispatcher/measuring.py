"""Looks at the ledger now and then, and shows its ages, its open ends and what quota is left."""

import asyncio
import logging

from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.store.ages import Ages
from dispatcher.store.quotas import Quotas
from dispatcher.store.senders import Senders
from postfleet import metrics
from postfleet.instants import day_of, now_ms

log = logging.getLogger(__name__)

_EVERY_SECONDS = 15.0
_SERVICE = "dispatcher"


class Measuring:
    """Every replica shows the same of what they share: dashboards take the maximum."""

    def __init__(self, ages: Ages, quotas: Quotas, senders: Senders) -> None:
        self._ages, self._quotas, self._senders = ages, quotas, senders

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            try:
                await self.once(now_ms())
            except PyMongoError as error:
                log.warning("the ledger is not measured: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self, now: int) -> None:
        due, unknown, unannounced = (
            await self._ages.due_since(now),
            await self._ages.unknown_since(),
            await self._ages.unannounced_since(),
        )
        gauges.oldest_due.set(_age(due, now))
        gauges.oldest_unknown.set(_age(unknown, now))
        gauges.oldest_unannounced.set(_age(unannounced, now))
        for state, number in (await self._ages.open_by_state()).items():
            gauges.ledger_open.labels(state).set(number)
        pending = metrics.outbox_pending.labels(_SERVICE, "settlements")
        pending.set(await self._ages.unannounced() if unannounced else 0)
        await self._measure_quota(now)

    async def _measure_quota(self, now: int) -> None:
        senders = [sender for sender in self._senders.all() if not sender.deleted]
        day = day_of(now)
        used = await self._quotas.used([sender.sender_id for sender in senders], day)
        gauges.quota_used.set(sum(one.day for one in used.values()))
        gauges.quota_limit.set(sum(sender.effective_limit or 0 for sender in senders))
        gauges.senders.clear()
        for sender in senders:
            gauges.senders.labels(sender.status).inc()


def _age(since: int | None, now: int) -> float:
    """Seconds; 0 when there is nothing that old."""
    return 0.0 if since is None else max(0, now - since) / 1000
