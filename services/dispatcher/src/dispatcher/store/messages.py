"""Mails of their own: the envelope in one collection, the content beside it until it is not needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pymongo.errors import BulkWriteError

from dispatcher.domain.mail import Mail
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, duplicates, ensure_indexes

SCHEDULED, PLANNED, CANCELED = "scheduled", "planned", "canceled"


@dataclass(frozen=True, slots=True)
class Stored:
    """A mail and how far it is."""

    mail: Mail
    state: str


class Messages:
    """`contents` need not wait for the disk: the envelope is written after them, and does."""

    def __init__(self, collection: Collection, contents: Collection) -> None:
        self._collection, self._contents = collection, contents

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "state", "due_at", "purge_at")

    async def insert(self, mails: Sequence[tuple[Mail, bytes]], keep_ms: int) -> Sequence[bool]:
        """Durable when this returns; False for an id that was there already."""
        contents = [{"_id": mail.id, "content": content} for mail, content in mails]
        await _insert_new(self._contents, contents)
        documents = [_document(mail, keep_ms) for mail, _ in mails]
        known = await _insert_new(self._collection, documents)
        return [number not in known for number in range(len(mails))]

    async def get(self, message_id: str) -> Stored | None:
        document = await self._collection.find_one({"_id": message_id})
        return _stored(document) if document else None

    async def get_many(self, message_ids: Sequence[str]) -> Mapping[str, Stored]:
        ids = list(dict.fromkeys(message_ids))
        found = self._collection.find({"_id": {"$in": ids}}).limit(max(1, len(ids)))
        return {document["_id"]: _stored(document) async for document in found}

    async def content(self, message_id: str) -> bytes | None:
        """None once it was removed."""
        document = await self._contents.find_one({"_id": message_id})
        return bytes(document["content"]) if document else None

    async def due(self, now: int, limit: int) -> list[Mail]:
        """Scheduled mails whose time has come, oldest first."""
        query = {"state": SCHEDULED, "due_at": {"$lte": now}}
        found = self._collection.find(query).sort("due_at", 1).limit(limit)
        return [_stored(document).mail async for document in found]

    async def planned(self, message_ids: Sequence[str]) -> None:
        """From now on they cannot be canceled."""
        await self._collection.update_many(
            {"_id": {"$in": list(message_ids)}, "state": SCHEDULED}, {"$set": {"state": PLANNED}}
        )

    async def cancel(self, message_id: str) -> bool:
        """Whether it was still to be had."""
        result = await self._collection.update_one(
            {"_id": message_id, "state": SCHEDULED}, {"$set": {"state": CANCELED}}
        )
        return bool(result.modified_count)

    async def old(self, now: int, limit: int) -> list[Stored]:
        """What has been kept long enough, if nothing of it is open."""
        found = self._collection.find({"purge_at": {"$lte": now}}).limit(limit)
        return [_stored(document) async for document in found]

    async def keep(self, message_ids: Sequence[str], until: int) -> None:
        await self._collection.update_many(
            {"_id": {"$in": list(message_ids)}}, {"$set": {"purge_at": until}}
        )

    async def remove(self, message_ids: Sequence[str]) -> None:
        await self._contents.delete_many({"_id": {"$in": list(message_ids)}})
        await self._collection.delete_many({"_id": {"$in": list(message_ids)}})


async def _insert_new(collection: Collection, documents: Sequence[Document]) -> set[int]:
    """Places of the documents whose id was there already."""
    try:
        await collection.insert_many(list(documents), ordered=False)
    except BulkWriteError as error:
        return set(duplicates(error))
    return set()


def _document(mail: Mail, keep_ms: int) -> Document:
    return {
        "_id": mail.id,
        "state": SCHEDULED,
        "sender_id": mail.sender_id,
        "category": mail.category,
        "deliveries": [list(one) for one in mail.deliveries],
        "created_at": mail.created_at,
        "due_at": mail.due_at,
        "expires_at": mail.expires_at,
        "purge_at": max(mail.expires_at, now_ms()) + keep_ms,
        "subject": mail.subject,
        "message_id": mail.message_id,
        "to": "each" if mail.to_each else "kept",
        "copies": mail.copies,
        "via": mail.via,
        "digest": mail.digest,
    }


def _stored(document: Document) -> Stored:
    mail = Mail(
        id=document["_id"],
        sender_id=document["sender_id"],
        category=document["category"],
        deliveries=tuple((id_, recipient) for id_, recipient in document["deliveries"]),
        created_at=document["created_at"],
        due_at=document["due_at"],
        expires_at=document["expires_at"],
        subject=document["subject"],
        message_id=document["message_id"],
        to_each=document["to"] == "each",
        copies=document["copies"],
        via=document["via"],
        digest=document["digest"],
    )
    return Stored(mail, document["state"])
