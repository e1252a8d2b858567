"""Which replicas of the watcher are alive, so that each takes its share of the mailboxes."""

from pymongo.errors import DuplicateKeyError

from postfleet.mongo import Collection, ensure_indexes

_MANY = 1000


class ReplicaStore:
    """`_id` = the replica's name in leases; it is alive until `until` (epoch ms)."""

    def __init__(self, collection: Collection) -> None:
        self._replicas = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._replicas, "until")

    async def beat(self, owner: str, until: int) -> None:
        """Be alive until then."""
        seen = await self._replicas.update_one({"_id": owner}, {"$set": {"until": until}})
        if seen.matched_count:
            return
        try:
            await self._replicas.insert_one({"_id": owner, "until": until})
        except DuplicateKeyError:
            return  # another beat of ours was faster

    async def alive(self, now: int) -> int:
        """How many replicas there are; those long dead are forgotten."""
        found = self._replicas.find({"until": {"$gt": now}}, {"_id": 1}).limit(_MANY)
        return len([document async for document in found])

    async def leave(self, owner: str, now: int) -> None:
        """Be gone, and forget those that died before `now`."""
        await self._replicas.delete_many({"until": {"$lt": now}})
        await self._replicas.delete_one({"_id": owner})
