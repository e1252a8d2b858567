"""What was sent, and what came back."""

import base64
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from inbox_watcher.domain.evidence import NEIGHBOUR_MS, NEIGHBOURS
from inbox_watcher.domain.matching import Match, Sent
from inbox_watcher.domain.understood import Kind, Recipient, Understood
from inbox_watcher.inserting import insert_new
from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events
from postfleet.smtp_reply import Severity

_RECENT = 5  # mails to one address that the fallback looks at
_THREAD = 500  # mails of one subject that the last fallback looks at


class SentStore:
    """`_id` = Message-ID without angle brackets."""

    def __init__(self, collection: Collection) -> None:
        self._sent = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._sent, "recipient", "sent_at", "sender_id", "thread", "delivery_id"
        )
        await self._sent.create_index([("sender_id", 1), ("sent_at", 1)])

    async def add(self, mails: Iterable[Sent]) -> None:
        """Remember mails; one that was in doubt becomes certain, others stay as they are."""
        known = await insert_new(self._sent, [_sent_document(mail) for mail in mails])
        known = await self._without_siblings(known)
        writes = [
            UpdateOne({"_id": mail["_id"], "certain": 0}, {"$set": _without_id(mail)})
            for mail in known
            if mail["certain"]
        ]
        if writes:
            await self._sent.bulk_write(writes, ordered=False)

    async def _without_siblings(self, known: list[Document]) -> list[Document]:
        """A mail that was handed in for several people has one Message-ID in all its deliveries: the
        others are kept under a name of their own, which no mail can have, and found by address."""
        if not known:
            return []
        ids = [document["_id"] for document in known]
        cursor = self._sent.find({"_id": {"$in": ids}}, {"recipient": 1}).limit(len(ids))
        owners = {document["_id"]: document["recipient"] async for document in cursor}
        same = [d for d in known if owners.get(d["_id"], d["recipient"]) == d["recipient"]]
        others = [d for d in known if d not in same]
        return same + await insert_new(
            self._sent, [{**d, "_id": f"{d['_id']} {d['delivery_id']}"} for d in others]
        )

    async def neighbours(self, sender_id: str, at: int, before: int) -> list[str]:
        """Message-IDs of accepted mails of this sender around `at`, sent before `before` (epoch ms)."""
        accepted = {"sender_id": sender_id, "certain": 1}
        earlier = {"$gte": at - NEIGHBOUR_MS, "$lt": min(at, before)}
        later = {"$gte": at, "$lt": min(at + NEIGHBOUR_MS, before)}
        found = []
        for window, direction in ((earlier, -1), (later, 1)):
            cursor = self._sent.find({**accepted, "sent_at": window}, {"_id": 1})
            found += [d["_id"] async for d in cursor.sort("sent_at", direction).limit(NEIGHBOURS)]
        return found

    async def by_message_ids(self, ids: Iterable[str]) -> dict[str, Sent]:
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        query = {"_id": {"$in": wanted}}
        found = [d async for d in self._sent.find(query).limit(len(wanted))]
        return {document["_id"]: _sent(document) for document in found}

    async def by_delivery_ids(self, ids: Iterable[str]) -> dict[str, Sent]:
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        query = {"delivery_id": {"$in": wanted}}
        found = [d async for d in self._sent.find(query).limit(len(wanted))]
        return {document["delivery_id"]: _sent(document) for document in found}

    async def recent_to(self, addresses: Iterable[str], sender_id: str, before: int) -> list[Sent]:
        """The last few mails from this sender to each address that were sent before `before`."""
        found: list[Document] = []
        for address in addresses:
            query = {
                "recipient": address.lower(),
                "sender_id": sender_id,
                "sent_at": {"$lt": before},
            }
            cursor = self._sent.find(query).sort("sent_at", -1).limit(_RECENT)
            found += [document async for document in cursor]
        return [_sent(document) for document in found]

    async def of_thread(self, thread: str) -> list[Sent]:
        """Mails of one sender and subject, if they are few: many have that subject in a campaign."""
        if not thread:
            return []
        found = [d async for d in self._sent.find({"thread": thread}).limit(_THREAD + 1)]
        return [_sent(document) for document in found] if len(found) <= _THREAD else []

    async def forget(self, before: int) -> None:
        await self._sent.delete_many({"sent_at": {"$lt": before}})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail lies; `inbound_id` is derived from it."""

    inbound_id: str
    sender_id: str
    mailbox: str
    folder: str
    uid_validity: int
    uid: int
    received_at: int  # epoch ms, the server's INTERNALDATE
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An inbound mail that may yet match."""

    place: Place
    mail: Understood
    retry_until: int


class InboundStore:
    """`effect_key` is unique: a mail that was moved, or has another UID now, is the same mail."""

    def __init__(self, collection: Collection) -> None:
        self._inbound = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._inbound,
            "sender_id",
            "kind",
            "state",
            "next_try",
            "event_id",
            "order",
            "seen_at",
            unique=("effect_key",),
        )

    async def known(self, inbound_id: str, effect_key: str) -> bool:
        for query in ({"_id": inbound_id}, {"effect_key": effect_key}):
            if await self._inbound.find_one(query, {"_id": 1}):
                return True
        return False

    async def said(self, event_id: str) -> bool:
        """Whether another mail has said this event already."""
        return await self._inbound.find_one({"event_id": event_id}, {"_id": 1}) is not None

    async def add(
        self,
        place: Place,
        mail: Understood,
        effect_key: str,
        state: str,
        *,
        match: Match | None = None,
        events: Iterable[Announcement] = (),
        raw: bytes = b"",
        seen_at: int,
        retry_until: int = 0,
    ) -> bool:
        """Store the mail and its events in one write; False if it was known."""
        announced = list(events)
        document = {
            **_inbound_document(place, mail),
            **_matched(match, announced),
            "_id": place.inbound_id,
            "effect_key": effect_key,
            "order": f"{seen_at:014d}-{place.inbound_id}",
            "state": state,
            "seen_at": seen_at,
            "next_try": seen_at,
            "retry_until": retry_until,
            "raw": base64.b64encode(raw).decode(),
        }
        try:
            await self._inbound.insert_one(with_events(document, announced))
        except DuplicateKeyError:
            return False
        return True

    async def waiting(self, due: int, limit: int = 200) -> list[Waiting]:
        query = {"state": "waiting", "next_try": {"$lte": due}}
        found = [d async for d in self._inbound.find(query).limit(limit)]
        return [Waiting(_place(d), _understood(d["mail"]), d["retry_until"]) for d in found]

    async def settle(
        self, inbound_id: str, state: str, match: Match | None, events: Iterable[Announcement]
    ) -> bool:
        """End the waiting of a mail, with its events; False if another replica was faster."""
        announced = list(events)
        change = {"$set": {"state": state, **_matched(match, announced)}}
        settled = await self._inbound.update_one(
            {"_id": inbound_id, "state": "waiting"}, update_with_events(change, announced)
        )
        return bool(settled.modified_count)

    async def later(self, inbound_id: str, next_try: int) -> None:
        guard = {"_id": inbound_id, "state": "waiting"}
        await self._inbound.update_one(guard, {"$set": {"next_try": next_try}})

    async def forget(self, before: int) -> None:
        await self._inbound.delete_many({"seen_at": {"$lt": before}, "outbox_size": 0})

    # -- for readers -----------------------------------------------------------------------------

    async def listed(
        self, sender: str | None, kind: str | None, after: str | None, limit: int
    ) -> list[Document]:
        """Newest first."""
        query: dict[str, Any] = {}
        if sender:
            query["sender_id"] = sender
        if kind:
            query["kind"] = kind
        if after:
            query["order"] = {"$lt": after}
        cursor = self._inbound.find(query).sort("order", -1).limit(limit)
        return [document async for document in cursor]

    async def get(self, inbound_id: str) -> Document | None:
        found: Document | None = await self._inbound.find_one({"_id": inbound_id})
        return found


def _sent_document(mail: Sent) -> Document:
    document = asdict(mail)
    changed = {
        "recipient": mail.recipient.lower(),
        "certain": int(mail.certain),
        "warmup": int(mail.warmup),
        "thread": mail.thread,
    }
    return {"_id": document.pop("message_id"), **document, **changed}


def _without_id(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "_id"}


def _sent(document: Document) -> Sent:
    return Sent(
        message_id=document["_id"].partition(" ")[0],
        delivery_id=document["delivery_id"],
        sender_id=document["sender_id"],
        recipient=document["recipient"],
        sent_at=document["sent_at"],
        campaign_id=document.get("campaign_id"),
        step=document.get("step"),
        variant=document.get("variant"),
        lead_id=document.get("lead_id"),
        subject=document.get("subject", ""),
        certain=bool(document.get("certain", 1)),
        warmup=bool(document.get("warmup", 0)),
    )


def _inbound_document(place: Place, mail: Understood) -> Document:
    return {
        "sender_id": place.sender_id,
        "mailbox": place.mailbox,
        "folder": place.folder,
        "uid_validity": place.uid_validity,
        "uid": place.uid,
        "received_at": place.received_at,
        "size_bytes": place.size_bytes,
        "kind": mail.kind.value,
        "author": mail.author,
        "subject": mail.subject,
        "mail": orjson.dumps(mail).decode(),  # text: no store may change how deep values look
    }


def _matched(match: Match | None, events: list[Announcement]) -> Document:
    sent = match.sent if match else None
    return {
        "delivery_id": sent.delivery_id if sent else "",
        "campaign_id": (sent.campaign_id or "") if sent else "",
        "lead_id": (sent.lead_id or "") if sent else "",
        "matched_by": match.matched_by if match else "",
        "confidence": match.confidence if match else 0.0,
        "event_id": events[0].id if events else "",
        "event": events[0].subject if events else "",
    }


def _place(document: Document) -> Place:
    return Place(
        document["_id"],
        *(
            document[name]
            for name in (
                "sender_id",
                "mailbox",
                "folder",
                "uid_validity",
                "uid",
                "received_at",
                "size_bytes",
            )
        ),
    )


def _understood(text: str) -> Understood:
    values = orjson.loads(text)
    recipients = [
        Recipient(**{**r, "severity": Severity(r["severity"]) if r["severity"] else None})
        for r in values["recipients"]
    ]
    return Understood(
        **{
            **values,
            "kind": Kind(values["kind"]),
            "in_reply_to": tuple(values["in_reply_to"]),
            "references": tuple(values["references"]),
            "recipients": tuple(recipients),
            "tokens": tuple((purpose, token) for purpose, token in values.get("tokens", ())),
        }
    )
