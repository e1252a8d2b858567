"""Hits in: join with the delivery, judge, store with the event that follows; correct earlier ones."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg
from pymongo.errors import PyMongoError

from postfleet.bus import Bus
from postfleet.mongo import Flush, each_is_durable
from postfleet.outbox import OutboxRelay
from tracker.corrections import Corrector
from tracker.domain.corrections import judge_again, step_of
from tracker.domain.deliveries import Delivery
from tracker.domain.hits import Hit, HitKind, read_hits
from tracker.domain.neighbours import SPAN_MS, Neighbours, Step
from tracker.domain.outcomes import JudgedHit, announcement
from tracker.domain.verdicts import Surroundings, judge
from tracker.gauges import verdicts
from tracker.store.deliveries import DeliveryStore
from tracker.store.links import Link
from tracker.store.people import PeopleStore
from tracker.store.standings import Claim

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
    corrector: Corrector
    deliveries: DeliveryStore
    people: PeopleStore
    relays: tuple[OutboxRelay, ...]
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
        for relay in self.relays:
            relay.wake()
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
        links = await self.corrector.links.find(hit.link_id for hit in hits if hit.link_id)
        neighbours = _neighbours(hits, links)
        judged = {}
        for hit in hits:
            delivery, link = deliveries.get(hit.delivery_id), links.get(hit.link_id, _NO_LINK)
            if delivery is None or (hit.kind is HitKind.CLICKED and not link.url):
                continue
            network = self.corrector.networks.find(hit.ip)
            known = Surroundings(
                delivery.sent_ms, network, link.canary, neighbours[hit.delivery_id]
            )
            judgement = judge(hit, known)
            judged[hit.id] = JudgedHit(hit, delivery, judgement, link.url)
        return judged

    async def record(self, judged: Sequence[JudgedHit]) -> None:
        """Store the hits with their events, and correct others. Repeating it changes nothing."""
        known = await self.corrector.hits.known(entry.hit.id for entry in judged)
        new = [entry for entry in judged if entry.hit.id not in known]
        new.sort(key=lambda entry: entry.hit.at_ms)
        firsts = await self.corrector.standings.claim(
            [Claim(e.first_key, e.hit.id, e.hit.at_ms) for e in new if e.first_key]
        )
        numbered = [(entry, firsts.get(entry.hit.id, 0)) for entry in new]
        await self.corrector.hits.add(
            [(entry, first, announcement(entry, first)) for entry, first in numbered]
        )
        for delivery in await self._doubtful(judged, firsts):
            await self.corrector.correct(delivery, everything=False)

    async def _doubtful(
        self, judged: Sequence[JudgedHit], firsts: Mapping[str, int]
    ) -> list[Delivery]:
        """Deliveries of which something else has to be said now."""
        if not judged:
            return []
        deliveries = {entry.delivery.delivery_id: entry.delivery for entry in judged}
        since = min(entry.hit.at_ms for entry in judged) - SPAN_MS
        recent = await self.corrector.recent(deliveries, since)
        wanted = {
            id_
            for id_, kept in recent.items()
            if len(kept) > 1
            and judge_again(
                kept, deliveries[id_].sent_ms, self.corrector.networks, everything=False
            )
        }
        others = [e for e in judged if e.first_key and e.hit.id not in firsts]
        free = await self.corrector.standings.free({e.first_key or "" for e in others})
        wanted |= {e.hit.delivery_id for e in others if e.first_key in free}
        return [deliveries[id_] for id_ in sorted(wanted)]


_NO_LINK = Link("")


def _neighbours(hits: Sequence[Hit], links: Mapping[str, Link]) -> dict[str, Neighbours]:
    """By delivery, as far as the hits that came together tell."""
    steps: dict[str, list[Step]] = {}
    for hit in hits:
        canary = links.get(hit.link_id, _NO_LINK).canary
        steps.setdefault(hit.delivery_id, []).append(step_of(hit, canary=canary))
    return {id_: Neighbours(found) for id_, found in steps.items()}
