"""Leases: which replica does what needs to be done once only. A name, an owner, an end."""

from collections.abc import Iterable
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from postfleet.instants import now_ms
from postfleet.mongo import Collection, ensure_indexes

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Lease:
    owner: str
    until: int  # ms


class Leases:
    def __init__(self, collection: Collection, owner: str) -> None:
        self._collection, self.owner = collection, owner

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "owner")

    async def all(self) -> dict[str, Lease]:
        """Name -> lease, also of those that have ended."""
        found = self._collection.find({}).limit(_MOST)
        return {d["_id"]: Lease(d["owner"], d["until"]) async for d in found}

    async def renew(self, names: Iterable[str], lease_ms: int) -> None:
        """Those of these that are ours still."""
        guard = {"_id": {"$in": list(names)}, "owner": self.owner}
        await self._collection.update_many(guard, {"$set": {"until": now_ms() + lease_ms}})

    async def end_all(self, owner: str) -> None:
        """This owner is gone: whatever it held may be had at once."""
        await self._collection.update_many({"owner": owner}, {"$set": {"until": 0, "owner": ""}})

    async def remove(self, name: str) -> None:
        await self._collection.delete_one({"_id": name})

    async def hold(self, name: str, lease_ms: int) -> bool:
        """Take the lease, or keep it; whether it is ours for the next `lease_ms`."""
        now = now_ms()
        fields = {"owner": self.owner, "until": now + lease_ms}
        for guard in ({"owner": self.owner}, {"until": {"$lt": now}}):
            result = await self._collection.update_one({"_id": name, **guard}, {"$set": fields})
            if result.matched_count:
                return True
        try:
            await self._collection.insert_one({"_id": name, **fields})
        except DuplicateKeyError:
            return False
        return True

    async def let_go(self, name: str) -> None:
        """Somebody else may have it at once."""
        guard = {"_id": name, "owner": self.owner}
        await self._collection.update_one(guard, {"$set": {"until": 0, "owner": ""}})
