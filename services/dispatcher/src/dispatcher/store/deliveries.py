"""Deliveries: the rows that people query, written by the announcer from the settlements."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from dispatcher.domain.auto_pause import Figures, PauseRules, enough_sends
from dispatcher.domain.counted_hits import Kind, Standing
from dispatcher.domain.ledger import Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.progress import CONDITION
from dispatcher.store.delivery_pages import Place, newest, page
from dispatcher.store.delivery_rows import (
    WAITING,
    Row,
    replacing,
    row_of,
    to_document,
    without_blanks,
)
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, duplicates, ensure_indexes

_MOST = 1_000_000
_CHUNK = 500
QUEUED = "queued"  # planned again, in an open batch
_OPEN = (*WAITING, QUEUED, Outcome.UNKNOWN.value)


class Deliveries:
    def __init__(self, collection: Collection, relaxed: Collection | None = None) -> None:
        self._collection = collection
        self._relaxed = collection if relaxed is None else relaxed

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._collection, "campaign_id", "lead_id", "state", "next_attempt_at", "updated_at"
        )
        # Few rows have the first two; those of mails of their own alone have the third.
        for name in ("bounced_at", "complained_at", "person"):
            await self._collection.create_index(name, sparse=True)

    async def write(self, rows: Sequence[tuple[str, Origin, Settled]]) -> None:
        """(batch id, origin, settled): insert; a row that is there never goes back in rank."""
        documents = [to_document(*row) for row in rows]
        try:
            new = [without_blanks(document) for document in documents]
            await self._relaxed.insert_many(new, ordered=False)
        except BulkWriteError as error:
            again = [replacing(documents[index]) for index in duplicates(error)]
            await self._relaxed.bulk_write(again, ordered=False)

    async def get(self, delivery_id: str) -> Row | None:
        document = await self._collection.find_one({"_id": delivery_id})
        return row_of(document) if document else None

    async def get_many(self, delivery_ids: Sequence[str]) -> dict[str, Row]:
        found = self._collection.find({"_id": {"$in": list(delivery_ids)}})
        return {d["_id"]: row_of(d) async for d in found.limit(max(1, len(delivery_ids)))}

    async def due(self, now: int, limit: int) -> list[Row]:
        """Deferred and postponed deliveries whose time has come."""
        query = {"state": {"$in": list(WAITING)}, "next_attempt_at": {"$lte": now}}
        found = self._collection.find(query).sort("next_attempt_at", 1).limit(limit)
        return [row_of(document) async for document in found]

    async def due_mails(self, now: int, limit: int) -> list[Row]:
        """As `due`, of no campaign."""
        query = {
            "campaign_id": "",
            "state": {"$in": list(WAITING)},
            "next_attempt_at": {"$lte": now},
        }
        found = self._collection.find(query).sort("next_attempt_at", 1).limit(limit)
        return [row_of(document) async for document in found]

    async def of_lead(self, lead_id: str, limit: int) -> list[Row]:
        """All deliveries to a lead, or of a mail."""
        found = self._collection.find({"lead_id": lead_id}).limit(limit)
        return [row_of(document) async for document in found]

    async def to_person(self, person: str, limit: int, after: Place | None = None) -> list[Row]:
        """What went to a person, the newest first: of campaigns, whose lead it is, and all other mail."""
        of_campaigns = await page(self._collection, {"lead_id": person}, limit, after)
        others = await page(self._collection, {"person": person}, limit, after)
        return newest([*of_campaigns, *others], limit)

    async def look_again(self, delivery_ids: Sequence[str], at: int) -> None:
        """These wait longer: nothing about them is worth a new settlement."""
        await self._relaxed.update_many(
            {"_id": {"$in": list(delivery_ids)}, "state": {"$in": list(WAITING)}},
            {"$set": {"next_attempt_at": at}},
        )

    async def queue(self, delivery_ids: Sequence[str]) -> None:
        """These were planned again."""
        await self._relaxed.update_many(
            {"_id": {"$in": list(delivery_ids)}, "state": {"$in": list(WAITING)}},
            {"$set": {"state": QUEUED, "updated_at": now_ms()}},
        )

    async def postpone(self, until_by_id: dict[str, int]) -> None:
        """Look at these waiting deliveries again at these times."""
        updates = [
            UpdateOne(
                {"_id": id_, "state": {"$in": list(WAITING)}}, {"$set": {"next_attempt_at": until}}
            )
            for id_, until in until_by_id.items()
        ]
        if updates:
            await self._relaxed.bulk_write(updates, ordered=False)

    async def unknown_since(self, before: int, limit: int) -> list[Row]:
        query = {"state": Outcome.UNKNOWN.value, "updated_at": {"$lt": before}}
        found = self._collection.find(query).limit(limit)
        return [row_of(document) async for document in found]

    async def any_open(self, campaign_id: str) -> bool:
        query = {"campaign_id": campaign_id, "state": {"$in": list(_OPEN)}}
        return await self._collection.find_one(query) is not None

    async def of_person(self, lead: str, address: str) -> list[Row]:
        """As `to_person`, and those that older versions wrote; looks at every row."""
        older = {"recipient": address, "campaign_id": ""}
        found = {row.item.delivery_id: row for row in await self.to_person(lead, _MOST)}
        mails = self._collection.find(older).limit(_MOST)
        return [*({d["_id"]: row_of(d) async for d in mails} | found).values()]

    async def end_waiting(self, lead: str, address: str) -> None:
        """What waits for its next attempt gets none."""
        ended = {"state": Outcome.SKIPPED.value, "next_attempt_at": 0}
        older = {"recipient": address, "campaign_id": ""}
        for who in ({"lead_id": lead}, {"person": lead}, older):
            waiting = {**who, "state": {"$in": [*WAITING, QUEUED]}}
            await self._collection.update_many(waiting, {"$set": ended})

    async def erase(self, delivery_ids: Sequence[str]) -> None:
        """Forget whom these went to and what was said; that mails went, and when, stays."""
        nothing = {"recipient": "", "mail_subject": "", "reply_text": ""}
        for start in range(0, len(delivery_ids), _CHUNK):
            some = list(delivery_ids[start : start + _CHUNK])
            fields = {**nothing, "reason": "erased", "lead_id": "erased", "person": "erased"}
            await self._collection.update_many({"_id": {"$in": some}}, {"$set": fields})

    async def figures(self, campaign_id: str, since: int, rules: PauseRules) -> Figures:
        """What went since then and what came of it. Facts are counted, not events: each once."""
        since = max(since, 1)
        sent = {"campaign_id": campaign_id, "updated_at": {"$gte": since}}
        bounced = await self._count({"bounced_at": {"$gte": since}, **sent}, _MOST)
        complained = await self._count({"complained_at": {"$gte": since}, **sent}, _MOST)
        ended = {"state": {"$in": [Outcome.ACCEPTED.value, Outcome.FAILED.value]}}
        enough = enough_sends(bounced, complained, rules)
        return Figures(await self._count({**sent, **ended}, enough), bounced, complained)

    async def _count(self, query: Document, most: int) -> int:
        """At most `most` are looked at."""
        pipeline = [{"$match": query}, {"$limit": most}, {"$count": "n"}]
        return sum([int(row["n"]) async for row in self._collection.aggregate(pipeline)])

    async def mark(self, delivery_id: str, fields: dict[str, Any]) -> bool:
        """Note what happened after the settlement (`replied_at`, …). False: no such row (yet)."""
        result = await self._collection.update_one({"_id": delivery_id}, {"$set": fields})
        return bool(result.matched_count)

    async def stand(self, standings: Mapping[tuple[str, Kind], Standing]) -> None:
        """How the opens and clicks of rows stand; what a row has by a higher rank stays."""
        updates = [
            UpdateOne({"_id": id_, f"{kind}_rank": before}, {"$set": _standing(kind, standing)})
            for (id_, kind), standing in standings.items()
            for before in ({"$lt": standing.rank}, {"$exists": False})
        ]
        if updates:
            await self._collection.bulk_write(updates, ordered=False)

    async def variant_counts(
        self, campaign_id: str, step: int, accepted_before: int, mark: str
    ) -> dict[str, tuple[int, int]]:
        """Variant -> its mails accepted until then, and how many of them carry the mark."""
        accepted = {
            "campaign_id": campaign_id,
            "step": step,
            "accepted_at": {"$gt": 0, "$lte": accepted_before},
        }
        samples = await self._by_variant(accepted)
        hits = await self._by_variant({**accepted, mark: {"$gt": 0}})
        return {name: (sample, hits.get(name, 0)) for name, sample in samples.items()}

    async def step_figures(self, campaign_id: str, step: int) -> dict[str, dict[str, int]]:
        """Variant -> figures; what a condition passed over has no variant."""
        group = {
            "_id": "$variant",
            "sent": _count({"$gt": ["$accepted_at", 0]}),
            "opened": _count({"$gt": ["$opened_at", 0]}),
            "clicked": _count({"$gt": ["$clicked_at", 0]}),
            "replied": _count({"$gt": ["$replied_at", 0]}),
            "bounced": _count({"$gt": ["$bounced_at", 0]}),
            "failed": _count({"$eq": ["$state", Outcome.FAILED.value]}),
            "passed_over": _count({"$eq": ["$meaning", CONDITION]}),
        }
        pipeline = [{"$match": {"campaign_id": campaign_id, "step": step}}, {"$group": group}]
        figures = {}
        async for row in self._collection.aggregate(pipeline):
            figures[row.pop("_id")] = row
        return figures

    async def _by_variant(self, query: Document) -> dict[str, int]:
        pipeline = [{"$match": query}, {"$group": {"_id": "$variant", "n": {"$sum": 1}}}]
        return {row["_id"]: row["n"] async for row in self._collection.aggregate(pipeline)}

    async def counts(self, campaign_id: str) -> dict[str, int]:
        pipeline = [
            {"$match": {"campaign_id": campaign_id}},
            {"$group": {"_id": "$state", "n": {"$sum": 1}}},
        ]
        return {row["_id"]: row["n"] async for row in self._collection.aggregate(pipeline)}


def _standing(kind: Kind, standing: Standing) -> Document:
    return {f"{kind}_rank": standing.rank, f"{kind}_at": standing.at}


def _count(condition: Document) -> Document:
    return {"$sum": {"$cond": [condition, 1, 0]}}
