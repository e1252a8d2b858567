"""Which events were applied, and which deliveries punished: what makes counting idempotent.

A counting write puts the keys of what it applied into the sender's own document (`unsettled`).
Before the next such write they are inserted here; until then both places are asked. So the counts
and the proof of having counted are one atomic write, and the proof may grow without bound.
"""

from collections.abc import Iterable
from typing import Any

from pymongo.errors import BulkWriteError

from postfleet.instants import now_ms
from postfleet.mongo import Collection, ensure_indexes
from sender_registry.domain.health import PENALTIES

_DUPLICATE_KEY = 11000
_KEPT_MS = 35 * 24 * 3600 * 1000  # longer than the stream keeps the events


def event_key(event_id: str) -> str:
    return f"event:{event_id}"


def penalty_key(delivery_id: str, delta: int) -> str:
    return f"penalty:{delta}:{delivery_id}"


class AppliedStore:
    """The collection `applied`: one row per event, one per punishment."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "at")

    async def insert(self, keys: Iterable[str]) -> None:
        """Insert what is not there yet."""
        at = now_ms()
        rows = [{"_id": key, "at": at} for key in keys]
        if not rows:
            return
        try:
            await self._collection.insert_many(rows, ordered=False)
        except BulkWriteError as error:
            if any(e["code"] != _DUPLICATE_KEY for e in error.details["writeErrors"]):
                raise

    async def known(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that are there."""
        wanted = list(keys)
        if not wanted:
            return set()
        query: dict[str, Any] = {"_id": {"$in": wanted}}
        return {row["_id"] async for row in self._collection.find(query).limit(len(wanted))}

    async def forget_old(self) -> int:
        """Delete what no event in the stream can repeat any more; returns how many rows."""
        result = await self._collection.delete_many({"at": {"$lt": now_ms() - _KEPT_MS}})
        return int(result.deleted_count)


def penalties_in(keys: Iterable[str]) -> dict[str, int]:
    """Delivery id -> its worst delta, from keys of any kind."""
    worst: dict[str, int] = {}
    for key in keys:
        kind, _, rest = key.partition(":")
        if kind == "penalty":
            delta, _, delivery_id = rest.partition(":")
            worst[delivery_id] = min(worst.get(delivery_id, 0), int(delta))
    return worst


def penalty_keys(delivery_ids: Iterable[str]) -> list[str]:
    """Every key that could hold a punishment of these deliveries."""
    return [penalty_key(id_, delta) for id_ in delivery_ids for delta in PENALTIES]
