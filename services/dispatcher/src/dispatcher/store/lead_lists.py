"""Which campaigns have leads: a person is looked for in each of them, and no index is paid for."""

from collections.abc import AsyncIterator

from postfleet.instants import now_ms
from postfleet.mongo import Collection

_AT_ONCE = 1000


class LeadLists:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._noted: set[str] = set()

    async def note(self, campaign_id: str) -> None:
        """The campaign has leads, or will have them in a moment."""
        if campaign_id not in self._noted:
            found = {"$set": {"listed_at": now_ms()}}
            await self._collection.update_one({"_id": campaign_id}, found, upsert=True)
            self._noted.add(campaign_id)

    async def keys_of(self, lead: str) -> AsyncIterator[list[str]]:
        """The keys that the person's leads would have, in every campaign that has any."""
        after = ""
        while True:
            query = {"_id": {"$gt": after}}
            found = self._collection.find(query).sort("_id", 1).limit(_AT_ONCE)
            ids = [document["_id"] async for document in found]
            if ids:
                yield [f"{campaign}:{lead}" for campaign in ids]
            if len(ids) < _AT_ONCE:
                return
            after = ids[-1]
