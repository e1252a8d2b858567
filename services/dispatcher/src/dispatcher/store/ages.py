"""Since when the oldest of what is open in the ledger waits. Reads only."""

from dispatcher.domain.outcomes import Outcome
from dispatcher.store.batches import AGAIN, READY
from dispatcher.store.deliveries import QUEUED
from dispatcher.store.settlements import NEW
from postfleet.mongo import Collection, Document

_WAITING = (Outcome.DEFERRED.value, Outcome.POSTPONED.value)
_COUNTED = 10_000  # rows at most: an index is read that far, and no gauge needs more


class Ages:
    def __init__(
        self, deliveries: Collection, batches: Collection, settlements: Collection
    ) -> None:
        self._deliveries, self._batches, self._settlements = deliveries, batches, settlements

    async def due_since(self, now: int) -> int | None:
        """The earliest time at which something was due that has not been taken up. None: nothing."""
        rows = {"state": {"$in": list(_WAITING)}, "next_attempt_at": {"$gt": 0, "$lte": now}}
        batches = {"state": {"$in": [READY, AGAIN]}, "created_at": {"$lte": now}}
        found = [
            await _first(self._deliveries, rows, "next_attempt_at"),
            await _first(self._batches, batches, "created_at"),
        ]
        return min((at for at in found if at is not None), default=None)

    async def unknown_since(self) -> int | None:
        return await _first(self._deliveries, {"state": Outcome.UNKNOWN.value}, "updated_at")

    async def unannounced_since(self) -> int | None:
        return await _first(self._settlements, {"state": NEW}, "at")

    async def unannounced(self) -> int:
        return await _count(self._settlements, {"state": NEW})

    async def open_by_state(self) -> dict[str, int]:
        """How many deliveries wait, are queued, or are in doubt."""
        states = (*_WAITING, QUEUED, Outcome.UNKNOWN.value)
        return {state: await _count(self._deliveries, {"state": state}) for state in states}


async def _first(collection: Collection, query: Document, field: str) -> int | None:
    """The least value of the field."""
    async for document in collection.find(query).sort(field, 1).limit(1):
        return int(document[field])
    return None


async def _count(collection: Collection, query: Document) -> int:
    pipeline = [{"$match": query}, {"$limit": _COUNTED}, {"$count": "n"}]
    return sum([int(row["n"]) async for row in collection.aggregate(pipeline)])
