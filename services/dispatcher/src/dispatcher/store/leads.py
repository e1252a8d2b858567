"""Leads: one document per campaign and person, moved on by guarded updates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.identity import lead_id
from dispatcher.domain.leads_csv import LeadRow
from dispatcher.domain.progress import NEVER, Facts
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, duplicates, ensure_indexes


@dataclass(frozen=True, slots=True)
class Lead:
    """`step` is the next one to plan, `due` its time. `sender_id` mailed the earlier steps."""

    campaign_id: str
    lead_id: str
    address: str
    state: LeadState
    step: int
    due: int
    sender_id: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)

    @property
    def key(self) -> str:
        return f"{self.campaign_id}:{self.lead_id}"


class Leads:
    def __init__(self, collection: Collection, relaxed: Collection | None = None) -> None:
        self._collection = collection
        self._relaxed = collection if relaxed is None else relaxed

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "campaign_id", "lead_id", "state", "due")
        await self._collection.create_index([("campaign_id", 1), ("state", 1), ("due", 1)])

    async def add(self, campaign_id: str, rows: Sequence[LeadRow]) -> int:
        """Insert those that are not there yet; returns how many were new."""
        if not rows:
            return 0
        documents: dict[str, Document] = {}
        for row in rows:
            lead = lead_id(row.address)
            documents.setdefault(f"{campaign_id}:{lead}", _document(campaign_id, lead, row))
        inserts = [InsertOne(document) for document in documents.values()]
        try:
            result = await self._collection.bulk_write(inserts, ordered=False)
            return int(result.inserted_count)
        except BulkWriteError as error:
            return len(inserts) - len(duplicates(error))

    async def due(self, campaign_id: str, now: int, limit: int) -> list[Lead]:
        query = {"campaign_id": campaign_id, "state": LeadState.ACTIVE.value, "due": {"$lte": now}}
        found = self._collection.find(query).sort("due", 1).limit(limit)
        return [_lead(document) async for document in found]

    async def get_many(self, keys: Sequence[str]) -> dict[str, Lead]:
        found = self._collection.find({"_id": {"$in": list(keys)}}).limit(len(keys))
        return {document["_id"]: _lead(document) async for document in found}

    async def any_active(self, campaign_id: str) -> bool:
        """Whether a lead of this campaign has a step to come."""
        query = {
            "campaign_id": campaign_id,
            "state": LeadState.ACTIVE.value,
            "due": {"$lt": NEVER},
        }
        return await self._collection.find_one(query) is not None

    async def begun(self, campaign_id: str, steps: int) -> int:
        """How many of the steps, from the first one, a lead has come past already."""
        for step in range(steps, 0, -1):
            if await self._collection.find_one({"campaign_id": campaign_id, "step": step}):
                return step
        return 0

    async def near(self, campaign_id: str, step: int, before: int) -> bool:
        """Whether an active lead gets this step, or a later one, before then."""
        query = {
            "campaign_id": campaign_id,
            "state": LeadState.ACTIVE.value,
            "due": {"$lte": before},
            "step": {"$gte": step},
        }
        return await self._collection.find_one(query) is not None

    async def look_again(self, campaign_id: str, due: int) -> None:
        """The steps have changed: when the next one goes is worked out anew for every lead."""
        await self._collection.update_many(
            {"campaign_id": campaign_id, "state": LeadState.ACTIVE.value, "step": {"$gt": 0}},
            {"$set": {"due": due}},
        )

    async def forget(self, campaign_id: str) -> None:
        """Delete the leads of a campaign that has sent nothing."""
        await self._collection.delete_many({"campaign_id": campaign_id})

    async def counts(self, campaign_id: str) -> dict[str, int]:
        pipeline = [
            {"$match": {"campaign_id": campaign_id}},
            {"$group": {"_id": "$state", "n": {"$sum": 1}}},
        ]
        return {row["_id"]: row["n"] async for row in self._collection.aggregate(pipeline)}

    async def move_on(self, leads: Sequence[Lead], step: int, due: int, sender_id: str) -> None:
        """These leads had `step` planned: the next one is due at `due`."""
        await self._relaxed.update_many(
            {"_id": {"$in": [lead.key for lead in leads]}, "step": step},
            {"$set": {"step": step + 1, "due": due, "sender_id": sender_id}},
        )

    async def pass_over(self, keys: Sequence[str], step: int, due: int) -> None:
        """These leads do not get `step`: the next one is looked at at `due`."""
        if keys:
            await self._relaxed.update_many(
                {"_id": {"$in": list(keys)}, "step": step},
                {"$set": {"step": step + 1, "due": due}},
            )

    async def mark_many(self, marks: Mapping[str, dict[str, Any]]) -> None:
        """Note what people did (`opened_at`, …), by the lead's key; unknown leads are left out."""
        updates = [UpdateOne({"_id": key}, {"$set": fields}) for key, fields in marks.items()]
        if updates:
            await self._collection.bulk_write(updates, ordered=False)

    async def postpone(self, due_by_key: dict[str, int]) -> None:
        """Look at these leads again later."""
        updates = [
            UpdateOne({"_id": key}, {"$set": {"due": due}}) for key, due in due_by_key.items()
        ]
        if updates:
            await self._relaxed.bulk_write(updates, ordered=False)

    async def end(self, keys: Sequence[str], state: LeadState) -> None:
        """Active leads get no more mail; the state says why."""
        if keys:
            await self._collection.update_many(
                {"_id": {"$in": list(keys)}, "state": LeadState.ACTIVE.value},
                {"$set": {"state": state.value, "due": NEVER, "ended_at": now_ms()}},
            )

    async def finish_all(self, campaign_id: str) -> None:
        """The campaign is over for those who are still active."""
        await self._collection.update_many(
            {"campaign_id": campaign_id, "state": LeadState.ACTIVE.value},
            {"$set": {"state": LeadState.FINISHED.value, "ended_at": now_ms()}},
        )

    async def end_everywhere(self, lead: str, state: LeadState) -> None:
        """The person gets no more mail from any campaign."""
        await self._collection.update_many(
            {"lead_id": lead, "state": LeadState.ACTIVE.value},
            {"$set": {"state": state.value, "due": NEVER, "ended_at": now_ms()}},
        )

    async def find(self, campaign_id: str, address: str) -> Lead | None:
        document = await self._collection.find_one({"_id": f"{campaign_id}:{lead_id(address)}"})
        return _lead(document) if document else None

    async def everywhere(self, lead: str) -> list[Lead]:
        """The person in every campaign."""
        found = self._collection.find({"lead_id": lead}).limit(1000)
        return [_lead(document) async for document in found]

    async def first(self, campaign_id: str) -> Lead | None:
        document = await self._collection.find_one({"campaign_id": campaign_id})
        return _lead(document) if document else None

    async def page(self, campaign_id: str, after: str | None, limit: int) -> list[Lead]:
        query: Document = {"campaign_id": campaign_id}
        if after:
            query["_id"] = {"$gt": after}
        found = self._collection.find(query).sort("_id", 1).limit(limit)
        return [_lead(document) async for document in found]


def _document(campaign_id: str, lead: str, row: LeadRow) -> Document:
    return {
        "_id": f"{campaign_id}:{lead}",
        "campaign_id": campaign_id,
        "lead_id": lead,
        "address": row.address,
        "fields": [[name, value] for name, value in row.fields.items()],
        "state": LeadState.ACTIVE.value,
        "step": 0,
        "due": 0,
        "sender_id": None,
        "created_at": now_ms(),
    }


def _lead(document: Document) -> Lead:
    return Lead(
        campaign_id=document["campaign_id"],
        lead_id=document["lead_id"],
        address=document["address"],
        state=LeadState(document["state"]),
        step=document["step"],
        due=document["due"],
        sender_id=document.get("sender_id"),
        fields=dict(document["fields"]),
        facts=Facts(
            replied=bool(document.get("replied_at")),
            opened=bool(document.get("opened_at")),
            clicked=bool(document.get("clicked_at")),
        ),
    )
