"""Mails of their own, kept in packs: what was taken in together is one document, and one write.

A mail is named by its pack, and its place there if it is not alone: that is the `lead_id` of its
deliveries.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pymongo.errors import BulkWriteError

from dispatcher.domain.identity import person_of
from dispatcher.domain.mail import Mail
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, duplicates, ensure_indexes

SCHEDULED, PLANNED, CANCELED = "scheduled", "planned", "canceled"
_OPENED = 8  # packs whose contents stay in memory: batches read many mails of the same one


@dataclass(frozen=True, slots=True)
class Pack:
    """`state` holds for all of its mails."""

    id: str
    mails: tuple[Mail, ...]
    state: str = SCHEDULED

    @property
    def by_name(self) -> dict[str, Mail]:
        """Its mails by the names of their deliveries' lead."""
        if len(self.mails) == 1:
            return {self.id: self.mails[0]}
        return {f"{self.id}.{place}": mail for place, mail in enumerate(self.mails)}


@dataclass(frozen=True, slots=True)
class Stored:
    """A mail and how far it is."""

    mail: Mail
    state: str


class Messages:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._opened: OrderedDict[str, asyncio.Task[list[bytes]]] = OrderedDict()

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "state", "due_at", "purge_at")

    async def insert(
        self, packs: Sequence[tuple[Pack, Sequence[bytes]]], keep_ms: int
    ) -> Sequence[bool]:
        """Durable when this returns; False for an id that was there already."""
        documents = [_document(pack, contents, keep_ms) for pack, contents in packs]
        known: set[int] = set()
        try:
            await self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            known = set(duplicates(error))
        return [place not in known for place in range(len(packs))]

    async def get(self, name: str) -> Stored | None:
        return (await self.get_many([name])).get(name)

    async def get_many(self, names: Iterable[str]) -> Mapping[str, Stored]:
        wanted = set(names)
        ids = list({_pack_id(name) for name in wanted})
        found = self._collection.find({"_id": {"$in": ids}}, {"contents": 0})
        return {
            name: Stored(mail, pack.state)
            async for pack in _packs(found.limit(max(1, len(ids))))
            for name, mail in pack.by_name.items()
            if name in wanted
        }

    async def content(self, name: str) -> bytes | None:
        """None once it was removed."""
        id_ = _pack_id(name)
        if id_ not in self._opened:
            self._opened[id_] = asyncio.create_task(self._contents(id_))
            while len(self._opened) > _OPENED:
                self._opened.popitem(last=False)
        reading = self._opened[id_]
        try:
            contents = await asyncio.shield(reading)
        finally:
            if not reading.done() or reading.cancelled() or reading.exception():
                self._opened.pop(id_, None)
        place = int(name.partition(".")[2] or 0)
        return contents[place] if place < len(contents) else None

    async def _contents(self, id_: str) -> list[bytes]:
        document = await self._collection.find_one({"_id": id_}, {"contents": 1})
        return [bytes(content) for content in document["contents"]] if document else []

    async def due(self, now: int, limit: int) -> list[Pack]:
        """Packs whose time has come, oldest first."""
        query = {"state": SCHEDULED, "due_at": {"$lte": now}}
        found = self._collection.find(query, {"contents": 0}).sort("due_at", 1)
        return [pack async for pack in _packs(found.limit(limit))]

    async def waiting_for(self, person: str, limit: int) -> list[Mail]:
        """Mails to a person whose time has not come; looks at `limit` of them, the next ones first."""
        found = self._collection.find({"state": SCHEDULED}, {"contents": 0}).sort("due_at", 1)
        return [
            mail
            async for pack in _packs(found.limit(limit))
            for mail in pack.mails
            if any(person_of(recipient) == person for _, recipient in mail.deliveries)
        ]

    async def planned(self, names: Iterable[str]) -> None:
        """From now on they cannot be canceled."""
        ids = list({_pack_id(name) for name in names})
        await self._collection.update_many(
            {"_id": {"$in": ids}, "state": SCHEDULED}, {"$set": {"state": PLANNED}}
        )

    async def cancel(self, name: str) -> bool:
        """Whether it was still to be had."""
        result = await self._collection.update_one(
            {"_id": name, "state": SCHEDULED}, {"$set": {"state": CANCELED}}
        )
        return bool(result.modified_count)

    async def old(self, now: int, limit: int) -> list[Pack]:
        """What has been kept long enough, if nothing of it is open."""
        found = self._collection.find({"purge_at": {"$lte": now}}, {"contents": 0})
        return [pack async for pack in _packs(found.limit(limit))]

    async def keep(self, pack_ids: Sequence[str], until: int) -> None:
        await self._collection.update_many(
            {"_id": {"$in": list(pack_ids)}}, {"$set": {"purge_at": until}}
        )

    async def remove(self, pack_ids: Sequence[str]) -> None:
        await self._collection.delete_many({"_id": {"$in": list(pack_ids)}})


def _pack_id(name: str) -> str:
    return name.partition(".")[0]


async def _packs(found: Collection) -> Collection:
    async for document in found:
        yield _pack(document)


def _document(pack: Pack, contents: Sequence[bytes], keep_ms: int) -> Document:
    return {
        "_id": pack.id,
        "state": pack.state,
        "due_at": max(mail.due_at for mail in pack.mails),
        "purge_at": max(now_ms(), *(mail.expires_at for mail in pack.mails)) + keep_ms,
        "mails": [_row(mail) for mail in pack.mails],
        "contents": list(contents),
    }


def _row(mail: Mail) -> list[object]:
    """Positions, not names: a list of documents is none of the portable dialect."""
    return [
        mail.id,
        mail.sender_id,
        mail.category,
        [list(one) for one in mail.deliveries],
        mail.created_at,
        mail.due_at,
        mail.expires_at,
        mail.subject,
        mail.message_id,
        "each" if mail.to_each else "kept",
        mail.copies,
        mail.via,
        mail.digest,
        mail.template,
    ]


def _pack(document: Document) -> Pack:
    return Pack(document["_id"], tuple(_mail(*row) for row in document["mails"]), document["state"])


def _mail(
    id_: str,
    sender_id: str,
    category: str,
    deliveries: list[list[str]],
    created_at: int,
    due_at: int,
    expires_at: int,
    subject: str,
    message_id: str,
    to: str,
    copies: int,
    via: str,
    digest: str,
    template: str = "",  # rows of older versions have none
) -> Mail:
    return Mail(
        id=id_,
        sender_id=sender_id,
        category=category,
        deliveries=tuple((delivery, recipient) for delivery, recipient in deliveries),
        created_at=created_at,
        due_at=due_at,
        expires_at=expires_at,
        subject=subject,
        message_id=message_id,
        to_each=to == "each",
        copies=copies,
        via=via,
        digest=digest,
        template=template,
    )
