"""The dispatcher's replica of the senders: what the registry announced, newest revision."""

import asyncio
from collections.abc import Sequence

import orjson
from pymongo.errors import DuplicateKeyError

from postfleet.events.senders import SenderSnapshot
from postfleet.mongo import Collection, Document

_LOOK_AGAIN_SECONDS = 0.1


class Senders:
    """Kept in memory too: there are thousands at most, and every plan needs them all."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._known: dict[str, SenderSnapshot] = {}
        self._by_address: dict[str, str] = {}

    async def load(self) -> None:
        """Read what is stored: at start, and again for what another replica has heard."""
        async for document in self._collection.find({}).limit(1_000_000):
            self._keep(_snapshot(document))

    async def fresh(self, sender_id: str) -> SenderSnapshot | None:
        """As it is stored now: before mail goes, what another replica heard counts too."""
        document = await self._collection.find_one({"_id": sender_id})
        if document is not None:
            self._keep(_snapshot(document))
        return self.get(sender_id)

    async def fresh_many(self, sender_ids: Sequence[str]) -> dict[str, SenderSnapshot]:
        """As `fresh`, in one statement."""
        query = {"_id": {"$in": list(sender_ids)}}
        async for document in self._collection.find(query).limit(len(sender_ids)):
            self._keep(_snapshot(document))
        return {id_: known for id_ in sender_ids if (known := self.get(id_)) is not None}

    async def find(self, selectors: tuple[str, ...]) -> list[SenderSnapshot]:
        """As `matching`; asks the database before it says that there is none."""
        found = self.matching(selectors)
        if not found:
            await self.load()
            found = self.matching(selectors)
        return found

    def _keep(self, snapshot: SenderSnapshot) -> None:
        known = self._known.get(snapshot.sender_id)
        if known is None or known.revision < snapshot.revision:
            self._known[snapshot.sender_id] = snapshot
            if not snapshot.deleted:
                self._by_address[snapshot.email_address.lower()] = snapshot.sender_id

    async def apply(self, snapshot: SenderSnapshot) -> bool:
        """Store it unless a newer one is known; returns whether it was newer."""
        fields = {"revision": snapshot.revision, "snapshot": snapshot.model_dump_json()}
        guard = {"_id": snapshot.sender_id, "revision": {"$lt": snapshot.revision}}
        result = await self._collection.update_one(guard, {"$set": fields})
        if not result.matched_count:
            try:
                await self._collection.insert_one({"_id": snapshot.sender_id, **fields})
            except DuplicateKeyError:  # a newer one, or an older one from a replica just now
                result = await self._collection.update_one(guard, {"$set": fields})
                if not result.matched_count:
                    return False
        self._keep(snapshot)
        return True

    def get(self, sender_id: str) -> SenderSnapshot | None:
        return self._known.get(sender_id)

    def named(self, name: str) -> SenderSnapshot | None:
        """By id, or by address in whatever case; a deleted one is not found by its address."""
        if name in self._known:
            return self._known[name]
        sender = self._known.get(self._by_address.get(name.lower(), ""))
        return None if sender is None or sender.deleted else sender

    def all(self) -> list[SenderSnapshot]:
        return list(self._known.values())

    async def awaited(self, selectors: Sequence[str], seconds: float) -> list[str]:
        """The selectors that no sender matches, also after so long: an event may be on its way."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (missing := self._unmatched(selectors)) and loop.time() < end:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            await self.load()
        return missing

    def _unmatched(self, selectors: Sequence[str]) -> list[str]:
        known = set[str]().union(*(_names(s) for s in self._known.values() if not s.deleted))
        return [selector for selector in selectors if selector not in known]

    def matching(self, selectors: tuple[str, ...]) -> list[SenderSnapshot]:
        """The senders that a campaign names: by id, address, domain or tag. Deleted ones are left out."""
        wanted = set(selectors)
        return [
            sender
            for sender in self._known.values()
            if not sender.deleted and wanted & _names(sender)
        ]


def _snapshot(document: Document) -> SenderSnapshot:
    return SenderSnapshot.model_validate(orjson.loads(document["snapshot"]))


def _names(sender: SenderSnapshot) -> set[str]:
    return {sender.sender_id, sender.email_address, sender.domain, *sender.tags}
