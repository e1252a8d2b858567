"""A state and its events in one atomic document write, and the relay that announces them.

A document with events to say carries `outbox: {event id: {subject, body, order}}`, their number in
`outbox_size` and the time of the write in `outbox_at`. A map, because adding and clearing an entry
twice is then harmless; a number, because it can be indexed. The time has no index: nearly every
document was written before now, and the embedded server would look at all of them. `order` tells in
which order events were said: MongoDB adds the fields of one update by name.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import OperationFailure, PyMongoError

from postfleet import metrics
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement, Unreadable, parse
from postfleet.failpoints import reach
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.tasks import end

log = logging.getLogger(__name__)

_SWEEP_EVERY = 2.0  # seconds
_GRACE_MS = 3000  # the writer itself announces first; the sweep finds what it left
_BATCH = 500
_COUNTED = 100_000  # documents at most, for the gauge


def _entries(announcements: Iterable[Announcement]) -> dict[str, Document]:
    first = now_ms() * 1000
    return {
        a.id: {"subject": a.subject, "body": a.body().decode(), "order": first + place}
        for place, a in enumerate(announcements)
    }


def with_events(document: Document, announcements: Iterable[Announcement]) -> Document:
    """A new document that carries its events: for inserts."""
    entries = _entries(announcements)
    return {**document, "outbox": entries, "outbox_size": len(entries), "outbox_at": now_ms()}


def update_with_events(update: Document, announcements: Iterable[Announcement]) -> Document:
    """An update (`$set`, `$inc`, …) that also adds these events."""
    entries = _entries(announcements)
    if not entries:
        return update
    merged = {operator: dict(fields) for operator, fields in update.items()}
    changes = merged.setdefault("$set", {})
    for id_, entry in entries.items():
        changes[f"outbox.{id_}"] = entry
    changes["outbox_at"] = now_ms()
    increments = merged.setdefault("$inc", {})
    increments["outbox_size"] = increments.get("outbox_size", 0) + len(entries)
    return merged


def _announcements(document: Document) -> list[Announcement]:
    """What the document has to say, in order; what only newer code understands is left to it."""
    found = []
    entries = (document.get("outbox") or {}).items()
    for id_, entry in sorted(entries, key=lambda item: int(item[1].get("order", 0))):
        body = entry["body"].encode()
        try:
            found.append(Announcement(parse(entry["subject"], {}, body), id_, body))
        except Unreadable as error:
            log.error("event %s of %s cannot be announced: %s", id_, document["_id"], error)
    return found


class OutboxRelay:
    """Announces the events of one collection: `wake` right after a write, the sweep after a crash.

    `one_event`: its documents are inserted with one event and never get another. They are cleared many
    at a time, which costs a third.
    """

    def __init__(self, collection: Collection, bus: Bus, *, one_event: bool = False) -> None:
        self._collection = collection
        self._bus = bus
        self._one_event = one_event
        self._pending = metrics.outbox_pending.labels(bus.service, collection.name)
        self._urgent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await ensure_indexes(self._collection, "outbox_size")
        with contextlib.suppress(OperationFailure):  # there is none: it is of an older version
            await self._collection.drop_index([("outbox_at", 1)])
        self._task = asyncio.create_task(self._run(), name=f"outbox {self._collection.name}")

    async def stop(self) -> None:
        """Announce what is there, then end; what cannot be said now is said after the next start."""
        if self._task is None:
            return
        await end(self._task)
        if not self._bus.connected:
            return
        try:
            await self.sweep(grace_ms=0)
        except PyMongoError as error:
            log.warning("outbox left as it is: %s", error)

    def wake(self) -> None:
        """Say soon that something was written; costs nothing and may be called any time."""
        self._urgent.set()

    async def announce(self, document_id: Any, announcements: Iterable[Announcement]) -> None:
        """Publish now what was just written with `document_id`, and clear it."""
        await self._publish([(document_id, announcement) for announcement in announcements])

    async def sweep(self, grace_ms: int = _GRACE_MS) -> int:
        """Announce what was written `grace_ms` ago or earlier; returns how many events."""
        told = 0
        while True:
            query = {"outbox_size": {"$gt": 0}, "outbox_at": {"$lte": now_ms() - grace_ms}}
            documents = [d async for d in self._collection.find(query).limit(_BATCH)]
            pairs = [(d["_id"], said) for d in documents for said in _announcements(d)]
            self._pending.set(len(pairs))
            if not pairs:
                return told
            confirmed = await self._publish(pairs)
            told += confirmed
            if not confirmed:
                self._pending.set(await self._depth())
                return told
            if confirmed == len(pairs) and len(documents) < _BATCH:
                self._pending.set(0)
                return told  # these were all; who wrote meanwhile wakes us again

    async def _depth(self) -> int:
        """How many events wait in all: looked at when they do not go out."""
        pipeline = [
            {"$match": {"outbox_size": {"$gt": 0}}},
            {"$limit": _COUNTED},
            {"$group": {"_id": "", "n": {"$sum": "$outbox_size"}}},
        ]
        return sum([int(row["n"]) async for row in self._collection.aggregate(pipeline)])

    async def _publish(self, pairs: list[tuple[Any, Announcement]]) -> int:
        reach("outbox-before-publish")
        failed = await self._bus.publish_each(announcement for _, announcement in pairs)
        if failed:
            reason = next(iter(failed.values()))
            log.warning("%d events are not announced yet: %r", len(failed), reason)
        reach("outbox-after-publish")
        said = [(document_id, a) for document_id, a in pairs if a.id not in failed]
        if said:
            await (self._clear_whole(said) if self._one_event else self._clear(said))
        return len(said)

    async def _clear_whole(self, said: list[tuple[Any, Announcement]]) -> None:
        ids = [document_id for document_id, _ in said]
        cleared = {"$set": {"outbox": {}, "outbox_size": 0}}
        await self._collection.update_many({"_id": {"$in": ids}}, cleared)

    async def _clear(self, said: list[tuple[Any, Announcement]]) -> None:
        """Clear these events; what was added meanwhile stays."""
        cleared = [
            UpdateOne(
                {"_id": document_id, f"outbox.{a.id}": {"$exists": True}},
                {"$unset": {f"outbox.{a.id}": ""}, "$inc": {"outbox_size": -1}},
            )
            for document_id, a in said
        ]
        await self._collection.bulk_write(cleared, ordered=False)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_EVERY):
                    await self._urgent.wait()
            grace_ms = 0 if self._urgent.is_set() else _GRACE_MS
            self._urgent.clear()
            try:
                await self.sweep(grace_ms)
            except PyMongoError as error:
                log.warning("outbox sweep failed, tried again soon: %s", error)
            except Exception:  # whatever it is, the relay goes on: silence would be loss
                log.exception("outbox sweep failed, tried again soon")
