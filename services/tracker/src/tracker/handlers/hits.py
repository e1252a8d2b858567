"""Hits in: join with the delivery, judge, store with the event that follows."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg
from pymongo.errors import PyMongoError

from postfleet.bus import Bus
from postfleet.mongo import Flush, each_is_durable
from postfleet.outbox import OutboxRelay
from tracker.domain.hits import Hit, HitKind, read_hits
from tracker.domain.outcomes import JudgedHit, announcement
from tracker.domain.verdicts import judge
from tracker.gauges import verdicts
from tracker.store.deliveries import DeliveryStore
from tracker.store.hits import HitStore
from tracker.store.links import LinkStore
from tracker.store.people import PeopleStore

log = logging.getLogger(__name__)

DURABLE = "tracker-hits"
#: Seconds until hits whose delivery is not known are looked at again: `email.sent` is usually a
#: moment away. After some three minutes they are a dead letter, which can be replayed.
_UNKNOWN_DELAYS = (1.0, 1.0, 1.0, 2.0, 5.0, *(10.0,) * 17)
_DATABASE_DELAY = 2.0


@dataclass(frozen=True, slots=True)
class HitHandler:
    """`behind` says whether there are events that the deliveries have not been told yet.
    `flush` makes durable what is recorded, before anything is acked."""

    bus: Bus
    hits: HitStore
    deliveries: DeliveryStore
    links: LinkStore
    people: PeopleStore
    relay: OutboxRelay
    behind: Callable[[], Awaitable[bool]]
    flush: Flush = each_is_durable

    async def __call__(self, messages: list[Msg]) -> None:
        """Handle a batch; every message is acked, nakked or buried here."""
        told = [(message, *read_hits(message.data)) for message in messages]
        try:
            judged = await self.judge([hit for _, hits, _ in told for hit in hits])
            await self.record(list(judged.values()))
            await self.flush()
            unknown = {h.delivery_id for _, hits, _ in told for h in hits if h.id not in judged}
            gone = await self.people.erased(sorted(unknown))
        except PyMongoError as error:
            log.warning("%d messages of hits wait for the database: %s", len(messages), error)
            for message in messages:
                await message.nak(delay=_DATABASE_DELAY)
            return
        self.relay.wake()
        for one in judged.values():
            verdicts.labels(one.hit.kind.value, one.judgement.verdict.value).inc()
        for message, hits, wrong in told:
            await self._end(
                message,
                [h for h in hits if h.id not in judged and h.delivery_id not in gone],
                wrong,
            )

    async def _end(self, message: Msg, waiting: list[Hit], wrong: str) -> None:
        """Let go of a message whose hits are recorded but for those that wait for their delivery."""
        tries = message.metadata.num_delivered
        if waiting and (tries <= len(_UNKNOWN_DELAYS) or await self.behind()):
            await message.nak(delay=_UNKNOWN_DELAYS[min(tries, len(_UNKNOWN_DELAYS)) - 1])
        elif waiting:
            unknown = sorted({hit.delivery_id for hit in waiting})
            await self.bus.bury(DURABLE, message, f"unknown delivery {', '.join(unknown)}")
        elif wrong:
            await self.bus.bury(DURABLE, message, wrong)
        else:
            await message.ack()

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
