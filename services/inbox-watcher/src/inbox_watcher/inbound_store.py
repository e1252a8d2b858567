"""What came back, and what lies in Sent without being ours."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pymongo.errors import DuplicateKeyError

from inbox_watcher.domain.matching import Match
from inbox_watcher.domain.understood import Kind, Recipient, Understood
from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events
from postfleet.smtp_reply import Severity

_MOST = 10_000  # mails of one person
_OF_PERSON = ("author", "subject", "raw", "lead_id")
_NO_WORDS = ("kind", "why", "message_id", "key")


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

    async def known(self, effect_key: str) -> bool:
        return await self._inbound.find_one({"effect_key": effect_key}, {"_id": 1}) is not None

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

    async def waiting(self, due: int, state: str = "waiting", limit: int = 200) -> list[Waiting]:
        query = {"state": state, "next_try": {"$lte": due}}
        found = [d async for d in self._inbound.find(query).limit(limit)]
        return [Waiting(_place(d), _understood(d["mail"]), d["retry_until"]) for d in found]

    async def settle(
        self,
        inbound_id: str,
        state: str,
        match: Match | None,
        events: Iterable[Announcement],
        was: str = "waiting",
    ) -> bool:
        """End the waiting of a mail, with its events; False if another replica was faster."""
        announced = list(events)
        change = {"$set": {"state": state, **_matched(match, announced)}}
        settled = await self._inbound.update_one(
            {"_id": inbound_id, "state": was}, update_with_events(change, announced)
        )
        return bool(settled.modified_count)

    async def later(self, inbound_id: str, next_try: int, was: str = "waiting") -> None:
        guard = {"_id": inbound_id, "state": was}
        await self._inbound.update_one(guard, {"$set": {"next_try": next_try}})

    async def forget(self, before: int) -> None:
        await self._inbound.delete_many({"seen_at": {"$lt": before}, "outbox_size": 0})

    async def erase(self, address: str, delivery_ids: Sequence[str]) -> bool:
        """Blank what a person wrote, and what machines said of mails to it; False if an event of it
        has not been told yet. That there was a mail stays known, so that it is not read again.

        Looks at every row: it is asked for seldom.
        """
        done = True
        for query in ({"author": address}, {"delivery_id": {"$in": list(delivery_ids)}}):
            async for document in self._inbound.find(query).limit(_MOST):
                if document["outbox_size"]:
                    done = False
                    continue
                change = {"mail": _blank(document["mail"])} | dict.fromkeys(_OF_PERSON, "")
                if document["state"] == "waiting":
                    change["state"] = "unmatched"
                await self._inbound.update_one(
                    {"_id": document["_id"], "outbox_size": 0}, {"$set": change}
                )
        return done

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


def _blank(text: str) -> str:
    """The same mail without a word of it; of what kind it was stays."""
    values = orjson.loads(text)
    empty: dict[type, Any] = {str: "", list: []}
    said = {k: empty.get(type(v), v) for k, v in values.items() if k not in _NO_WORDS}
    return orjson.dumps({**values, **said}).decode()


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
