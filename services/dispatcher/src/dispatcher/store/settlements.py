"""Settlements: what the servers said, one document per batch and group commit. They are the outbox:
a new one is announced (events, rows) and then marked."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter

from dispatcher.domain.ledger import Batch, Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.store.packed import packed, unpacked
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes

NEW, ANNOUNCED = "new", "announced"
UNSAYABLE = "unsayable"  # no event can carry it: kept for people, by nobody waited for

Place = tuple[int, str]  # when it was written, and its id


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settled deliveries of one batch, as they were written together."""

    id: str
    batch_id: str
    origin: Origin
    settled: tuple[Settled, ...]


def settlement(batch: Batch, settled: Sequence[Settled]) -> Settlement:
    return Settlement(f"{batch.id}:{uuid.uuid4().hex[:12]}", batch.id, batch.origin, tuple(settled))


class Settlements:
    def __init__(self, collection: Collection, relaxed: Collection | None = None) -> None:
        self._collection = collection
        self._relaxed = collection if relaxed is None else relaxed

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "state", "at", "batch_id")

    async def insert(self, settlements: Sequence[Settlement]) -> None:
        await self._collection.insert_many([_document(s) for s in settlements], ordered=False)

    async def mark_announced(self, ids: Sequence[str]) -> None:
        await self._relaxed.update_many(
            {"_id": {"$in": list(ids)}, "state": NEW}, {"$set": {"state": ANNOUNCED}}
        )

    async def set_aside(self, ids: Sequence[str]) -> None:
        await self._collection.update_many(
            {"_id": {"$in": list(ids)}}, {"$set": {"state": UNSAYABLE}}
        )

    async def unannounced(self, before: int, limit: int) -> list[Settlement]:
        found = self._collection.find({"state": NEW, "at": {"$lte": before}}).limit(limit)
        return [_settlement(document) async for document in found]

    async def between(
        self, since: int, until: int, after: Place | None, limit: int
    ) -> list[tuple[Place, Settlement]]:
        """A page of those written in a period, oldest first; `after` is the last place seen."""
        found: list[Document] = []
        start = {"$gte": since}
        if after is not None:
            at, id_ = after
            same = self._collection.find({"at": at, "_id": {"$gt": id_}})
            found = [document async for document in same.sort("_id", 1).limit(limit)]
            start = {"$gt": at}
        if len(found) < limit:
            later = self._collection.find({"at": {**start, "$lt": until}})
            ordered = later.sort([("at", 1), ("_id", 1)]).limit(limit - len(found))
            found += [document async for document in ordered]
        return [((d["at"], d["_id"]), _settlement(d)) for d in found]

    async def of_batch(self, batch_id: str) -> list[Settlement]:
        found = self._collection.find({"batch_id": batch_id}).limit(10_000)
        return [_settlement(document) async for document in found]


def _document(settlement: Settlement) -> Document:
    return {
        "_id": settlement.id,
        "batch_id": settlement.batch_id,
        "state": NEW,
        "at": now_ms(),
        "origin": asdict(settlement.origin),
        "items": packed([_item_document(settled) for settled in settlement.settled]),
    }


_TEXTS = (
    "message_id",
    "author",
    "mail_subject",
    "enhanced_status",
    "reply_text",
    "meaning",
    "fault",
    "phase",
    "reason",
)
_NUMBERS = ("reply_code", "retry_at")
_FLAGS = ("soft_bounce", "same_outage")
_texts, _numbers, _flags = (attrgetter(*names) for names in (_TEXTS, _NUMBERS, _FLAGS))


def _item_document(settled: Settled) -> Document:
    """Only what is there: most settlements are a plain 250."""
    item = settled.item
    document: Document = {
        "item": item.values,
        "outcome": settled.outcome.value,
        "at": settled.at,
    }
    document |= {name: text for name, text in zip(_TEXTS, _texts(settled), strict=True) if text}
    for name, number in zip(_NUMBERS, _numbers(settled), strict=True):
        if number is not None:
            document[name] = number
    if any(flags := _flags(settled)):
        document |= {name: 1 for name, flag in zip(_FLAGS, flags, strict=True) if flag}
    return document


def _settlement(document: Document) -> Settlement:
    return Settlement(
        id=document["_id"],
        batch_id=document["batch_id"],
        origin=Origin(**document["origin"]),
        settled=tuple(_settled(item) for item in unpacked(document["items"])),
    )


def _settled(document: Document) -> Settled:
    fields = dict(document)
    fields["item"] = Item(*fields["item"])
    fields["outcome"] = Outcome(fields["outcome"])
    fields |= {name: bool(fields.get(name)) for name in _FLAGS}
    return Settled(**fields)
