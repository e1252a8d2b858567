"""Domains that an operator suspended: none of their senders may send, those to come included."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, all_by_id, page_by_id


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
        return _suspended(found) if found else None

    async def page(self, after: str, limit: int) -> list[SuspendedDomain]:
        """Up to `limit` of those that follow `after`, in the order of their names."""
        return [_suspended(d) for d in await page_by_id(self._collection, after, limit)]

    async def all(self) -> AsyncIterator[SuspendedDomain]:
        async for document in all_by_id(self._collection):
            yield _suspended(document)

    async def remove(self, domain: str) -> None:
        await self._collection.delete_one({"_id": domain})


def _suspended(document: Document) -> SuspendedDomain:
    return SuspendedDomain(document["_id"], document["by"], document["reason"])
