"""What each sender has used of its day and month: reserved before sending, given back if unused.

One document per sender and UTC day (and one per month): `used`, and `held`, a map of what each open
batch has reserved. Reserving and releasing name the batch, so that repeating them changes nothing.
"""

from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from postfleet.mongo import Collection


@dataclass(frozen=True, slots=True)
class Period:
    """`name` is a UTC day or month; `limit` is None where there is none."""

    name: str
    limit: int | None


class Quotas:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def used(self, sender_ids: list[str], period: str) -> dict[str, int]:
        ids = [f"{sender}:{period}" for sender in sender_ids]
        found = self._collection.find({"_id": {"$in": ids}}).limit(max(1, len(ids)))
        return {d["_id"].rpartition(":")[0]: d["used"] async for d in found}

    async def reserve(
        self, sender_id: str, batch_id: str, wanted: int, periods: list[Period]
    ) -> int:
        """How many of `wanted` the batch may send: all, some or none. Repeating it is harmless."""
        granted = wanted
        for index, period in enumerate(periods):
            allowed = await self._reserve_one(sender_id, batch_id, granted, period)
            if allowed < granted:
                for earlier in periods[:index]:
                    await self._shrink(sender_id, batch_id, earlier, allowed)
            granted = allowed
        return granted

    async def _reserve_one(self, sender_id: str, batch_id: str, wanted: int, period: Period) -> int:
        key = f"{sender_id}:{period.name}"
        await self._ensure(key)
        while wanted > 0:
            guard = {"_id": key, f"held.{batch_id}": {"$exists": False}}
            if period.limit is not None:
                guard["used"] = {"$lte": period.limit - wanted}
            update = {"$inc": {"used": wanted}, "$set": {f"held.{batch_id}": wanted}}
            result = await self._collection.update_one(guard, update)
            if result.modified_count:
                return wanted
            document = await self._collection.find_one({"_id": key})
            held = (document.get("held") or {}).get(batch_id)
            if held is not None:
                return int(min(held, wanted))
            wanted = min(wanted, (period.limit or 0) - document["used"])
        return 0

    async def _ensure(self, key: str) -> None:
        if await self._collection.find_one({"_id": key}):
            return
        try:
            await self._collection.insert_one({"_id": key, "used": 0, "held": {}})
        except DuplicateKeyError:
            return

    async def _shrink(self, sender_id: str, batch_id: str, period: Period, keep: int) -> None:
        key = f"{sender_id}:{period.name}"
        document = await self._collection.find_one({"_id": key})
        held = (document.get("held") or {}).get(batch_id, 0) if document else 0
        if held > keep:
            await self._collection.update_one(
                {"_id": key, f"held.{batch_id}": held},
                {"$inc": {"used": keep - held}, "$set": {f"held.{batch_id}": keep}},
            )

    async def settle(self, sender_id: str, batch_id: str, used: int, periods: list[str]) -> None:
        """The batch is done and used `used` of what it reserved; the rest is given back."""
        for period in periods:
            key = f"{sender_id}:{period}"
            document = await self._collection.find_one({"_id": key})
            held = (document.get("held") or {}).get(batch_id) if document else None
            if held is not None:
                await self._collection.update_one(
                    {"_id": key, f"held.{batch_id}": held},
                    {"$inc": {"used": used - held}, "$unset": {f"held.{batch_id}": ""}},
                )
