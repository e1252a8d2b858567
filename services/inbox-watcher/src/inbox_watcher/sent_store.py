"""What was sent, so that what comes back can be matched."""

from collections.abc import Iterable
from dataclasses import asdict

from pymongo import UpdateOne

from inbox_watcher.domain.evidence import NEIGHBOUR_MS, NEIGHBOURS
from inbox_watcher.domain.matching import Sent
from inbox_watcher.inserting import insert_new
from postfleet.mongo import Collection, Document, ensure_indexes

_RECENT = 5  # mails to one address that the fallback looks at
_MOST = 10_000  # mails to one address
_THREAD = 500  # mails of one subject that the last fallback looks at


class SentStore:
    """`_id` = Message-ID without angle brackets."""

    def __init__(self, collection: Collection) -> None:
        self._sent = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._sent, "recipient", "sent_at", "sender_id", "thread", "delivery_id"
        )
        await self._sent.create_index([("sender_id", 1), ("sent_at", 1)])

    async def add(self, mails: Iterable[Sent]) -> None:
        """Remember mails; one that was in doubt becomes certain, others stay as they are."""
        known = await insert_new(self._sent, [_sent_document(mail) for mail in mails])
        known = await self._without_siblings(known)
        writes = [
            UpdateOne({"_id": mail["_id"], "certain": 0}, {"$set": _without_id(mail)})
            for mail in known
            if mail["certain"]
        ]
        if writes:
            await self._sent.bulk_write(writes, ordered=False)

    async def _without_siblings(self, known: list[Document]) -> list[Document]:
        """A mail that was handed in for several people has one Message-ID in all its deliveries: the
        others are kept under a name of their own, which no mail can have, and found by address."""
        if not known:
            return []
        ids = [document["_id"] for document in known]
        cursor = self._sent.find({"_id": {"$in": ids}}, {"recipient": 1}).limit(len(ids))
        owners = {document["_id"]: document["recipient"] async for document in cursor}
        same = [d for d in known if owners.get(d["_id"], d["recipient"]) == d["recipient"]]
        others = [d for d in known if d not in same]
        return same + await insert_new(
            self._sent, [{**d, "_id": f"{d['_id']} {d['delivery_id']}"} for d in others]
        )

    async def neighbours(self, sender_id: str, at: int, before: int) -> list[str]:
        """Message-IDs of accepted mails of this sender around `at`, sent before `before` (epoch ms)."""
        accepted = {"sender_id": sender_id, "certain": 1}
        earlier = {"$gte": at - NEIGHBOUR_MS, "$lt": min(at, before)}
        later = {"$gte": at, "$lt": min(at + NEIGHBOUR_MS, before)}
        found = []
        for window, direction in ((earlier, -1), (later, 1)):
            cursor = self._sent.find({**accepted, "sent_at": window}, {"_id": 1})
            found += [d["_id"] async for d in cursor.sort("sent_at", direction).limit(NEIGHBOURS)]
        return found

    async def by_message_ids(self, ids: Iterable[str]) -> dict[str, Sent]:
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        query = {"_id": {"$in": wanted}}
        found = [d async for d in self._sent.find(query).limit(len(wanted))]
        return {document["_id"]: _sent(document) for document in found}

    async def by_delivery_ids(self, ids: Iterable[str]) -> dict[str, Sent]:
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        query = {"delivery_id": {"$in": wanted}}
        found = [d async for d in self._sent.find(query).limit(len(wanted))]
        return {document["delivery_id"]: _sent(document) for document in found}

    async def recent_to(self, addresses: Iterable[str], sender_id: str, before: int) -> list[Sent]:
        """The last few mails from this sender to each address that were sent before `before`."""
        found: list[Document] = []
        for address in addresses:
            query = {
                "recipient": address.lower(),
                "sender_id": sender_id,
                "sent_at": {"$lt": before},
            }
            cursor = self._sent.find(query).sort("sent_at", -1).limit(_RECENT)
            found += [document async for document in cursor]
        return [_sent(document) for document in found]

    async def of_thread(self, thread: str) -> list[Sent]:
        """Mails of one sender and subject, if they are few: many have that subject in a campaign."""
        if not thread:
            return []
        found = [d async for d in self._sent.find({"thread": thread}).limit(_THREAD + 1)]
        return [_sent(document) for document in found] if len(found) <= _THREAD else []

    async def to(self, address: str) -> list[str]:
        """The deliveries of all mails to an address."""
        cursor = self._sent.find({"recipient": address.lower()}, {"delivery_id": 1})
        return [document["delivery_id"] async for document in cursor.limit(_MOST)]

    async def erase(self, address: str) -> None:
        await self._sent.delete_many({"recipient": address.lower()})

    async def forget(self, before: int) -> None:
        await self._sent.delete_many({"sent_at": {"$lt": before}})


def _sent_document(mail: Sent) -> Document:
    document = asdict(mail)
    changed = {
        "recipient": mail.recipient.lower(),
        "certain": int(mail.certain),
        "warmup": int(mail.warmup),
        "thread": mail.thread,
    }
    return {"_id": document.pop("message_id"), **document, **changed}


def _without_id(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "_id"}


def _sent(document: Document) -> Sent:
    return Sent(
        message_id=document["_id"].partition(" ")[0],
        delivery_id=document["delivery_id"],
        sender_id=document["sender_id"],
        recipient=document["recipient"],
        sent_at=document["sent_at"],
        campaign_id=document.get("campaign_id"),
        step=document.get("step"),
        variant=document.get("variant"),
        lead_id=document.get("lead_id"),
        subject=document.get("subject", ""),
        certain=bool(document.get("certain", 1)),
        warmup=bool(document.get("warmup", 0)),
    )
