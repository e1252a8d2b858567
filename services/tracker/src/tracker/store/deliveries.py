"""One document for each mail that was sent: what places its hits, and its entry in the timeline."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from pymongo import ReplaceOne

from postfleet.mongo import Collection, Database, Document, ensure_indexes
from tracker.domain.deliveries import Delivery
from tracker.domain.timeline import Entry
from tracker.store.timelines import entry_document
from tracker.store.writing import insert_new

_ACCEPTED, _UNKNOWN = "accepted", "unknown"
_ENTRY = "entry"


class DeliveryStore:
    def __init__(self, database: Database) -> None:
        self._deliveries: Collection = database.deliveries

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._deliveries, "address", "sent_ms")

    async def accept(self, told: Sequence[tuple[Delivery, Entry]]) -> None:
        """Keep deliveries; the first word on one stays, unless it was that nobody knows."""
        documents = [delivery_document(delivery, entry) for delivery, entry in told]
        if await insert_new(self._deliveries, documents):
            doubted = [
                ReplaceOne({"_id": d["_id"], "outcome": _UNKNOWN}, d, upsert=False)
                for d in {d["_id"]: d for d in reversed(documents)}.values()
            ]
            await self._deliveries.bulk_write(doubted, ordered=False)

    async def doubt(self, deliveries: Sequence[Delivery]) -> None:
        """Keep deliveries whose outcome is unknown; their hits are evidence that they arrived."""
        await insert_new(self._deliveries, [delivery_document(delivery) for delivery in deliveries])

    async def find(self, ids: Iterable[str]) -> dict[str, Delivery]:
        """The deliveries that are known, by id."""
        wanted = sorted(set(ids))
        found = self._deliveries.find({"_id": {"$in": wanted}}).limit(len(wanted) + 1)
        return {document["_id"]: _delivery(document) async for document in found}

    async def page(self, address: str, after: str, limit: int) -> list[Document]:
        """Timeline entries of accepted mails to an address, as the timelines have the others."""
        query = {"address": address, "order": {"$gt": after}}
        found = self._deliveries.find(query).sort("order", 1).limit(limit)
        return [_entry(document) async for document in found]

    async def latest(self, limit: int) -> list[Document]:
        """Timeline entries of the mails that were accepted last."""
        found = self._deliveries.find({}).sort("sent_ms", -1).limit(limit)
        return [_entry(document) async for document in found if _ENTRY in document]


def delivery_document(delivery: Delivery, entry: Entry | None = None) -> Document:
    facts = {key: value for key, value in asdict(delivery).items() if value is not None}
    document = {"_id": facts.pop("delivery_id"), **facts, "address": delivery.recipient.lower()}
    if entry is None:
        return {**document, "outcome": _UNKNOWN, "order": ""}
    of_timeline = entry_document(entry)
    details = {k: v for k, v in entry.details.items() if k not in facts and k != "delivery_id"}
    kept = {"event": entry.event, "details": details}
    return {
        **document,
        "outcome": _ACCEPTED,
        "order": of_timeline["order"],
        _ENTRY: {"id": entry.id, **kept},
    }


_FIELDS = tuple(name for name in Delivery.__slots__ if name != "delivery_id")


def _delivery(document: Document) -> Delivery:
    facts = {name: document[name] for name in _FIELDS if name in document}
    return Delivery(delivery_id=document["_id"], **facts)


def _entry(document: Document) -> Document:
    entry = document[_ENTRY]
    shared = ("campaign_id", "step", "variant", "sender_id", "message_id")
    facts = {name: document[name] for name in shared if name in document}
    return {
        "_id": entry["id"],
        "address": document["address"],
        "event": entry["event"],
        "at_ms": document["sent_ms"],
        "order": document["order"],
        "details": {"delivery_id": document["_id"], **facts, **entry["details"]},
    }
