"""Whom no campaign may mail: addresses and whole domains, with every reason there is.

`kinds` maps each kind to the time of its newest fact; `size` is their number. Of an erased person only a
keyed hash stays (`_id` = `~<hash>`): it is still recognised, and tells nobody who it was. Of who came back
stays when that was, under a hash too (`_id` = `<<hash>`): events come again, and in any order.
"""

import contextlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from pymongo.errors import DuplicateKeyError

from dispatcher.domain.suppression import Kind
from postfleet.addresses import domain_of
from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events


class StillToBeSaid(Exception):
    """An event of the entry is not announced yet; try again in a moment."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """`entry` is a canonical address, or a domain with an @ before it. `reason` is the first one's."""

    entry: str
    reason: str
    source: str
    created_at: int
    kinds: dict[Kind, int]


class Suppressions:
    def __init__(self, collection: Collection, key: bytes = b"") -> None:
        self.collection = collection
        self._key = key

    def use(self, key: bytes) -> None:
        """The key of the hashes of erased people; known once the database answers."""
        self._key = key

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.collection, "created_at", "entry")

    async def add(
        self,
        entry: str,
        reason: str,
        source: str,
        announcements: Sequence[Announcement] = (),
        kind: Kind = Kind.MANUAL,
        at: int | None = None,
    ) -> bool:
        """False if it was suppressed for this kind of reason already; the first reason stays.

        `at` is when the fact happened; now if nobody says.
        """
        moment = now_ms() if at is None else at
        document = {
            "_id": entry,
            "entry": entry,
            "reason": reason,
            "source": source,
            "created_at": moment,
            "kinds": {kind.value: moment},
            "size": 1,
        }
        try:
            await self.collection.insert_one(with_events(document, announcements))
        except DuplicateKeyError:
            return await self._also(entry, kind, moment, announcements)
        return True

    async def _also(
        self, entry: str, kind: Kind, moment: int, announcements: Sequence[Announcement]
    ) -> bool:
        update = {"$set": {f"kinds.{kind.value}": moment}, "$inc": {"size": 1}}
        guard = {"_id": entry, f"kinds.{kind.value}": {"$exists": False}}
        result = await self.collection.update_one(guard, update_with_events(update, announcements))
        if not result.modified_count:
            older = {"_id": entry, f"kinds.{kind.value}": {"$lt": moment}}
            await self.collection.update_one(older, {"$set": {f"kinds.{kind.value}": moment}})
        return bool(result.modified_count)

    async def remove(self, entry: str) -> bool:
        """Whatever the reasons. Raises StillToBeSaid."""
        return await self._delete({"_id": entry})

    async def lift(self, entry: str, kinds: Iterable[Kind], at: int) -> None:
        """These reasons, as of `at`, hold no more; newer ones and others go on. May be repeated.

        Raises StillToBeSaid.
        """
        await self._returned(entry, at)
        for kind in kinds:
            held = {"_id": entry, f"kinds.{kind.value}": {"$lte": at}}
            if not await self._delete({**held, "size": 1}):
                update = {"$unset": {f"kinds.{kind.value}": ""}, "$inc": {"size": -1}}
                await self.collection.update_one({**held, "size": {"$gt": 1}}, update)

    async def _returned(self, entry: str, at: int) -> None:
        id_ = self._hash(entry, "<")
        document = {"_id": id_, "entry": "", "returned_at": at}
        with contextlib.suppress(DuplicateKeyError):
            await self.collection.insert_one(with_events(document, ()))
            return
        older = {"_id": id_, "returned_at": {"$lt": at}}
        await self.collection.update_one(older, {"$set": {"returned_at": at}})

    async def has_returned(self, entry: str, since: int) -> bool:
        """The person came back then or later: what they had decided before holds no more."""
        query = {"_id": self._hash(entry, "<"), "returned_at": {"$gte": since}}
        return await self.collection.find_one(query) is not None

    async def _delete(self, query: Document) -> bool:
        """The document is also the outbox of its events: it goes when they are said."""
        result = await self.collection.delete_one({**query, "outbox_size": 0})
        if not result.deleted_count and await self.collection.find_one(query) is not None:
            raise StillToBeSaid(query["_id"])
        return bool(result.deleted_count)

    async def forget(self, entry: str) -> None:
        """Keep no more than a keyed hash. May be repeated. Raises StillToBeSaid."""
        known = await self.collection.find_one({"_id": entry})
        if known is None:
            return
        kept = {name: known[name] for name in ("reason", "created_at", "kinds", "size")}
        document = {**kept, "_id": self._hash(entry), "source": "", "entry": ""}
        with contextlib.suppress(DuplicateKeyError):  # a rerun
            await self.collection.insert_one(with_events(document, ()))
        await self._delete({"_id": entry})

    def _hash(self, entry: str, mark: str = "~") -> str:
        return mark + hmac.digest(self._key, entry.encode(), sha256).hex()

    async def of(self, addresses: Iterable[str]) -> dict[str, str]:
        """address -> reason, for those that are suppressed themselves or by their domain."""
        wanted = set(addresses)
        known = {address: self._names(address) for address in wanted}
        ids = list({name for names in known.values() for name in names})
        found = self.collection.find({"_id": {"$in": ids}}).limit(len(ids) or 1)
        reasons = {document["_id"]: document["reason"] async for document in found}
        return {
            address: reason
            for address, names in known.items()
            if (reason := next((reasons[name] for name in names if name in reasons), ""))
        }

    def _names(self, address: str) -> tuple[str, str, str]:
        return address, f"@{domain_of(address)}", self._hash(address)

    async def page(
        self, after: str | None, limit: int, kind: Kind | None = None, prefix: str = ""
    ) -> list[Suppression]:
        """In the order of the entries; domains begin with an @. The erased are not shown."""
        between: Document = {"$gt": after or ""}
        if prefix:
            first = between if after else {"$gte": prefix}
            between = {**first, "$lt": f"{prefix}\U0010ffff"}
        query: Document = {"entry": between}
        if kind is not None:
            query[f"kinds.{kind.value}"] = {"$exists": True}
        found = self.collection.find(query).sort("entry", 1).limit(limit)
        return [_suppression(document) async for document in found]


def _suppression(document: Document) -> Suppression:
    return Suppression(
        document["entry"],
        document["reason"],
        document["source"],
        document["created_at"],
        {Kind(name): at for name, at in document["kinds"].items()},
    )
