"""The judged hits with their events."""

from collections.abc import Iterable, Mapping, Sequence

from pymongo import UpdateOne

from postfleet.cloudevents import Announcement
from postfleet.events.tracking import Verdict
from postfleet.mongo import Collection, Database, Document, ensure_indexes
from postfleet.outbox import with_events
from tracker.domain.corrections import KeptHit
from tracker.domain.hits import Hit, HitKind
from tracker.domain.networks import network_of
from tracker.domain.outcomes import JudgedHit
from tracker.domain.verdicts import RULES_VERSION, Judgement
from tracker.store.links import Link
from tracker.store.standings import Verdicts
from tracker.store.writing import insert_new

#: A delivery's hits that corrections look at, the oldest; nobody opens a mail so often.
_MOST = 1000
_MOST_RECENT = 20_000
_ABSENT = Link("")


class HitStore:
    def __init__(self, database: Database) -> None:
        self.hits: Collection = database.hits  # also the outbox of their events

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.hits, "delivery_id", "at_ms")

    async def add(self, entries: Sequence[tuple[JudgedHit, int, Announcement]]) -> None:
        """Store each hit and its event in one write; hits that are stored already stay.

        The number is that of the count that the event says, 0 for none.
        """
        await insert_new(
            self.hits,
            [with_events(_document(judged, first), [event]) for judged, first, event in entries],
        )

    async def known(self, hit_ids: Iterable[str]) -> set[str]:
        """Those of the hits that are stored already."""
        wanted = list(hit_ids)
        found = self.hits.find({"_id": {"$in": wanted}}, {"_id": 1}).limit(len(wanted) + 1)
        return {document["_id"] async for document in found}

    async def recent(self, delivery_ids: Iterable[str], since_ms: int) -> list[Document]:
        query = {"delivery_id": {"$in": sorted(delivery_ids)}, "at_ms": {"$gte": since_ms}}
        return [document async for document in self.hits.find(query).limit(_MOST_RECENT)]

    async def documents(self, delivery_id: str) -> list[Document]:
        found = self.hits.find({"delivery_id": delivery_id}).sort("at_ms", 1).limit(_MOST)
        return [document async for document in found]

    async def give(self, verdicts: Verdicts) -> None:
        """Give hits their new verdicts; repeating it, however late, changes nothing."""
        updates = [
            UpdateOne(
                {"_id": hit_id, "changes": changes - 1, "verdict": old}
                if changes > 1
                else {"_id": hit_id, "verdict": old},
                {
                    "$set": {
                        "verdict": new,
                        "reason": reason,
                        "rules": RULES_VERSION,
                        "changes": changes,
                    }
                },
            )
            for hit_id, changes, old, new, reason in verdicts.changes
        ]
        if updates:
            await self.hits.bulk_write(updates, ordered=False)

    async def page(self, since_ms: int, until_ms: int, limit: int) -> tuple[list[str], int]:
        """The deliveries of the next hits, oldest first, and from when on the page after begins."""
        query = {"at_ms": {"$gte": since_ms, "$lt": until_ms}}
        found = self.hits.find(query, {"at_ms": 1, "delivery_id": 1}).sort("at_ms", 1).limit(limit)
        rows = [(int(d["at_ms"]), str(d["delivery_id"])) async for d in found]
        if len(rows) < limit:
            return [id_ for _, id_ in rows], until_ms
        last = rows[-1][0]
        if rows[0][0] == last:  # more of one millisecond than a page holds
            return await self.page(since_ms, until_ms, 2 * limit)
        return [id_ for at_ms, id_ in rows if at_ms < last], last


def _document(judged: JudgedHit, first: int) -> Document:
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
        "changes": 0,
        "first": first,
    }


def kept_hit(document: Document, links: Mapping[str, Link]) -> KeptHit:
    hit = Hit(
        kind=HitKind(document["kind"]),
        delivery_id=document["delivery_id"],
        at_ms=int(document["at_ms"]),
        link_id=document["link_id"],
        user_agent=document["user_agent"],
        method=document["method"],
        way=document["way"],
        headers=document["headers"],
        id=document["_id"],
    )
    return KeptHit(
        hit,
        Judgement(Verdict(document["verdict"]), document["reason"]),
        place=document["network"],
        canary=links.get(hit.link_id, _ABSENT).canary,
        changes=int(document.get("changes", 0)),
        first=int(document.get("first", 1)),
    )
