"""Where tracked links lead, and which of them are hidden ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from postfleet.mongo import Collection, Database, ensure_indexes
from tracker.store.writing import insert_new

_SHOWN, _CANARY = "shown", "canary"


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    canary: bool = False


class LinkStore:
    def __init__(self, database: Database) -> None:
        self._links: Collection = database.links

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._links, "at_ms")

    async def add(self, links: Mapping[str, Link], campaign_id: str, at_ms: int) -> None:
        """Keep links; the id is a hash over the destination, so a known one never changes."""
        await insert_new(
            self._links,
            [
                {
                    "_id": link_id,
                    "url": link.url,
                    "campaign": campaign_id,
                    "at_ms": at_ms,
                    "role": _CANARY if link.canary else _SHOWN,
                }
                for link_id, link in links.items()
            ],
        )

    async def get(self, link_id: str) -> str | None:
        found = await self._links.find_one({"_id": link_id})
        return None if found is None else str(found["url"])

    async def find(self, link_ids: Iterable[str]) -> dict[str, Link]:
        """The links that are known, by id."""
        wanted = sorted(set(link_ids))
        if not wanted:
            return {}
        found = self._links.find({"_id": {"$in": wanted}}).limit(len(wanted) + 1)
        return {d["_id"]: Link(d["url"], d.get("role") == _CANARY) async for d in found}

    async def newest(self, limit: int) -> dict[str, str]:
        found = self._links.find({}).sort("at_ms", -1).limit(limit)
        return {document["_id"]: document["url"] async for document in found}
