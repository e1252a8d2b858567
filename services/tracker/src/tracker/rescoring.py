"""Judges kept hits again by the rules of this version, and corrects what was said and counted.

A page of hits at a time; a delivery is corrected as a whole. It may end anywhere and goes on from the
page where it was: what was corrected needs no correction any more.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import replace

from pymongo.errors import PyMongoError

from postfleet.instants import now_ms
from postfleet.mongo import Flush, each_is_durable
from postfleet.outbox import OutboxRelay
from tracker.corrections import Corrector
from tracker.domain.corrections import Correction
from tracker.domain.fingerprints import fingerprint
from tracker.store.deliveries import DeliveryStore
from tracker.store.rescores import Order, Rescores

log = logging.getLogger(__name__)

_PAGE = 500
_LEASE_MS = 60_000  # far above what a page takes
_LOOK_EVERY = 1.0  # seconds


class Rescoring:
    def __init__(
        self,
        orders: Rescores,
        corrector: Corrector,
        deliveries: DeliveryStore,
        relay: OutboxRelay,
        flush: Flush = each_is_durable,
    ) -> None:
        self._orders, self._corrector, self._flush = orders, corrector, flush
        self._deliveries, self._relay = deliveries, relay

    async def run(self) -> None:
        """Carry out orders as they come."""
        while True:
            try:
                order = await self._orders.claim(now_ms(), _LEASE_MS)
                if order is not None:
                    await self.carry_out(order)
            except PyMongoError as error:
                log.warning("hits are judged again later: %s", error)
            await asyncio.sleep(_LOOK_EVERY)

    async def carry_out(self, order: Order) -> None:
        """From where it is to its end."""
        seen: set[int] = set()
        while True:
            rows, after = await self._corrector.hits.page(order.cursor_ms, order.until_ms, _PAGE)
            if not rows:
                await self._orders.finish(order)
                return
            new = {id_ for id_ in rows if fingerprint(id_) not in seen}
            seen |= {fingerprint(id_) for id_ in new}
            found = await self._correct(new, order)
            found["hits"] = len(rows)
            await self._flush()
            await self._orders.advance(order, after, dict(found), now_ms() + _LEASE_MS)
            order = replace(order, cursor_ms=after)
            self._relay.wake()

    async def _correct(self, delivery_ids: set[str], order: Order) -> Counter[str]:
        found: Counter[str] = Counter()
        for delivery in (await self._deliveries.find(delivery_ids)).values():
            if order.campaign_id and delivery.campaign_id != order.campaign_id:
                continue
            how = self._corrector.look if order.dry_run else self._corrector.correct
            for correction in await how(delivery, everything=True):
                found.update(_figures(correction))
        return found


def _figures(correction: Correction) -> Counter[str]:
    """Changed verdicts by old and new, and what they do to the count."""
    verdicts = Counter(
        f"to_{change.before.judgement.verdict}_{change.judgement.verdict}"
        for change in correction.changes
        if change.before.judgement.verdict is not change.judgement.verdict
    )
    verdicts[correction.kind.value] += correction.difference
    return verdicts
