"""Orders to judge kept hits again: how far each is, what it found, and who is at it."""

from dataclasses import dataclass
from typing import Any

from postfleet.mongo import Collection, Database, Document, ensure_indexes
from tracker.store.writing import insert_new

RUNNING, DONE = "running", "done"
_WRITES, _LOOKS = "writes", "looks"


@dataclass(frozen=True, slots=True)
class Order:
    """Hits from `since_ms` to before `until_ms`; of all campaigns where `campaign_id` is ""."""

    id: str
    since_ms: int
    until_ms: int
    campaign_id: str = ""
    dry_run: bool = False
    cursor_ms: int = 0


class Rescores:
    def __init__(self, database: Database) -> None:
        self._orders: Collection = database.rescores

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._orders, "state")

    async def add(self, order: Order, at_ms: int) -> None:
        document = {
            "_id": order.id,
            "since_ms": order.since_ms,
            "until_ms": order.until_ms,
            "campaign": order.campaign_id,
            "mode": _LOOKS if order.dry_run else _WRITES,
            "state": RUNNING,
            "at_ms": at_ms,
            "cursor_ms": order.since_ms,
            "lease_until": 0,
            "hits": 0,
            "opened": 0,
            "clicked": 0,
        }
        await insert_new(self._orders, [document])

    async def get(self, order_id: str) -> Document | None:
        found: Document | None = await self._orders.find_one({"_id": order_id})
        return found

    async def claim(self, now_ms: int, lease_ms: int) -> Order | None:
        """An order that nobody is at. A dry run begins again, for it has written nothing."""
        found = self._orders.find({"state": RUNNING, "lease_until": {"$lt": now_ms}}).limit(20)
        async for document in found:
            guard = {"_id": document["_id"], "lease_until": document["lease_until"]}
            fields: dict[str, Any] = {"lease_until": now_ms + lease_ms}
            if document["mode"] == _LOOKS:
                fields |= {"cursor_ms": document["since_ms"], "hits": 0, "opened": 0, "clicked": 0}
                fields |= {name: 0 for name in document if name.startswith("to_")}
            result = await self._orders.update_one(guard, {"$set": fields})
            if result.modified_count:
                return _order({**document, **fields})
        return None

    async def advance(
        self, order: Order, cursor_ms: int, found: dict[str, int], lease_until: int
    ) -> None:
        """Keep how far it is; `found` is added to its figures."""
        await self._orders.update_one(
            {"_id": order.id, "cursor_ms": order.cursor_ms},
            {"$set": {"cursor_ms": cursor_ms, "lease_until": lease_until}, "$inc": found},
        )

    async def finish(self, order: Order) -> None:
        await self._orders.update_one({"_id": order.id}, {"$set": {"state": DONE}})


def _order(document: Document) -> Order:
    return Order(
        document["_id"],
        int(document["since_ms"]),
        int(document["until_ms"]),
        document["campaign"],
        dry_run=document["mode"] == _LOOKS,
        cursor_ms=int(document["cursor_ms"]),
    )


def shown(document: Document) -> dict[str, Any]:
    """As the API tells it; `verdicts` counts hits by old and new verdict."""
    verdicts = {
        name.removeprefix("to_").replace("_", " -> "): count
        for name, count in document.items()
        if name.startswith("to_") and count
    }
    return {
        "id": document["_id"],
        "state": document["state"],
        "dry_run": document["mode"] == _LOOKS,
        "hits": document["hits"],
        "changed": sum(verdicts.values()),
        "verdicts": verdicts,
        "opened": document["opened"],
        "clicked": document["clicked"],
    }
