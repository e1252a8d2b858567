"""Attempts: the key that must be inserted before the final dot. The database says who got it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.errors import BulkWriteError

from postfleet.instants import now_ms
from postfleet.mongo import Collection, duplicates


@dataclass(frozen=True, slots=True)
class Attempt:
    """`by` is drawn for each try to begin it, and tells whose try it was."""

    key: str
    batch_id: str
    by: str


@dataclass(frozen=True, slots=True)
class Begun:
    """By which batch, and when."""

    batch_id: str
    at: int


class Attempts:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def begin(self, attempts: Sequence[Attempt]) -> list[bool]:
        """Insert all in one statement; for each whether it is ours.

        Beginning the same attempt again (the same `by`) answers the same: a caller that does not
        know whether its statement arrived repeats it.
        """
        at = now_ms()
        documents = [
            {"_id": one.key, "batch_id": one.batch_id, "by": one.by, "at": at} for one in attempts
        ]
        taken: set[str] = set()
        try:
            await self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            taken = {attempts[index].key for index in duplicates(error)}
        owners = await self._owners(taken)
        return [owners.get(one.key, one.by) == one.by for one in attempts]

    async def _owners(self, keys: set[str]) -> dict[str, str]:
        if not keys:
            return {}
        found = self._collection.find({"_id": {"$in": list(keys)}}).limit(len(keys))
        return {document["_id"]: document["by"] async for document in found}

    async def begun(self, keys: Sequence[str]) -> dict[str, Begun]:
        """By key, those of these attempts that were begun."""
        if not keys:
            return {}
        found = self._collection.find({"_id": {"$in": list(keys)}}).limit(len(keys))
        return {d["_id"]: Begun(d["batch_id"], d["at"]) async for d in found}

    async def batch_of(self, key: str) -> str | None:
        document = await self._collection.find_one({"_id": key})
        return document["batch_id"] if document else None
