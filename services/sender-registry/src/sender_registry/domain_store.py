"""Domains that an operator suspended: none of their senders may send, those to come included."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from postfleet.instants import now_ms
from postfleet.mongo import Collection

_TOGETHER = 500


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

    async def page(self, after: str, limit: int) -> list[SuspendedDomain]:
        """Up to `limit` of those that follow `after`, in the order of their names."""
        cursor = self._collection.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
        return [SuspendedDomain(d["_id"], d["by"], d["reason"]) async for d in cursor]

    async def all(self) -> AsyncIterator[SuspendedDomain]:
        last = ""
        while found := await self.page(last, _TOGETHER):
            for domain in found:
                yield domain
            if len(found) < _TOGETHER:
                return
            last = found[-1].domain

    async def remove(self, domain: str) -> None:
        await self._collection.delete_one({"_id": domain})
