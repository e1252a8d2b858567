"""Names and states of campaigns, as their events told them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo import UpdateOne

from postfleet.mongo import Collection, Database, Document, ensure_indexes
from tracker.store.writing import insert_new

_KEPT: Document = {"status": {"$ne": "deleted"}}  # a draft that was deleted is shown to nobody


@dataclass(frozen=True, slots=True)
class CampaignNews:
    """`status` is "" where the event says nothing of it."""

    campaign_id: str
    name: str
    status: str
    at_ms: int


class CampaignStore:
    def __init__(self, database: Database) -> None:
        self._campaigns: Collection = database.campaigns

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._campaigns, "status_ms")

    async def apply(self, news: Sequence[CampaignNews]) -> None:
        """Keep the newest name and status, in whatever order the news come."""
        ids = {item.campaign_id for item in news}
        blank = {"name": "", "name_ms": 0, "status": "", "status_ms": 0}
        await insert_new(self._campaigns, [{"_id": id_, **blank} for id_ in ids])
        updates = [
            UpdateOne(
                {"_id": item.campaign_id, f"{field}_ms": {"$lte": item.at_ms}},
                {"$set": {field: value, f"{field}_ms": item.at_ms}},
            )
            for item in news
            for field, value in (("name", item.name), ("status", item.status))
            if value
        ]
        if updates:
            await self._campaigns.bulk_write(updates, ordered=True)

    async def get(self, campaign_id: str) -> Document | None:
        found: Document | None = await self._campaigns.find_one({"_id": campaign_id})
        return found

    async def page(self, after: str, limit: int) -> list[Document]:
        """Up to `limit` campaigns by id, after this one."""
        query = {"_id": {"$gt": after}, **_KEPT}
        found = self._campaigns.find(query).sort("_id", 1).limit(limit)
        return [document async for document in found]

    async def latest(self, limit: int) -> list[Document]:
        """The campaigns that were heard of last."""
        found = self._campaigns.find(_KEPT).sort("status_ms", -1).limit(limit)
        return [document async for document in found]
