"""MongoDB: which mailboxes have filters of ours, as last written. The mail server has the truth."""

import orjson

from mail_provisioner.domain import filters
from mail_provisioner.domain.filters import Filters
from postfleet.mongo import Collection, Document, ensure_indexes

#: (mailbox, its filters, when they were written)
Entry = tuple[str, Filters, int]


class FilterStore:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def prepare(self) -> None:
        await ensure_indexes(self._collection, "domain")

    async def get(self, address: str) -> Filters | None:
        document = await self._collection.find_one({"_id": address})
        return _entry(document)[1] if document else None

    async def page(self, domain: str, after: str, limit: int) -> list[Entry]:
        query: Document = {"_id": {"$gt": after}}
        if domain:
            query["domain"] = domain
        found = self._collection.find(query).sort("_id", 1).limit(limit)
        return [_entry(document) async for document in found]

    async def remember(self, address: str, written: Filters, at: int) -> None:
        fields = {
            "domain": address.rpartition("@")[2],
            "wish": orjson.dumps(filters.as_json(written)).decode(),
            "written_at": at,
        }
        await self._collection.update_one({"_id": address}, {"$set": fields}, upsert=True)

    async def forget(self, address: str) -> None:
        await self._collection.delete_one({"_id": address})


def _entry(document: Document) -> Entry:
    wish = filters.from_json(orjson.loads(document["wish"]))
    return document["_id"], wish, document["written_at"]
