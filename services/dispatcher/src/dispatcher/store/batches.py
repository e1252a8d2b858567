"""Batches: written once by the planner, claimed by one worker at a time under a lease."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson
from pymongo import UpdateOne

from dispatcher.domain.lanes import subject_of
from dispatcher.domain.ledger import Batch, Item, Origin
from dispatcher.store.packed import packed, unpacked
from postfleet.announcing import Message
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes

READY, AGAIN, CLAIMED, DONE = "ready", "again", "claimed", "done"
_WAITING = (READY, AGAIN)  # AGAIN: ready, and had a life before
_OPEN = (*_WAITING, CLAIMED)

Life = Literal["first", "again"]

_LIVES: tuple[tuple[str, Life], ...] = ((READY, "first"), (AGAIN, "again"))


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch and who holds it."""

    batch: Batch
    claim_id: str


def claim_of(group_claim: str, life: Life) -> str:
    """Who claims a batch that had a life before does not hold it as one that had none."""
    return group_claim if life == "first" else f"{group_claim}-again"


class Batches:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._collection,
            "state",
            "lease_until",
            "owner",
            "claim_id",
            "created_at",
            "done_at",
            "campaign_id",
        )

    async def insert(self, batches: Sequence[Batch]) -> None:
        if batches:
            await self._collection.insert_many([_stored(batch) for batch in batches])

    async def claim(
        self, batch_ids: Sequence[str], claim_id: str, owner: str, lease_ms: int
    ) -> dict[str, Life]:
        """Take these batches, by compare-and-set; those that are not to be had are left out.

        "again": an earlier life may have sent and settled some of it. One statement where nobody
        is in the way.
        """
        found: dict[str, Life] = {}
        for state, life in _LIVES:
            left = [id_ for id_ in batch_ids if id_ not in found]
            if left:
                own = claim_of(claim_id, life)
                taken = await self._claim(left, state, own, owner, lease_ms)
                found |= dict.fromkeys(taken, life)
        return found

    async def _claim(
        self, batch_ids: list[str], state: str, claim_id: str, owner: str, lease_ms: int
    ) -> list[str]:
        fields = {
            "state": CLAIMED,
            "claim_id": claim_id,
            "owner": owner,
            "lease_until": now_ms() + lease_ms,
        }
        guard = {"_id": {"$in": batch_ids}, "state": state}
        result = await self._collection.update_many(guard, {"$set": fields})
        if result.modified_count == len(batch_ids):
            return batch_ids
        if not result.modified_count:
            return []
        ours = {"_id": {"$in": batch_ids}, "claim_id": claim_id}
        mine = self._collection.find(ours).limit(len(batch_ids))
        return [document["_id"] async for document in mine]

    async def renew(self, claim_ids: Iterable[str], lease_ms: int) -> None:
        await self._collection.update_many(
            {"claim_id": {"$in": list(claim_ids)}, "state": CLAIMED},
            {"$set": {"lease_until": now_ms() + lease_ms}},
        )

    async def finish(self, claimed: Sequence[tuple[str, str]]) -> None:
        """(batch id, claim id): these are done, where the claim still holds."""
        fields = {"$set": {"state": DONE, "done_at": now_ms()}}
        updates = [UpdateOne({"_id": id_, "claim_id": claim}, fields) for id_, claim in claimed]
        await self._collection.bulk_write(updates, ordered=False)

    async def abandoned(self, owner: str, limit: int, *, ours: bool) -> list[Claim]:
        """Claims whose lease has ended, or, with `ours`, those of an earlier life of this owner."""
        query: Document = {"state": CLAIMED}
        query |= {"owner": owner} if ours else {"lease_until": {"$lt": now_ms()}}
        found = self._collection.find(query).limit(limit)
        return [Claim(from_document(d), d["claim_id"]) async for d in found]

    async def claimed(self, limit: int) -> list[Claim]:
        """All claims, however long their leases last."""
        found = self._collection.find({"state": CLAIMED}).limit(limit)
        return [Claim(from_document(d), d["claim_id"]) async for d in found]

    async def take_over(self, claim: Claim, new_claim_id: str, owner: str, lease_ms: int) -> bool:
        """Compare-and-set on the old claim."""
        fields = {"claim_id": new_claim_id, "owner": owner, "lease_until": now_ms() + lease_ms}
        result = await self._collection.update_one(
            {"_id": claim.batch.id, "state": CLAIMED, "claim_id": claim.claim_id}, {"$set": fields}
        )
        return bool(result.modified_count)

    async def give_back(self, batch_id: str, claim_id: str, after_ms: int = 0) -> None:
        """Ready again, for whoever gets the next job; nobody makes one before `after_ms`."""
        await self._collection.update_one(
            {"_id": batch_id, "claim_id": claim_id, "state": CLAIMED},
            {"$set": {"state": AGAIN, "created_at": now_ms() + after_ms}},
        )

    async def failed(self, batch_id: str, claim_id: str) -> int:
        """It failed once more, and not because of the database or the bus; how often by now."""
        guard = {"_id": batch_id, "claim_id": claim_id, "state": CLAIMED}
        await self._collection.update_one(guard, {"$inc": {"failures": 1}})
        document = await self._collection.find_one({"_id": batch_id})
        return int((document or {}).get("failures", 0))

    async def ready_since(self, before: int, limit: int) -> list[Batch]:
        """Ready batches that nobody took for a while: their job may be lost."""
        query = {"state": {"$in": list(_WAITING)}, "created_at": {"$lt": before}}
        found = self._collection.find(query).limit(limit)
        return [from_document(document) async for document in found]

    async def planned(self, limit: int = 20_000) -> dict[str, int]:
        """sender id -> deliveries in batches that are ready but not claimed."""
        sizes: dict[str, int] = {}
        waiting = self._collection.find({"state": {"$in": list(_WAITING)}})
        async for document in waiting.limit(limit):
            sizes[document["sender_id"]] = sizes.get(document["sender_id"], 0) + document["size"]
        return sizes

    async def any_open(self, campaign_id: str) -> bool:
        query = {"campaign_id": campaign_id, "state": {"$in": list(_OPEN)}}
        return await self._collection.find_one(query) is not None

    async def is_open(self, batch_id: str) -> bool:
        """Somebody works on it, or will."""
        query = {"_id": batch_id, "state": {"$in": list(_OPEN)}}
        return await self._collection.find_one(query) is not None

    async def get(self, batch_id: str) -> Batch | None:
        document = await self._collection.find_one({"_id": batch_id})
        return from_document(document) if document else None

    async def open_with(self, delivery_id: str, limit: int = 2000) -> tuple[Batch, str] | None:
        """The open batch that has this delivery, with its state."""
        query = {"state": {"$in": list(_OPEN)}}
        async for document in self._collection.find(query).limit(limit):
            batch = from_document(document)
            if any(item.delivery_id == delivery_id for item in batch.items):
                return batch, document["state"]
        return None


def to_document(batch: Batch) -> Document:
    origin = batch.origin
    return {
        "_id": batch.id,
        "campaign_id": origin.campaign_id,
        "step": origin.step,
        "variant": origin.variant,
        "sender_id": origin.sender_id,
        "category": origin.category,
        "state": READY,
        "size": len(batch.items),
        "created_at": batch.created_at,
        "lease_until": 0,
        "reasons": batch.reasons,
        "items": [item.values for item in batch.items],
    }


def _stored(batch: Batch) -> Document:
    document = to_document(batch)
    return {**document, "items": packed(document["items"])}


def from_document(document: Document) -> Batch:
    return Batch(
        id=document["_id"],
        origin=Origin(
            document["campaign_id"],
            document["step"],
            document["variant"],
            document["sender_id"],
            document["category"],
        ),
        items=tuple(Item(*item) for item in unpacked(document["items"])),
        created_at=document["created_at"],
        reasons=document["reasons"],
    )


def job(batch: Batch, generation: str = "") -> Message:
    """The job of a batch: it carries the whole batch, which never changes."""
    body = orjson.dumps(to_document(batch))
    return Message(subject_of(batch.origin), f"job-{batch.id}{generation}", body)


def batch_of(body: bytes) -> Batch:
    """Raises ValueError for a body that is no job of ours."""
    try:
        return from_document(orjson.loads(body))
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"not a batch: {error!r}") from error
