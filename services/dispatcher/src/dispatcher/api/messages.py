"""Mails of their own over HTTP: take one in, say how it stands, cancel one that is scheduled."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from dispatcher.api.message_bodies import HORIZON, MessageBody
from dispatcher.api.named_templates import named
from dispatcher.domain.mail import CannotCompose, Mail, keyed_id, new_id
from dispatcher.domain.message_templates import MessageTemplate
from dispatcher.mail_intake import MailIntake
from dispatcher.store.batches import Batches
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.messages import CANCELED, Messages, Stored
from dispatcher.store.senders import Senders
from dispatcher.store.templates import Templates
from postfleet.api_keys import Scope, require
from postfleet.events.senders import SenderSnapshot
from postfleet.http import API
from postfleet.instants import now, rfc3339, to_ms
from postfleet.problems import Problem, invalid, not_found


@dataclass(frozen=True, slots=True)
class MessageParts:
    messages: Messages
    deliveries: Deliveries
    batches: Batches
    senders: Senders
    templates: Templates
    intake: MailIntake
    max_bytes: int


def build_messages(parts: MessageParts) -> APIRouter:
    router = APIRouter(prefix=f"{API}/messages", tags=["messages"])

    @router.post("", status_code=202, dependencies=[require(Scope.SEND)])
    async def send(
        body: MessageBody,
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=256)] = None,
    ) -> dict[str, Any]:
        """Take one mail in: one delivery for each recipient, who sees no other.

        202: it is stored, and goes when its sender may send. With an Idempotency-Key its id follows
        from the key.
        """
        sender = await _sender(parts.senders, body.from_)
        template = await _template(parts.templates, body)
        content = body.parts(sender, parts.max_bytes, template)
        caller = sha256(request.headers.get("x-api-key", "").encode()).hexdigest()
        id_ = keyed_id(caller, idempotency_key) if idempotency_key else new_id()
        digest = sha256(body.model_dump_json().encode()).hexdigest()
        try:
            mail, new = await parts.intake.compose(
                id_,
                sender,
                body.to,
                content,
                category=body.category,
                due_at=_due_at(body),
                digest=digest,
                template=template.label if template else "",
            )
        except CannotCompose as error:
            raise invalid(error.field, "invalid", str(error)) from error
        if not new:
            mail = await _same(parts.messages, mail)
        return _taken(mail)

    @router.get("/{message_id}", dependencies=[require(Scope.READ)])
    async def show(message_id: str) -> dict[str, Any]:
        """How it and each of its deliveries stand. `state` is that of the first delivery."""
        name = await _name(parts, message_id)
        stored = await parts.messages.get(name)
        found = await parts.deliveries.of_lead(name, 10_000)
        rows = {row.item.delivery_id: row for row in found}
        if stored is not None:
            return _shown(stored, rows)
        if not rows:
            raise not_found("message", message_id)
        return _remembered(message_id, rows)

    @router.delete("/{message_id}", status_code=204, dependencies=[require(Scope.SEND)])
    async def cancel(message_id: str) -> Response:
        """Cancel a mail whose time has not come. 409 when it is on its way, or gone."""
        if not await parts.messages.cancel(message_id):
            stored = await parts.messages.get(message_id)
            if stored is None:
                raise not_found("message", message_id)
            if stored.state != CANCELED:
                raise Problem(409, "TOO_LATE", "the mail is on its way, or has gone")
        return Response(status_code=204)

    return router


async def _name(parts: MessageParts, message_id: str) -> str:
    """A mail that came over SMTP lies in a pack, which its first delivery names."""
    if await parts.messages.get(message_id) is not None:
        return message_id
    row = await parts.deliveries.get(message_id)
    if row is not None:
        return row.item.lead_id
    found = await parts.batches.open_with(message_id)
    items = found[0].items if found else ()
    return next((i.lead_id for i in items if i.delivery_id == message_id), message_id)


async def _sender(senders: Senders, name: str) -> SenderSnapshot:
    sender = senders.named(name)
    if sender is None:
        await senders.load()
        sender = senders.named(name)
    if sender is None or sender.deleted:
        remedy = "no sender has this id or address; GET /sender-accounts lists them"
        raise invalid("from", "unknown_sender", remedy)
    return sender


async def _template(templates: Templates, body: MessageBody) -> MessageTemplate | None:
    if body.template_id is None:
        return None
    return await named(templates, body.template_id, body.template_version)


def _due_at(body: MessageBody) -> int | None:
    if body.send_at is None:
        return None
    if body.send_at > now() + HORIZON:
        raise invalid("send_at", "too_far", f"at most {HORIZON.days} days ahead")
    return max(to_ms(body.send_at), to_ms(now()))


async def _same(messages: Messages, mail: Mail) -> Mail:
    """What the first request with this key has made. Raises Problem (409) for another body."""
    stored = await messages.get(mail.id)
    if stored is None or stored.mail.digest != mail.digest:
        raise Problem(409, "IDEMPOTENCY_CONFLICT", "this Idempotency-Key had another body")
    return stored.mail


def _taken(mail: Mail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "delivery_id": mail.id,
        "state": "scheduled",
        "sender_id": mail.sender_id,
        "send_at": rfc3339(mail.due_at),
        "deliveries": [{"id": id_, "recipient": recipient} for id_, recipient in mail.deliveries],
    }


def _shown(stored: Stored, rows: dict[str, Row]) -> dict[str, Any]:
    mail = stored.mail
    otherwise = "canceled" if stored.state == CANCELED else "scheduled"
    deliveries = [
        _delivery(id_, recipient, rows.get(id_), otherwise) for id_, recipient in mail.deliveries
    ]
    return {
        "id": mail.id,
        "state": deliveries[0]["state"],
        "sender_id": mail.sender_id,
        "subject": mail.subject,
        "message_id": deliveries[0]["message_id"] or mail.message_id or None,
        "category": mail.category,
        "via": mail.via,
        "created_at": rfc3339(mail.created_at),
        "send_at": rfc3339(mail.due_at),
        "expires_at": rfc3339(mail.expires_at),
        "template": mail.template or None,
        "deliveries": deliveries,
    }


def _remembered(message_id: str, rows: dict[str, Row]) -> dict[str, Any]:
    """After its content was removed the ledger still knows."""
    first = rows.get(message_id) or next(iter(rows.values()))
    return {
        "id": message_id,
        "state": first.state,
        "sender_id": first.origin.sender_id,
        "subject": first.mail_subject,
        "message_id": first.message_id or None,
        "category": first.origin.category,
        "deliveries": [_delivery(id_, r.item.recipient, r, r.state) for id_, r in rows.items()],
    }


def _delivery(id_: str, recipient: str, row: Row | None, otherwise: str) -> dict[str, Any]:
    document = row.document if row else {}
    return {
        "id": id_,
        "recipient": recipient,
        "state": row.state if row else otherwise,
        "attempt": row.item.attempt if row else None,
        "message_id": document.get("message_id") or None,
        "reply_code": document.get("reply_code"),
        "reply_text": document.get("reply_text") or None,
        "reason": document.get("reason") or None,
        "accepted_at": rfc3339(document.get("accepted_at")),
        "next_attempt_at": rfc3339(document.get("next_attempt_at")),
    }
