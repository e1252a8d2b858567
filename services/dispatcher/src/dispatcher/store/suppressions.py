"""Whom no campaign may mail: addresses and whole domains, with the reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from postfleet.addresses import domain_of
from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import with_events


@dataclass(frozen=True, slots=True)
class Suppression:
    """`entry` is a canonical address, or a domain with an @ before it."""

    entry: str
    reason: str
    source: str
    created_at: int


class Suppressions:
    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.collection, "created_at")

    async def add(
        self, entry: str, reason: str, source: str, announcements: Sequence[Announcement] = ()
    ) -> bool:
        """False if it was there already; the first reason stays."""
        document = {"_id": entry, "reason": reason, "source": source, "created_at": now_ms()}
        try:
            await self.collection.insert_one(with_events(document, announcements))
        except DuplicateKeyError:
            return False
        return True

    async def remove(self, entry: str) -> bool:
        result = await self.collection.delete_one({"_id": entry})
        return bool(result.deleted_count)

    async def of(self, addresses: Iterable[str]) -> dict[str, str]:
        """address -> reason, for those that are suppressed themselves or by their domain."""
        wanted = set(addresses)
        domains = {f"@{domain_of(address)}" for address in wanted}
        entries = list(wanted | domains)
        found = self.collection.find({"_id": {"$in": entries}}).limit(len(entries))
        reasons = {document["_id"]: document["reason"] async for document in found}
        return {
            address: reason
            for address in wanted
            if (reason := reasons.get(address) or reasons.get(f"@{domain_of(address)}"))
        }

    async def page(self, after: str | None, limit: int) -> list[Suppression]:
        query: Document = {"_id": {"$gt": after}} if after else {}
        found = self.collection.find(query).sort("_id", 1).limit(limit)
        return [
            Suppression(d["_id"], d["reason"], d["source"], d["created_at"]) async for d in found
        ]
