"""The senders in MongoDB: one document each, with its sealed secrets and its outbox.

Every write is guarded by the revision it was decided on. Flat, with maps and numbers only: the
portable dialect.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from postfleet.instants import now_ms
from postfleet.mongo import Collection, ensure_indexes
from postfleet.outbox import update_with_events, with_events
from sender_registry.documents import address_key, to_document, to_sender
from sender_registry.domain.announcing import Change
from sender_registry.domain.sender import Sender

#: protocol -> sealed password
Secrets = Mapping[str, str]


class AddressTaken(Exception):
    """A living sender has this address."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A change that outcomes made, with the marks of all that it applied."""

    change: Change
    marks: tuple[str, ...]


class SenderStore:
    """The collection `senders`; `grouped` is the same one, for what is facts only after a flush."""

    def __init__(self, collection: Collection, grouped: Collection | None = None) -> None:
        self._collection = collection
        self._grouped = collection if grouped is None else grouped

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._collection,
            "alive",
            "list_key",
            "cooldown_until",
            "token_refresh_at",
            "domain",
            "relay_login",
            "provisioning",
            "warmup_mode",
            unique=("address_key",),
        )

    async def insert(self, change: Change, secrets: Secrets) -> None:
        """Store a new sender with its events. Raises AddressTaken."""
        sender = change.after
        document = {"_id": sender.id, **to_document(sender), "secrets": dict(secrets)}
        try:
            await self._collection.insert_one(with_events(document, change.announcements))
        except DuplicateKeyError as error:
            raise AddressTaken(sender.profile.email_address) from error

    async def save(self, change: Change, *, secrets: Secrets | None = None) -> bool:
        """Write if the sender is still at the revision that was read; False if it is not.

        `secrets` replaces all of them (an empty one wipes them); None leaves them.
        """
        more = {} if secrets is None else {"secrets": dict(secrets)}
        result = await self._collection.update_one(*_guarded(change, more))
        return bool(result.matched_count)

    async def save_counted(self, counted: Sequence[Counted]) -> bool:
        """Write all of them, each if its sender is as it was read; False if one of them was not."""
        return await self._write(
            [UpdateOne(*_guarded(one.change, {"unsettled": list(one.marks)})) for one in counted]
        )

    async def save_many(self, changes: Sequence[Change]) -> bool:
        """Write each if its sender is as it was read; False if one was not. Facts after a flush."""
        return await self._write([UpdateOne(*_guarded(change, {})) for change in changes])

    async def _write(self, writes: Sequence[UpdateOne]) -> bool:
        if not writes:
            return True
        result = await self._grouped.bulk_write(writes, ordered=False)
        return bool(result.matched_count == len(writes))

    async def get(self, sender_id: str) -> Sender | None:
        """The living sender with this id."""
        document = await self._collection.find_one({"_id": sender_id, "alive": 1})
        return to_sender(document) if document else None

    async def was_here(self, sender_id: str) -> bool:
        """Whether a sender had this id, living or deleted."""
        return await self._collection.find_one({"_id": sender_id}) is not None

    async def by_address(self, address: str) -> Sender | None:
        """The living sender with this address."""
        document = await self._collection.find_one({"address_key": address_key(address)})
        return to_sender(document) if document else None

    async def secrets(self, sender_id: str) -> dict[str, str]:
        """Protocol -> sealed password."""
        document = await self._collection.find_one({"_id": sender_id, "alive": 1})
        return dict(document["secrets"]) if document else {}

    async def with_secrets(self, sender_id: str) -> tuple[Sender, dict[str, str]] | None:
        """The living sender and its sealed secrets, as of one moment."""
        document = await self._collection.find_one({"_id": sender_id, "alive": 1})
        return (to_sender(document), dict(document["secrets"])) if document else None

    async def replace_secrets(self, sender_id: str, revision: int, secrets: Secrets) -> bool:
        """The same secrets, sealed again: no change of the sender, so no new revision."""
        result = await self._collection.update_one(
            {"_id": sender_id, "revision": revision, "alive": 1},
            {"$set": {"secrets": dict(secrets)}},
        )
        return bool(result.matched_count)

    async def with_unsettled(self, ids: Sequence[str]) -> dict[str, tuple[Sender, list[str]]]:
        """The living senders of these ids, each with the marks of what its last counting applied."""
        cursor = self._collection.find({"_id": {"$in": list(ids)}}).limit(len(ids))
        return {
            document["_id"]: (to_sender(document), list(document.get("unsettled") or []))
            async for document in cursor
            if document["alive"]
        }

    async def after(self, sender_id: str, limit: int) -> list[Sender]:
        """Up to `limit` living senders whose id follows, in the order of ids."""
        query = {"list_key": {"$gt": sender_id}}  # the embedded server sorts ids by reading all
        cursor = self._collection.find(query).sort("list_key", 1).limit(limit)
        return [to_sender(document) async for document in cursor]

    async def cooled_down(self, limit: int) -> list[Sender]:
        """Up to `limit` senders whose pause is over and not yet said to be."""
        query = {"cooldown_until": {"$gt": 0, "$lte": now_ms()}}
        return [to_sender(document) async for document in self._collection.find(query).limit(limit)]

    async def tokens_due(self, limit: int) -> list[Sender]:
        """Up to `limit` senders whose access token is to be refreshed now."""
        query = {"token_refresh_at": {"$gt": 0, "$lte": now_ms()}}
        return [to_sender(document) async for document in self._collection.find(query).limit(limit)]

    async def by_relay_login(self, login: str, hashed: str) -> Sender | None:
        """The living sender that was issued this log-in with a password of this hash."""
        if not login or not hashed:
            return None
        query = {"relay_login": login, "relay_hash": hashed, "alive": 1}
        document = await self._collection.find_one(query)
        return to_sender(document) if document else None

    async def of_domain(self, domain: str, page: int) -> AsyncIterator[Sender]:
        """Every living sender of the domain, `page` at a time."""
        last = ""
        while True:
            query = {"domain": domain, "list_key": {"$gt": last}}
            cursor = self._collection.find(query).sort("list_key", 1).limit(page)
            found = [to_sender(document) async for document in cursor]
            for sender in found:
                yield sender
            if len(found) < page:
                return
            last = found[-1].id

    async def warming(self, limit: int) -> list[Sender]:
        """Up to `limit` living senders in warm-up mode."""
        return await self._by_warmup_mode(1, limit)

    async def not_warming(self, limit: int) -> list[Sender]:
        """Up to `limit` living senders that do not warm up."""
        return await self._by_warmup_mode(0, limit)

    async def _by_warmup_mode(self, mode: int, limit: int) -> list[Sender]:
        query = {"warmup_mode": mode, "list_key": {"$gt": ""}}
        cursor = self._collection.find(query).sort("list_key", 1).limit(limit)
        return [to_sender(document) async for document in cursor]

    async def being_provisioned(self, limit: int) -> list[Sender]:
        """Up to `limit` internal senders whose mailbox is not ready yet."""
        query = {"provisioning": {"$in": ["requested", "mailbox_created"]}}
        return [to_sender(document) async for document in self._collection.find(query).limit(limit)]


def _guarded(change: Change, more: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The query and the update of a write that holds only at the revision that was read."""
    if change.before is None:
        raise ValueError("a new sender is inserted")
    old, new = to_document(change.before), to_document(change.after)
    changes = {key: new[key] for key in new if new[key] != old[key]}
    query = {"_id": change.before.id, "revision": change.before.revision}
    return query, update_with_events({"$set": {**changes, **more}}, change.announcements)
