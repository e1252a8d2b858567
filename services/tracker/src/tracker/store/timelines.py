"""What happened to each lead, one document for each event but `email.sent`: see deliveries."""

from collections.abc import Sequence

from postfleet.mongo import Collection, Database, Document, ensure_indexes
from tracker.domain.timeline import Entry
from tracker.store.writing import insert_new


class TimelineStore:
    def __init__(self, database: Database) -> None:
        self._timelines: Collection = database.timelines

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._timelines, "address", "event", "at_ms")
        # The newest of one kind: without it every entry of the kind is read and sorted.
        await self._timelines.create_index([("event", 1), ("at_ms", -1)])

    async def add(self, entries: Sequence[Entry]) -> None:
        await insert_new(self._timelines, [entry_document(entry) for entry in entries])

    async def page(self, address: str, after: str, limit: int) -> list[Document]:
        """Up to `limit` entries of an address, oldest first, after the one with this order."""
        query = {"address": address, "order": {"$gt": after}}
        found = self._timelines.find(query).sort("order", 1).limit(limit)
        return [document async for document in found]

    async def latest(self, limit: int, event: str | None = None) -> list[Document]:
        """The newest entries, of one kind or of any."""
        query = {"event": event} if event else {}
        found = self._timelines.find(query).sort("at_ms", -1).limit(limit)
        return [document async for document in found]


def entry_document(entry: Entry) -> Document:
    return {
        "_id": entry.id,
        "address": entry.address,
        "event": entry.event,
        "at_ms": entry.at_ms,
        "order": f"{entry.at_ms:015d}-{entry.id}",  # unique, and sorts by time
        "details": entry.details,
    }
