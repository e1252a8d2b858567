"""A state and its events in one atomic document write, and the relay that announces them.

A document with events to say carries `outbox: {event id: {subject, body}}`, their number in
`outbox_size` and the time of the write in `outbox_at`. A map, because adding and clearing an entry
twice is then harmless; a number, because it can be indexed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

import orjson
from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from postfleet import metrics
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events import EVENTS
from postfleet.failpoints import reach
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes

log = logging.getLogger(__name__)

_SWEEP_EVERY = 2.0  # seconds
_GRACE_MS = 3000  # the writer itself announces first; the sweep finds what it left
_BATCH = 500


def _entry(announcement: Announcement) -> Document:
    return {"subject": announcement.subject, "body": announcement.body().decode()}


def with_events(document: Document, announcements: Iterable[Announcement]) -> Document:
    """A new document that carries its events: for inserts."""
    entries = {a.id: _entry(a) for a in announcements}
    return {**document, "outbox": entries, "outbox_size": len(entries), "outbox_at": now_ms()}


def update_with_events(update: Document, announcements: Iterable[Announcement]) -> Document:
    """An update (`$set`, `$inc`, …) that also adds these events."""
    entries = list(announcements)
    if not entries:
        return update
    merged = {operator: dict(fields) for operator, fields in update.items()}
    changes = merged.setdefault("$set", {})
    for announcement in entries:
        changes[f"outbox.{announcement.id}"] = _entry(announcement)
    changes["outbox_at"] = now_ms()
    increments = merged.setdefault("$inc", {})
    increments["outbox_size"] = increments.get("outbox_size", 0) + len(entries)
    return merged


def _announcement(id_: str, entry: Document) -> Announcement:
    event = EVENTS[entry["subject"]].model_validate(orjson.loads(entry["body"]))
    return Announcement(event, id_)


class OutboxRelay:
    """Announces the events of one collection: `wake` right after a write, the sweep after a crash."""

    def __init__(self, collection: Collection, bus: Bus) -> None:
        self._collection = collection
        self._bus = bus
        self._urgent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await ensure_indexes(self._collection, "outbox_size", "outbox_at")
        self._task = asyncio.create_task(self._run(), name=f"outbox {self._collection.name}")

    async def stop(self) -> None:
        """Announce what is there, then end; what cannot be said now is said after the next start."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
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
            pairs = [
                (document["_id"], _announcement(id_, entry))
                for document in documents
                for id_, entry in (document.get("outbox") or {}).items()
            ]
            metrics.outbox_pending.labels(self._bus.service).set(len(pairs))
            if not pairs:
                return told
            confirmed = await self._publish(pairs)
            told += confirmed
            if not confirmed:
                return told

    async def _publish(self, pairs: list[tuple[Any, Announcement]]) -> int:
        reach("outbox-before-publish")
        failed = await self._bus.publish_each(announcement for _, announcement in pairs)
        reach("outbox-after-publish")
        cleared = [
            UpdateOne(
                {"_id": document_id, f"outbox.{a.id}": {"$exists": True}},
                {"$unset": {f"outbox.{a.id}": ""}, "$inc": {"outbox_size": -1}},
            )
            for document_id, a in pairs
            if a.id not in failed
        ]
        if cleared:
            await self._collection.bulk_write(cleared, ordered=False)
        return len(cleared)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), _SWEEP_EVERY)
            grace_ms = 0 if self._urgent.is_set() else _GRACE_MS
            self._urgent.clear()
            try:
                await self.sweep(grace_ms)
            except PyMongoError as error:
                log.warning("outbox sweep failed, tried again soon: %s", error)
