"""What senders met lately, in buckets of five minutes: added up from all replicas, kept over restarts.

It is evidence for a rule, not a ledger: a replica that dies takes its last seconds with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from dispatcher.domain.blast_radius import Trouble
from postfleet.mongo import Collection, duplicates, ensure_indexes

BUCKET_MS = 300_000
_MOST = 50_000


@dataclass(frozen=True, slots=True)
class Place:
    """`at`: the start of the bucket, in epoch ms."""

    at: int
    sender_id: str
    template: str

    @property
    def id(self) -> str:
        return sha256(f"{self.at}\x1f{self.sender_id}\x1f{self.template}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Seen:
    attempts: int
    troubles: Mapping[Trouble, int]


class Sights:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "at")

    async def add(self, seen: Mapping[Place, Seen]) -> None:
        if not seen:
            return
        nothing = {"attempts": 0, **{trouble.value: 0 for trouble in Trouble}}
        inserts = [
            InsertOne(
                {
                    "_id": place.id,
                    "at": place.at,
                    "sender_id": place.sender_id,
                    "template": place.template,
                    **nothing,
                }
            )
            for place in seen
        ]
        try:
            await self._collection.bulk_write(inserts, ordered=False)
        except BulkWriteError as error:
            duplicates(error)
        updates = [
            UpdateOne(
                {"_id": place.id},
                {
                    "$inc": {
                        "attempts": one.attempts,
                        **{trouble.value: count for trouble, count in one.troubles.items()},
                    }
                },
            )
            for place, one in seen.items()
        ]
        await self._collection.bulk_write(updates, ordered=False)

    async def since(self, at: int) -> Mapping[Place, Seen]:
        found = self._collection.find({"at": {"$gte": at}}).limit(_MOST)
        return {
            Place(d["at"], d["sender_id"], d["template"]): Seen(
                d["attempts"], {trouble: d[trouble.value] for trouble in Trouble}
            )
            async for d in found
        }

    async def forget(self, before: int) -> None:
        await self._collection.delete_many({"at": {"$lt": before}})
