"""All that the tracker keeps about a person: to show it, and to remove it."""

from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Database, Document
from postfleet.outbox import with_events
from tracker.store.writing import insert_new

_CHUNK = 500


class PeopleStore:
    def __init__(self, database: Database) -> None:
        self.erasures: Collection = database.erasures  # the outbox of `person.erased`
        self._erased: Collection = database.erased
        self._deliveries: Collection = database.deliveries
        self._timelines: Collection = database.timelines
        self._hits: Collection = database.hits
        self._firsts: Collection = database.firsts
        self._messages: Collection = database.webhook_messages

    async def order_erasure(self, event: Announcement) -> None:
        """Keep the event until it is said; the document itself names nobody once it is."""
        await insert_new(
            self.erasures, [with_events({"_id": event.id, "at_ms": now_ms()}, [event])]
        )

    async def everything(self, address: str, limit: int) -> dict[str, list[Document]]:
        """Up to `limit` deliveries, timeline entries and hits of a person."""
        by_address = {"address": address}
        deliveries = [d async for d in self._deliveries.find(by_address).limit(limit)]
        entries = [d async for d in self._timelines.find(by_address).limit(limit)]
        ids = [d["_id"] for d in deliveries]
        found = self._hits.find({"delivery_id": {"$in": ids}}).limit(limit)
        hits = [{k: v for k, v in h.items() if not k.startswith("outbox")} async for h in found]
        return {"deliveries": deliveries, "timeline": entries, "hits": hits}

    async def erase(self, address: str) -> None:
        """Remove it all; repeating it is harmless. Only the ids of the deliveries stay."""
        await self._timelines.delete_many({"address": address})
        while True:
            found = self._deliveries.find({"address": address}).limit(_CHUNK)
            ids = [document["_id"] async for document in found]
            if not ids:
                return
            await insert_new(self._erased, [{"_id": id_} for id_ in ids])
            for collection, field in ((self._hits, "delivery_id"), (self._messages, "key")):
                await collection.delete_many({field: {"$in": ids}})
            firsts = [f"{id_}:{kind}" for id_ in ids for kind in ("opened", "clicked")]
            await self._firsts.delete_many({"_id": {"$in": firsts}})
            await self._deliveries.delete_many({"_id": {"$in": ids}})

    async def forget(self, before_ms: int) -> None:
        """Remove deliveries, timeline entries and hits that are older; the figures stay."""
        for collection, field in (
            (self._hits, "at_ms"),
            (self._timelines, "at_ms"),
            (self._deliveries, "sent_ms"),
        ):
            await collection.delete_many({field: {"$lt": before_ms}})

    async def erased(self, delivery_ids: list[str]) -> set[str]:
        """Those of the deliveries that were removed: their hits are nobody's."""
        if not delivery_ids:
            return set()
        found = self._erased.find({"_id": {"$in": delivery_ids}}).limit(len(delivery_ids) + 1)
        return {document["_id"] async for document in found}
