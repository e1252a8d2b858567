"""The replica of the senders, the leases on their mailboxes, and how far each was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from inbox_watcher.domain.mailbox import Cursor, Login, Mailbox, to_watch
from postfleet.cloudevents import Announcement
from postfleet.events.senders import SenderSnapshot, SmtpSecurity
from postfleet.instants import from_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events

_ALL = 20_000  # more mailboxes than one replica holds


@dataclass(frozen=True, slots=True)
class Look:
    """What a replica tells about a mailbox that it watches. `looked_at` (epoch ms) 0: not yet."""

    looked_at: int
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class Overdue:
    sender_id: str
    looked_at: int
    error: str


class MailboxStore:
    def __init__(self, collection: Collection) -> None:
        self._mailboxes = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._mailboxes, "address", "wanted", "lease_until", "lease_owner", "stale", "looked_at"
        )

    # -- the replica -----------------------------------------------------------------------------

    async def apply(self, sender: SenderSnapshot, registered_at: int, now: int) -> None:
        """Make the replica be like this snapshot, unless it is newer already (epoch ms)."""
        change = _from_snapshot(sender)
        older = {"_id": sender.sender_id, "revision": {"$lt": sender.revision}}
        if change["wanted"] == "yes":  # watched again: the promise to look begins anew
            again = await self._mailboxes.update_one(
                {**older, "wanted": "no"}, {"$set": {**change, "looked_at": now}}
            )
            if again.modified_count:
                return
        updated = await self._mailboxes.update_one(older, {"$set": change})
        if updated.matched_count:
            return
        try:
            await self._mailboxes.insert_one(_fresh(sender.sender_id, registered_at, now) | change)
        except DuplicateKeyError:
            return  # known, and not older

    async def owner_of(self, address: str) -> str:
        """The sender of the fleet with this address, the newest of present and past ones; or ""."""
        query = {"address": address.lower()}
        found = [d async for d in self._mailboxes.find(query, {"registered_at": 1}).limit(100)]
        newest = max(found, key=lambda document: document["registered_at"], default=None)
        return str(newest["_id"]) if newest else ""

    # -- leases ----------------------------------------------------------------------------------

    async def claim(self, owner: str, now: int, until: int, limit: int) -> list[Mailbox]:
        """Take up to `limit` mailboxes that nobody holds."""
        query = {"wanted": "yes", "lease_until": {"$lte": now}}
        candidates = [d async for d in self._mailboxes.find(query).limit(limit)]
        claimed = []
        for document in candidates:
            seen = {"_id": document["_id"], "lease_until": document["lease_until"], "wanted": "yes"}
            lease = {"lease_owner": owner, "lease_until": until}
            taken = await self._mailboxes.update_one(seen, {"$set": lease})
            if taken.modified_count:
                claimed.append(_mailbox(document))
        return claimed

    async def wanted(self) -> int:
        """How many mailboxes are to be watched."""
        steps = [{"$match": {"wanted": "yes"}}, {"$count": "count"}]
        counted = [d async for d in self._mailboxes.aggregate(steps)]
        return int(counted[0]["count"]) if counted else 0

    async def renew(self, owner: str, until: int) -> dict[str, int]:
        """Prolong all leases of this owner; the revisions of the senders that it is to watch."""
        held = {"lease_owner": owner}
        await self._mailboxes.update_many(held, {"$set": {"lease_until": until}})
        query = {**held, "wanted": "yes"}
        found = [d async for d in self._mailboxes.find(query, {"revision": 1}).limit(_ALL)]
        return {document["_id"]: document["revision"] for document in found}

    async def those(self, sender_ids: Sequence[str]) -> list[Mailbox]:
        """These mailboxes, as far as they are to be watched."""
        if not sender_ids:
            return []
        query = {"_id": {"$in": list(sender_ids)}, "wanted": "yes"}
        return [_mailbox(d) async for d in self._mailboxes.find(query).limit(len(sender_ids))]

    async def release(self, owner: str, sender_ids: Iterable[str], now: int) -> None:
        """Give mailboxes back: who has room takes them at once, others when nobody else does."""
        free = {"$set": {"lease_owner": "", "lease_until": now}}
        writes = [UpdateOne({"_id": id_, "lease_owner": owner}, free) for id_ in sender_ids]
        if writes:
            await self._mailboxes.bulk_write(writes, ordered=False)

    # -- reading ---------------------------------------------------------------------------------

    async def save_cursor(self, owner: str, sender_id: str, folder: str, cursor: Cursor) -> bool:
        """Remember how far was read; False if the lease is another's by now."""
        place = f"cursors.{sha256(folder.encode()).hexdigest()[:16]}"
        entry = {"folder": folder, "validity": cursor.uid_validity, "uid": cursor.uid}
        saved = await self._mailboxes.update_one(
            {"_id": sender_id, "lease_owner": owner}, {"$set": {place: entry}}
        )
        return bool(saved.matched_count)

    async def find(self, sender_id: str) -> Mailbox | None:
        document = await self._mailboxes.find_one({"_id": sender_id})
        return _mailbox(document) if document and document["wanted"] == "yes" else None

    # -- the promise to look ---------------------------------------------------------------------

    async def note(self, owner: str, looks: Mapping[str, Look]) -> None:
        writes = []
        for sender_id, look in looks.items():
            change: dict[str, Any] = {"state": look.state, "error": look.error[:300]}
            if look.looked_at:
                change["looked_at"] = look.looked_at
            writes.append(UpdateOne({"_id": sender_id, "lease_owner": owner}, {"$set": change}))
        if writes:
            await self._mailboxes.bulk_write(writes, ordered=False)

    async def overdue(self, before: int) -> list[Overdue]:
        """Mailboxes not looked at since `before` of which nobody has told yet."""
        query = {"wanted": "yes", "stale": "no", "looked_at": {"$lt": before}}
        found = [d async for d in self._mailboxes.find(query).limit(1000)]
        return [Overdue(d["_id"], d["looked_at"], d.get("error", "")) for d in found]

    async def recovered(self, after: int) -> list[Overdue]:
        """Mailboxes told to be stale that were looked at since `after`."""
        query = {"stale": "yes", "looked_at": {"$gte": after}}
        found = [d async for d in self._mailboxes.find(query).limit(1000)]
        return [Overdue(d["_id"], d["looked_at"], "") for d in found]

    async def tell(self, overdue: Overdue, stale: str, event: Announcement) -> bool:
        """Record that the promise is broken ("yes") or kept again ("no"), with its event."""
        seen = {"_id": overdue.sender_id, "stale": "no" if stale == "yes" else "yes"}
        if stale == "yes":
            seen["looked_at"] = overdue.looked_at  # type: ignore[assignment]
        update = update_with_events({"$set": {"stale": stale}}, [event])
        told = await self._mailboxes.update_one(seen, update)
        return bool(told.modified_count)


def _fresh(sender_id: str, registered_at: int, now: int) -> Document:
    return {
        "_id": sender_id,
        "registered_at": registered_at,
        "looked_at": now,
        "state": "new",
        "error": "",
        "stale": "no",
        "lease_owner": "",
        "lease_until": 0,
        "cursors": {},
        "outbox": {},
        "outbox_size": 0,
        "outbox_at": 0,
    }


def _from_snapshot(sender: SenderSnapshot) -> Document:
    change: Document = {
        "revision": sender.revision,
        "address": sender.email_address.lower(),
        "wanted": "yes" if to_watch(sender) else "no",
    }
    if sender.imap is not None:
        change |= {
            "host": sender.imap.host,
            "port": sender.imap.port,
            "security": sender.imap.security.value,
            "username": sender.imap.username,
            "auth_method": sender.imap.auth_method,
        }
    return change


def _mailbox(document: Document) -> Mailbox:
    cursors = (document.get("cursors") or {}).values()
    return Mailbox(
        sender_id=document["_id"],
        address=document["address"],
        login=Login(
            document["host"],
            document["port"],
            SmtpSecurity(document["security"]),
            document["username"],
            document["auth_method"],
        ),
        registered_at=from_ms(document["registered_at"]),
        revision=document["revision"],
        cursors={entry["folder"]: Cursor(entry["validity"], entry["uid"]) for entry in cursors},
    )
