"""What the ledger keeps of a person: taken out of rows, batches and settlements; counts stay.

A settlement loses the person's items, so that announcing it again says nothing of them. A batch keeps
the ids, by which its attempts are forgotten one day.
"""

from typing import Any

from dispatcher.store.batches import DONE
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.packed import packed, unpacked
from dispatcher.store.settlements import NEW
from postfleet.mongo import Collection

_LEAD, _RECIPIENT = 1, 2  # places in an item
ERASED = "erased"


class StillOpen(Exception):
    """Mail to the person is in flight: what was written is erased when it has settled."""


class Erasure:
    def __init__(
        self, deliveries: Deliveries, batches: Collection, settlements: Collection
    ) -> None:
        self._deliveries = deliveries
        self._batches, self._settlements = batches, settlements

    async def erase(self, lead: str, address: str) -> None:
        """Erase it; repeating it is harmless. Raises StillOpen, when all else is done."""
        found = await self._deliveries.of_person(lead, address)
        ids = {row.item.delivery_id for row in found}
        batches = sorted({row.document["batch_id"] for row in found})
        open_ = [id_ for id_ in batches if not await self._from_batch(id_, ids)]
        for id_ in batches:
            open_ += [id_] if not await self._from_settlements(id_, ids) else []
        if open_:
            raise StillOpen(f"batches {', '.join(sorted(set(open_)))} are not done")
        await self._deliveries.erase(sorted(ids))

    async def _from_batch(self, batch_id: str, delivery_ids: set[str]) -> bool:
        """False if it is not done yet."""
        document = await self._batches.find_one({"_id": batch_id})
        if document is None:
            return True
        stored = unpacked(document["items"])
        items = [_without_name(item, delivery_ids) for item in stored]
        if items == stored:
            return True
        result = await self._batches.update_one(
            {"_id": batch_id, "state": DONE}, {"$set": {"items": packed(items)}}
        )
        return bool(result.matched_count)

    async def _from_settlements(self, batch_id: str, delivery_ids: set[str]) -> bool:
        """False if one is not announced yet."""
        found = self._settlements.find({"batch_id": batch_id}).limit(10_000)
        done = True
        for document in [one async for one in found]:
            stored = unpacked(document["items"])
            left = [one for one in stored if one["item"][0] not in delivery_ids]
            if len(left) == len(stored):
                continue
            if document["state"] == NEW:
                done = False
            else:
                await self._settlements.replace_one(
                    {"_id": document["_id"]}, {**document, "items": packed(left)}
                )
        return done


def _without_name(item: list[Any], delivery_ids: set[str]) -> list[Any]:
    if item[0] not in delivery_ids:
        return item
    return [*item[:_LEAD], ERASED, "", *item[_RECIPIENT + 1 :]]
