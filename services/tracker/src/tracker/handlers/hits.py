"""Hits in: join with the delivery, judge, store with the event that follows."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg
from pymongo.errors import PyMongoError

from postfleet.bus import Bus
from postfleet.outbox import OutboxRelay
from tracker.domain.hits import Hit, HitKind, UnreadableHit, read_hit
from tracker.domain.outcomes import JudgedHit, announcement
from tracker.domain.verdicts import judge
from tracker.store.deliveries import DeliveryStore
from tracker.store.hits import HitStore
from tracker.store.links import LinkStore

log = logging.getLogger(__name__)

DURABLE = "tracker-hits"
_UNKNOWN_DELAY = 1.0  # seconds; `email.sent` is usually a moment away
_UNKNOWN_TRIES = 120  # two minutes, then it is a dead letter that can be replayed
_DATABASE_DELAY = 2.0


@dataclass(frozen=True, slots=True)
class HitHandler:
    """`behind` says whether there are events that the deliveries have not been told yet."""

    bus: Bus
    hits: HitStore
    deliveries: DeliveryStore
    links: LinkStore
    relay: OutboxRelay
    behind: Callable[[], Awaitable[bool]]

    async def __call__(self, messages: list[Msg]) -> None:
        """Handle a batch; every message is acked, nakked or buried here."""
        readable = await self._readable(messages)
        try:
            judged = await self.judge([hit for _, hit in readable])
            await self.record(list(judged.values()))
        except PyMongoError as error:
            log.warning("%d hits wait for the database: %s", len(readable), error)
            for message, _ in readable:
                await message.nak(delay=_DATABASE_DELAY)
            return
        self.relay.wake()
        for message, hit in readable:
            if hit.id in judged:
                await message.ack()
            else:
                await self._wait_for_delivery(message, hit)

    async def judge(self, hits: Sequence[Hit]) -> dict[str, JudgedHit]:
        """The hits whose delivery (and link) is known, judged, by hit id."""
        deliveries = await self.deliveries.find(hit.delivery_id for hit in hits)
        urls = await self.links.urls(hit.link_id for hit in hits if hit.link_id)
        judged = {}
        for hit in hits:
            delivery = deliveries.get(hit.delivery_id)
            url = urls.get(hit.link_id, "")
            if delivery is None or (hit.kind is HitKind.CLICKED and not url):
                continue
            judged[hit.id] = JudgedHit(hit, delivery, judge(hit, delivery.sent_ms), url)
        return judged

    async def record(self, judged: Sequence[JudgedHit]) -> None:
        """Store the hits with their events. Repeating it changes nothing."""
        in_order = sorted(judged, key=lambda entry: entry.hit.at_ms)
        claims = [(entry.first_key, entry.hit.id) for entry in in_order]
        firsts = await self.hits.claim_firsts([(key, id_) for key, id_ in claims if key])
        await self.hits.add(
            [(entry, announcement(entry, first=entry.hit.id in firsts)) for entry in in_order]
        )

    async def _readable(self, messages: list[Msg]) -> list[tuple[Msg, Hit]]:
        readable = []
        for message in messages:
            try:
                readable.append((message, read_hit(message.data)))
            except UnreadableHit as error:
                await self.bus.bury(DURABLE, message, str(error))
        return readable

    async def _wait_for_delivery(self, message: Msg, hit: Hit) -> None:
        if message.metadata.num_delivered >= _UNKNOWN_TRIES and not await self.behind():
            await self.bus.bury(DURABLE, message, f"unknown delivery {hit.delivery_id}")
        else:
            await message.nak(delay=_UNKNOWN_DELAY)
