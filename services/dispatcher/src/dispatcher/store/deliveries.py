"""Deliveries: the rows that people query, written by the announcer from the settlements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from dispatcher.domain.auto_pause import Figures, PauseRules, enough_sends
from dispatcher.domain.counted_hits import Kind, Standing
from dispatcher.domain.identity import person_of
from dispatcher.domain.ledger import Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.progress import CONDITION, Before
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, duplicates, ensure_indexes

_MOST = 1_000_000
_CHUNK = 500
QUEUED = "queued"  # planned again, in an open batch
_WAITING = (Outcome.DEFERRED.value, Outcome.POSTPONED.value)
_OPEN = (*_WAITING, QUEUED, Outcome.UNKNOWN.value)


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as it stands."""

    item: Item
    origin: Origin
    state: str
    document: Document

    @property
    def accepted_at(self) -> int | None:
        return self.document.get("accepted_at")

    @property
    def message_id(self) -> str:
        return str(self.document.get("message_id", ""))

    @property
    def mail_subject(self) -> str:
        return str(self.document.get("mail_subject", ""))

    @property
    def lead_key(self) -> str:
        return f"{self.origin.campaign_id}:{self.item.lead_id}"

    @property
    def as_before(self) -> Before:
        """As the step after it looks at it."""
        document = self.document
        return Before(
            state=self.state,
            accepted_at=self.accepted_at,
            settled_at=document["updated_at"],
            next_attempt_at=document.get("next_attempt_at") or 0,
            meaning=document.get("meaning", ""),
        )


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
        documents = [_document(*row) for row in rows]
        try:
            await self._relaxed.bulk_write([InsertOne(d) for d in documents], ordered=False)
        except BulkWriteError as error:
            again = [_update(documents[index]) for index in duplicates(error)]
            await self._relaxed.bulk_write(again, ordered=False)

    async def get(self, delivery_id: str) -> Row | None:
        document = await self._collection.find_one({"_id": delivery_id})
        return _row(document) if document else None

    async def get_many(self, delivery_ids: Sequence[str]) -> dict[str, Row]:
        found = self._collection.find({"_id": {"$in": list(delivery_ids)}})
        return {d["_id"]: _row(d) async for d in found.limit(max(1, len(delivery_ids)))}

    async def due(self, now: int, limit: int) -> list[Row]:
        """Deferred and postponed deliveries whose time has come."""
        query = {"state": {"$in": list(_WAITING)}, "next_attempt_at": {"$lte": now}}
        found = self._collection.find(query).sort("next_attempt_at", 1).limit(limit)
        return [_row(document) async for document in found]

    async def due_mails(self, now: int, limit: int) -> list[Row]:
        """As `due`, of no campaign."""
        query = {
            "campaign_id": "",
            "state": {"$in": list(_WAITING)},
            "next_attempt_at": {"$lte": now},
        }
        found = self._collection.find(query).sort("next_attempt_at", 1).limit(limit)
        return [_row(document) async for document in found]

    async def of_lead(self, lead_id: str, limit: int) -> list[Row]:
        """All deliveries to a lead, or of a mail."""
        found = self._collection.find({"lead_id": lead_id}).limit(limit)
        return [_row(document) async for document in found]

    async def to_person(self, person: str, limit: int) -> list[Row]:
        """What went to a person, the newest first: of campaigns, whose lead it is, and all other mail."""
        rows = await self.of_lead(person, limit)
        found = self._collection.find({"person": person}).limit(limit)
        rows += [_row(document) async for document in found]
        rows.sort(key=lambda row: row.document["updated_at"], reverse=True)
        return rows[:limit]

    async def look_again(self, delivery_ids: Sequence[str], at: int) -> None:
        """These wait longer: nothing about them is worth a new settlement."""
        await self._relaxed.update_many(
            {"_id": {"$in": list(delivery_ids)}, "state": {"$in": list(_WAITING)}},
            {"$set": {"next_attempt_at": at}},
        )

    async def queue(self, delivery_ids: Sequence[str]) -> None:
        """These were planned again."""
        await self._relaxed.update_many(
            {"_id": {"$in": list(delivery_ids)}, "state": {"$in": list(_WAITING)}},
            {"$set": {"state": QUEUED, "updated_at": now_ms()}},
        )

    async def postpone(self, until_by_id: dict[str, int]) -> None:
        """Look at these waiting deliveries again at these times."""
        updates = [
            UpdateOne(
                {"_id": id_, "state": {"$in": list(_WAITING)}}, {"$set": {"next_attempt_at": until}}
            )
            for id_, until in until_by_id.items()
        ]
        if updates:
            await self._relaxed.bulk_write(updates, ordered=False)

    async def unknown_since(self, before: int, limit: int) -> list[Row]:
        query = {"state": Outcome.UNKNOWN.value, "updated_at": {"$lt": before}}
        found = self._collection.find(query).limit(limit)
        return [_row(document) async for document in found]

    async def any_open(self, campaign_id: str) -> bool:
        query = {"campaign_id": campaign_id, "state": {"$in": list(_OPEN)}}
        return await self._collection.find_one(query) is not None

    async def of_person(self, lead: str, address: str) -> list[Row]:
        """As `to_person`, and those that older versions wrote; looks at every row."""
        older = {"recipient": address, "campaign_id": ""}
        found = {row.item.delivery_id: row for row in await self.to_person(lead, _MOST)}
        mails = self._collection.find(older).limit(_MOST)
        return [*({d["_id"]: _row(d) async for d in mails} | found).values()]

    async def end_waiting(self, lead: str, address: str) -> None:
        """What waits for its next attempt gets none."""
        ended = {"state": Outcome.SKIPPED.value, "next_attempt_at": 0}
        older = {"recipient": address, "campaign_id": ""}
        for who in ({"lead_id": lead}, {"person": lead}, older):
            waiting = {**who, "state": {"$in": [*_WAITING, QUEUED]}}
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


def _document(batch_id: str, origin: Origin, settled: Settled) -> Document:
    item = settled.item
    tried = settled.outcome not in (Outcome.POSTPONED, Outcome.SKIPPED)
    document: Document = {
        "_id": item.delivery_id,
        "campaign_id": origin.campaign_id,
        "step": origin.step,
        "variant": origin.variant,
        "sender_id": origin.sender_id,
        "category": origin.category,
        "lead_id": item.lead_id,
        "recipient": item.recipient,
        "attempt": item.attempt,
        "first_attempt_at": item.first_at or (settled.at if tried else 0),
        "state": settled.outcome.value,
        "rank": settled.rank,
        "batch_id": batch_id,
        "updated_at": settled.at,
        "message_id": settled.message_id,
        "author": settled.author,
        "mail_subject": settled.mail_subject,
        "reply_code": settled.reply_code,
        "enhanced_status": settled.enhanced_status,
        "reply_text": settled.reply_text,
        "meaning": settled.meaning,
        "fault": settled.fault,
        "reason": settled.reason,
        "next_attempt_at": settled.retry_at or 0,
    }
    if not origin.campaign_id and item.recipient:
        document["person"] = person_of(item.recipient)
    if settled.outcome is Outcome.ACCEPTED:
        document["accepted_at"] = settled.at
    return document


def _update(document: Document) -> UpdateOne:
    fields = {name: value for name, value in document.items() if name != "_id"}
    return UpdateOne({"_id": document["_id"], "rank": {"$lte": document["rank"]}}, {"$set": fields})


def _row(document: Document) -> Row:
    return Row(
        item=Item(
            document["_id"],
            document["lead_id"],
            document["recipient"],
            document["attempt"],
            document.get("first_attempt_at", 0),
        ),
        origin=Origin(
            document["campaign_id"],
            document["step"],
            document["variant"],
            document["sender_id"],
            document["category"],
        ),
        state=document["state"],
        document=document,
    )
