"""Corrects what was said of a delivery's hits, until nothing is left to correct.

Whoever else corrects or counts the same delivery at the same time: a standing is written only over
the one that was read, and all is read again until it is as it should be.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from postfleet.mongo import Document
from tracker.domain.corrections import Correction, KeptHit, corrections, judge_again
from tracker.domain.deliveries import Delivery
from tracker.domain.networks import Networks
from tracker.domain.outcomes import corrected, standing_key
from tracker.store.hits import HitStore, kept_hit
from tracker.store.links import LinkStore
from tracker.store.standings import Standings


@dataclass(frozen=True, slots=True)
class Corrector:
    hits: HitStore
    standings: Standings
    links: LinkStore
    networks: Networks

    async def correct(self, delivery: Delivery, *, everything: bool) -> list[Correction]:
        """Judge the delivery's hits again, by all rules or by their neighbours only, and write it."""
        written = []
        while found := await self.look(delivery, everything=everything):
            for correction in found:
                key = standing_key(delivery.delivery_id, correction.kind)
                events = list(corrected(correction, delivery))
                if await self.standings.correct(key, correction, events):
                    written.append(correction)
        return written

    async def look(self, delivery: Delivery, *, everything: bool) -> list[Correction]:
        """What would have to be written; what was written before reaches the hits first."""
        standings, waiting = await self.standings.of(delivery.delivery_id)
        for verdicts in waiting:
            await self.hits.give(verdicts)
            await self.standings.given(verdicts)
        kept = await self._kept(await self.hits.documents(delivery.delivery_id))
        changes = judge_again(kept, delivery.sent_ms, self.networks, everything=everything)
        return corrections(kept, changes, standings)

    async def recent(self, delivery_ids: Iterable[str], since_ms: int) -> dict[str, list[KeptHit]]:
        """The hits of these deliveries since then, by delivery."""
        found: dict[str, list[KeptHit]] = {}
        for kept in await self._kept(await self.hits.recent(delivery_ids, since_ms)):
            found.setdefault(kept.hit.delivery_id, []).append(kept)
        return found

    async def _kept(self, documents: list[Document]) -> list[KeptHit]:
        links = await self.links.find(d["link_id"] for d in documents if d["link_id"])
        return [kept_hit(document, links) for document in documents]
