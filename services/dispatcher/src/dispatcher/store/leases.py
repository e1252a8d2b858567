"""Leases: which replica does what needs to be done once only. A name, an owner, an end."""

from pymongo.errors import DuplicateKeyError

from postfleet.instants import now_ms
from postfleet.mongo import Collection


class Leases:
    def __init__(self, collection: Collection, owner: str) -> None:
        self._collection, self._owner = collection, owner

    async def hold(self, name: str, lease_ms: int) -> bool:
        """Take the lease, or keep it; whether it is ours for the next `lease_ms`."""
        now = now_ms()
        fields = {"owner": self._owner, "until": now + lease_ms}
        for guard in ({"owner": self._owner}, {"until": {"$lt": now}}):
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
        guard = {"_id": name, "owner": self._owner}
        await self._collection.update_one(guard, {"$set": {"until": 0, "owner": ""}})
