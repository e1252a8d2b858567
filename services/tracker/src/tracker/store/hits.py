"""The judged hits with their events, and who was a delivery's first."""

from collections.abc import Sequence

from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Database, Document, ensure_indexes
from postfleet.outbox import with_events
from tracker.domain.networks import network_of
from tracker.domain.outcomes import JudgedHit
from tracker.domain.verdicts import RULES_VERSION
from tracker.store.writing import insert_new


class HitStore:
    def __init__(self, database: Database) -> None:
        self.hits: Collection = database.hits  # also the outbox of their events
        self._firsts: Collection = database.firsts

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.hits, "delivery_id", "at_ms")

    async def claim_firsts(self, claims: Sequence[tuple[str, str]]) -> set[str]:
        """Claim keys for hit ids, in order; return the ids of the hits that hold their key.

        A hit that claims again gets the same answer.
        """
        if not claims:
            return set()
        wanted: dict[str, str] = {}
        for key, hit_id in claims:
            wanted.setdefault(key, hit_id)
        await insert_new(self._firsts, [{"_id": k, "hit_id": h} for k, h in wanted.items()])
        found = self._firsts.find({"_id": {"$in": list(wanted)}}).limit(len(wanted) + 1)
        return {document["hit_id"] async for document in found}

    async def add(self, entries: Sequence[tuple[JudgedHit, Announcement]]) -> None:
        """Store each hit and its event in one write; hits that are stored already stay."""
        await insert_new(
            self.hits, [with_events(_hit_document(judged), [event]) for judged, event in entries]
        )


def _hit_document(judged: JudgedHit) -> Document:
    """The hit as it is kept: the verdict is known, so the address shrinks to its network."""
    hit = judged.hit
    return {
        "_id": hit.id,
        "kind": hit.kind.value,
        "delivery_id": hit.delivery_id,
        "link_id": hit.link_id,
        "at_ms": hit.at_ms,
        "network": network_of(hit.ip),
        "user_agent": hit.user_agent,
        "method": hit.method,
        "way": hit.way,
        "headers": hit.headers,
        "verdict": judged.judgement.verdict.value,
        "reason": judged.judgement.reason,
        "rules": RULES_VERSION,
    }
