"""Attempts: the key that must be inserted before the final dot. The database says who got it."""

from collections.abc import Sequence

from pymongo import InsertOne
from pymongo.errors import BulkWriteError

from postfleet.instants import now_ms
from postfleet.mongo import Collection


class Attempts:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def begin(self, keys: Sequence[tuple[str, str]]) -> set[str]:
        """Insert (key, batch id) pairs in one statement; returns the keys that are ours."""
        at = now_ms()
        inserts = [InsertOne({"_id": key, "batch_id": batch, "at": at}) for key, batch in keys]
        taken: set[str] = set()
        try:
            await self._collection.bulk_write(inserts, ordered=False)
        except BulkWriteError as error:
            for problem in error.details["writeErrors"]:
                if problem.get("code") != 11000:
                    raise
                taken.add(keys[problem["index"]][0])
        return {key for key, _ in keys if key not in taken}

    async def begun(self, keys: Sequence[str]) -> dict[str, int]:
        """key -> time, for those of these attempts that were begun."""
        found = self._collection.find({"_id": {"$in": list(keys)}}).limit(len(keys))
        return {document["_id"]: document["at"] async for document in found}

    async def batch_of(self, key: str) -> str | None:
        document = await self._collection.find_one({"_id": key})
        return document["batch_id"] if document else None
