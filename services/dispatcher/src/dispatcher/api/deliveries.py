"""One delivery: how it stands, and why it went when it went, or why it has not."""

from typing import Any

import orjson
from fastapi import APIRouter

from dispatcher.api.plan import shown_reasons
from dispatcher.domain.ledger import Batch
from dispatcher.domain.mail import Mail, message_of
from dispatcher.domain.outcomes import Outcome
from dispatcher.store.attempts import Attempts
from dispatcher.store.batches import Batches
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.messages import PLANNED, SCHEDULED, Messages
from dispatcher.store.settlements import Settlements
from postfleet.api_keys import Scope, require
from postfleet.http import API
from postfleet.instants import rfc3339
from postfleet.mongo import Document
from postfleet.problems import not_found

_TIMES = (
    "accepted_at", "replied_at", "auto_replied_at", "bounced_at", "soft_bounced_at",
    "opened_at", "clicked_at", "complained_at", "delayed_at", "updated_at", "next_attempt_at",
)  # fmt: skip
_TEXTS = (
    "sender_id", "lead_id", "recipient", "message_id", "author", "mail_subject", "category",
    "attempt", "reply_code", "enhanced_status", "reply_text", "reason",
)  # fmt: skip


def build_deliveries(
    deliveries: Deliveries,
    batches: Batches,
    attempts: Attempts,
    settlements: Settlements,
    messages: Messages,
) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/deliveries", tags=["deliveries"], dependencies=[require(Scope.READ)]
    )

    async def planned(delivery_id: str) -> tuple[Batch, str]:
        found = await batches.open_with(delivery_id)
        if found is None:
            raise not_found("delivery", delivery_id)
        return found

    @router.get("/{delivery_id}")
    async def show(delivery_id: str) -> dict[str, Any]:
        """The ledger's row; a delivery that is planned but not settled is `scheduled`."""
        row = await deliveries.get(delivery_id)
        if row is not None:
            return shown(row)
        if (waiting := await _scheduled(messages, delivery_id)) is not None:
            return waiting
        batch, state = await planned(delivery_id)
        item = next(item for item in batch.items if item.delivery_id == delivery_id)
        return {
            "id": delivery_id,
            "state": "transmitting" if state == "claimed" else "scheduled",
            "campaign_id": batch.origin.campaign_id,
            "step": batch.origin.step,
            "sender_id": batch.origin.sender_id,
            "recipient": item.recipient,
            "attempt": item.attempt,
        }

    @router.get("/{delivery_id}/decisions")
    async def decisions(delivery_id: str) -> dict[str, Any]:
        """Who was eligible, who was excluded by which rule, and what each attempt came to."""
        row = await deliveries.get(delivery_id)
        batch_ids = await _batch_ids(delivery_id, row)
        if not batch_ids and (waiting := await _scheduled(messages, delivery_id)) is not None:
            return {**waiting, "plans": [], "attempts": []}
        if not batch_ids:
            open_batch, _ = await planned(delivery_id)
            batch_ids = [open_batch.id]
        found = [batch for id_ in batch_ids if (batch := await batches.get(id_))]
        return {
            "id": delivery_id,
            "state": row.state if row else "scheduled",
            "next_attempt_at": rfc3339(row.document.get("next_attempt_at")) if row else None,
            "plans": [_plan(batch) for batch in found],
            "attempts": [a for id_ in batch_ids for a in await _attempts(delivery_id, id_)],
        }

    async def _batch_ids(delivery_id: str, row: Row | None) -> list[str]:
        last = row.item.attempt if row else 1
        ids = [await attempts.batch_of(f"{delivery_id}:{n}") for n in range(1, last + 1)]
        if row:
            ids.append(row.document.get("batch_id"))
        return list(dict.fromkeys(id_ for id_ in ids if id_))

    async def _attempts(delivery_id: str, batch_id: str) -> list[dict[str, Any]]:
        return [
            {
                "attempt": one.item.attempt,
                "at": rfc3339(one.at),
                "outcome": one.outcome.value,
                "reply_code": one.reply_code,
                "reply_text": one.reply_text,
                "category": one.meaning,
                "reason": one.reason,
                "retry_at": rfc3339(one.retry_at),
            }
            for settlement in await settlements.of_batch(batch_id)
            for one in settlement.settled
            if one.item.delivery_id == delivery_id
        ]

    return router


async def _scheduled(messages: Messages, delivery_id: str) -> dict[str, Any] | None:
    """A delivery of a mail of its own whose time has not come, or that was canceled."""
    stored = await messages.get(message_of(delivery_id))
    if stored is None or stored.state == PLANNED:
        return None
    recipients = dict(stored.mail.deliveries)
    if delivery_id not in recipients:
        return None
    return {
        **scheduled(stored.mail, delivery_id, recipients[delivery_id]),
        "state": stored.state,
        "next_attempt_at": rfc3339(stored.mail.due_at) if stored.state == SCHEDULED else None,
    }


def scheduled(mail: Mail, delivery_id: str, recipient: str) -> dict[str, Any]:
    """A delivery of a mail whose time has not come."""
    return {
        "id": delivery_id,
        "state": SCHEDULED,
        "campaign_id": "",
        "sender_id": mail.sender_id,
        "recipient": recipient,
        "mail_subject": mail.subject or None,
        "category": mail.category,
        "next_attempt_at": rfc3339(mail.due_at),
    }


def shown(row: Row) -> dict[str, Any]:
    """A row as the API shows it."""
    document = row.document
    shown: dict[str, Any] = {
        "id": row.item.delivery_id,
        "state": row.state,
        "campaign_id": row.origin.campaign_id,
        "step": row.origin.step,
        "variant": row.origin.variant,
        "bounce_category": _bounce_category(document),
    }
    shown |= {name: document.get(name) or None for name in _TEXTS}
    shown |= {name: rfc3339(document.get(name)) for name in _TIMES}
    return shown


def _bounce_category(document: Document) -> str | None:
    if document.get("bounce_category"):
        return str(document["bounce_category"])
    refused = document["state"] != Outcome.SKIPPED.value
    return document.get("meaning") or None if refused else None


def _plan(batch: Batch) -> dict[str, Any]:
    reasons = orjson.loads(batch.reasons)
    return {
        "batch_id": batch.id,
        "planned_at": rfc3339(batch.created_at),
        "sender_id": batch.origin.sender_id,
        **shown_reasons({"eligible": [batch.origin.sender_id], **reasons}),
    }
