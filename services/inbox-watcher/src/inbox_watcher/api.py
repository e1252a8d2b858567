"""HTTP: what arrived, newest first."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter, Query, Request

from inbox_watcher.domain.matching import Match
from inbox_watcher.domain.mime import MAX_MAIL_BYTES
from inbox_watcher.domain.understand import understand
from inbox_watcher.domain.understood import Kind, Understood
from inbox_watcher.explain import as_json
from inbox_watcher.inbound_store import InboundStore
from postfleet.api_keys import Scope, require
from postfleet.http import API, decode_cursor, encode_cursor
from postfleet.instants import from_ms, iso
from postfleet.mongo import Document
from postfleet.problems import not_found

#: a mail and a sender id -> the delivery it belongs to
MatchOf = Callable[[Understood, str], Awaitable[Match | None]]


def build_router(inbound: InboundStore, match_of: MatchOf) -> APIRouter:
    router = APIRouter(prefix=API, dependencies=[require(Scope.READ)], tags=["inbound"])

    @router.get("/inbound")
    async def list_inbound(
        sender: str | None = None,
        kind: Kind | None = None,
        cursor: str | None = None,
        limit: int = Query(50, ge=1, le=200),
    ) -> dict[str, Any]:
        """What arrived in the senders' mailboxes, newest first."""
        after = decode_cursor(cursor) if cursor else None
        found = await inbound.listed(sender, kind.value if kind else None, after, limit + 1)
        shown = found[:limit]
        following = encode_cursor(shown[-1]["order"]) if len(found) > limit else None
        return {"items": [_summary(document) for document in shown], "next_cursor": following}

    @router.post("/inbound/explain")
    async def explain(request: Request, sender: str = "") -> dict[str, Any]:
        """What a mail (the body, as it lies in a maildir) is, why, and what it matches; keeps nothing."""
        mail = understand((await request.body())[:MAX_MAIL_BYTES])
        match = await match_of(mail, sender)
        return {**as_json("", mail), "match": _match(match)}

    @router.get("/inbound/{inbound_id}")
    async def get_inbound(inbound_id: str) -> dict[str, Any]:
        """One mail, with its new text and, where it is kept, its source (base64, from its beginning)."""
        document = await inbound.get(inbound_id)
        if document is None:
            raise not_found("inbound mail", inbound_id)
        return _whole(document)

    return router


def _match(match: Match | None) -> dict[str, Any] | None:
    if match is None:
        return None
    return {
        "delivery_id": match.sent.delivery_id,
        "recipient": match.sent.recipient,
        "matched_by": match.matched_by,
        "confidence": match.confidence,
    }


def _summary(document: Document) -> dict[str, Any]:
    return {
        "id": document["_id"],
        "sender_id": document["sender_id"],
        "mailbox": document["mailbox"],
        "folder": document["folder"],
        "kind": document["kind"],
        "state": document["state"],
        "from": document["author"],
        "subject": document["subject"],
        "received_at": iso(from_ms(document["received_at"])),
        "delivery_id": document["delivery_id"] or None,
        "campaign_id": document["campaign_id"] or None,
        "lead_id": document["lead_id"] or None,
        "matched_by": document["matched_by"] or None,
        "confidence": document.get("confidence") or None,
        "event": document["event"] or None,
    }


def _whole(document: Document) -> dict[str, Any]:
    mail = orjson.loads(document["mail"])
    return {
        **_summary(document),
        "why": mail["why"],
        "text": mail["text"],
        "auto_reason": mail["auto_reason"],
        "message_id": mail["message_id"],
        "in_reply_to": mail["in_reply_to"],
        "original_message_id": mail["original_message_id"],
        "recipients": mail["recipients"],
        "size_bytes": document["size_bytes"],
        "uid_validity": document["uid_validity"],
        "uid": document["uid"],
        "raw": document["raw"] or None,
    }
