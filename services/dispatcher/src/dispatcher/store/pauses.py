"""Paused factors: one document each, kept when it is resumed, so that old evidence stays old."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pymongo.errors import DuplicateKeyError

from dispatcher.domain.blast_radius import Factor, Kind, Suspect
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.campaigns import FactorPaused, FactorResumed
from postfleet.instants import from_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events

ACTIVE, ENDED = "active", "ended"
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Pause:
    """`resumed_at` is 0 while it lasts."""

    factor: Factor
    state: str
    trouble: str
    reason: str
    senders: tuple[str, ...]
    paused_at: int
    resumed_at: int


class Pauses:
    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.collection, "state")

    async def pause(self, suspect: Suspect, now: int) -> bool:
        """False if it is paused already: whoever comes second says nothing."""
        document = _document(suspect, now)
        told = Announcement(_paused(suspect, now), derived_id(suspect.factor.id, now, "paused"))
        try:
            fresh = {"_id": suspect.factor.id, **document, "resumed_at": 0}
            await self.collection.insert_one(with_events(fresh, [told]))
        except DuplicateKeyError:
            guard = {"_id": suspect.factor.id, "state": ENDED}
            update = update_with_events({"$set": document}, [told])
            return bool((await self.collection.update_one(guard, update)).modified_count)
        return True

    async def resume(self, id_: str, now: int) -> bool:
        """False if it is not paused."""
        found = await self.get(id_)
        if found is None or found.state != ACTIVE:
            return False
        event = FactorResumed(
            occurred_at=from_ms(now),
            factor_id=id_,
            kind=found.factor.kind.value,
            value=found.factor.value,
        )
        told = Announcement(event, derived_id(id_, found.paused_at, "resumed"))
        update = {"$set": {"state": ENDED, "resumed_at": now}}
        guard = {"_id": id_, "state": ACTIVE, "paused_at": found.paused_at}
        result = await self.collection.update_one(guard, update_with_events(update, [told]))
        return bool(result.modified_count)

    async def get(self, id_: str) -> Pause | None:
        document = await self.collection.find_one({"_id": id_})
        return _pause(document) if document else None

    async def active(self) -> Mapping[Factor, Pause]:
        found = self.collection.find({"state": ACTIVE}).limit(_MOST)
        pauses = [_pause(document) async for document in found]
        return {pause.factor: pause for pause in pauses}

    async def resumed(self, factors: Iterable[Factor]) -> Mapping[Factor, int]:
        """When each of these was resumed; those that never were are left out."""
        ids = [factor.id for factor in factors]
        found = self.collection.find({"_id": {"$in": ids}}).limit(len(ids) + 1)
        pauses = [_pause(document) async for document in found]
        return {pause.factor: pause.resumed_at for pause in pauses if pause.resumed_at}

    async def page(self, after: str | None, limit: int) -> list[Pause]:
        query = {"_id": {"$gt": after}} if after else {}
        found = self.collection.find(query).sort("_id", 1).limit(limit)
        return [_pause(document) async for document in found]


def _paused(suspect: Suspect, now: int) -> FactorPaused:
    return FactorPaused(
        occurred_at=from_ms(now),
        factor_id=suspect.factor.id,
        kind=suspect.factor.kind.value,
        value=suspect.factor.value,
        trouble=suspect.trouble.value,
        senders=suspect.senders,
        reason=suspect.reason,
    )


def _document(suspect: Suspect, now: int) -> Document:
    return {
        "state": ACTIVE,
        "kind": suspect.factor.kind.value,
        "value": suspect.factor.value,
        "trouble": suspect.trouble.value,
        "reason": suspect.reason,
        "senders": json.dumps(suspect.senders),
        "paused_at": now,
    }


def _pause(document: Document) -> Pause:
    return Pause(
        Factor(Kind(document["kind"]), document["value"]),
        document["state"],
        document["trouble"],
        document["reason"],
        tuple(json.loads(document["senders"])),
        document["paused_at"],
        document["resumed_at"] if document["state"] == ENDED else 0,
    )
