"""The contents of attachments, each once, under its SHA-256; no campaign changes one."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from pymongo.errors import DuplicateKeyError

from postfleet.instants import now_ms
from postfleet.mongo import Collection


class Attachments:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def put(self, contents: Iterable[bytes]) -> None:
        """Durable when this returns; the same content again changes nothing."""
        for content in contents:
            id_ = sha256(content).hexdigest()
            document = {"_id": id_, "content": content, "size_bytes": len(content)}
            try:
                await self._collection.insert_one({**document, "created_at": now_ms()})
            except DuplicateKeyError:
                continue

    async def sizes(self, ids: Iterable[str]) -> Mapping[str, int]:
        """Those that we have, in bytes."""
        wanted = list(set(ids))
        if not wanted:
            return {}
        found = self._collection.find({"_id": {"$in": wanted}}, projection={"size_bytes": 1}).limit(
            len(wanted)
        )
        return {document["_id"]: document["size_bytes"] async for document in found}

    async def contents(self, ids: Iterable[str]) -> Mapping[str, bytes]:
        wanted = list(set(ids))
        if not wanted:
            return {}
        found = self._collection.find({"_id": {"$in": wanted}}).limit(len(wanted))
        return {document["_id"]: bytes(document["content"]) async for document in found}
