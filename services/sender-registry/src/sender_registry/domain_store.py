"""Domains that an operator suspended: none of their senders may send, those to come included."""

from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from postfleet.instants import now_ms
from postfleet.mongo import Collection

_MOST = 1000


@dataclass(frozen=True, slots=True)
class SuspendedDomain:
    domain: str
    by: str
    reason: str

    @property
    def mark(self) -> str:
        """What the suspension of its senders is attributed to: only ours are lifted with it."""
        return f"domain {self.domain}: {self.by}"


class DomainStore:
    """The collection `suspended_domains`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def add(self, domain: str, by: str, reason: str) -> SuspendedDomain:
        """An existing suspension stays as it is: the first reason holds."""
        document = {"_id": domain, "by": by, "reason": reason, "at": now_ms()}
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            return await self.get(domain) or SuspendedDomain(domain, by, reason)
        return SuspendedDomain(domain, by, reason)

    async def get(self, domain: str) -> SuspendedDomain | None:
        found = await self._collection.find_one({"_id": domain})
        return SuspendedDomain(found["_id"], found["by"], found["reason"]) if found else None

    async def all(self) -> list[SuspendedDomain]:
        cursor = self._collection.find({}).limit(_MOST)
        return [SuspendedDomain(d["_id"], d["by"], d["reason"]) async for d in cursor]

    async def remove(self, domain: str) -> None:
        await self._collection.delete_one({"_id": domain})
