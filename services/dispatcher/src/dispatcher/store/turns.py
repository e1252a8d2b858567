"""When each sender's latest mail went: what the gap to its next one is counted from."""

from collections.abc import Iterable, Mapping, Sequence

from pymongo import UpdateOne

from postfleet.mongo import Collection


class Turns:
    """Read at the first need and kept: only the holder of the planner's lease writes it."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._known: dict[str, int] = {}
        self._read: set[str] = set()

    def forget(self) -> None:
        """Another replica may have planned meanwhile."""
        self._known.clear()
        self._read.clear()

    async def last(self, sender_ids: Iterable[str]) -> Mapping[str, int]:
        """sender id -> when its latest mail went or was to go, epoch milliseconds."""
        new = [name for name in sender_ids if name not in self._read]
        if new:
            found = self._collection.find({"_id": {"$in": new}}).limit(len(new))
            self._known.update({row["_id"]: row["last_at"] async for row in found})
            self._read.update(new)
        return self._known

    async def note(self, last: Mapping[str, int]) -> None:
        """These mails were planned. Written before they go, so that a gap outlives a crash."""
        updates: Sequence[UpdateOne] = [
            UpdateOne({"_id": name}, {"$set": {"last_at": at}}, upsert=True)
            for name, at in last.items()
        ]
        if updates:
            await self._collection.bulk_write(list(updates), ordered=False)
            self._known.update(last)
