"""The warm-up of a sender as others need it: its progress, and the mails of today."""

from typing import Any

from fastapi import APIRouter

from postfleet.addresses import domain_of
from postfleet.api_keys import Scope, require
from postfleet.bus import RequestRefused
from postfleet.http import API
from postfleet.instants import day_of, to_ms
from postfleet.problems import not_found
from sender_registry.changing import Changes
from sender_registry.domain.sender import Sender
from sender_registry.domain.warmup import Partner, exchanges

_MOST_PARTNERS = 1000

Json = dict[str, Any]


async def plan(changes: Changes, request: Json) -> Json:
    """`rpc.warmup.plan`: `{sender_id}` -> today's mails, the same whenever it is asked.

    Raises RequestRefused where the sender is unknown, not warming up, or may not send.
    """
    sender_id = request.get("sender_id")
    sender = await changes.store.get(sender_id) if isinstance(sender_id, str) else None
    if sender is None:
        raise RequestRefused(f"there is no sender {sender_id}")
    if sender.status != "warmup":
        raise RequestRefused(f"sender {sender_id} is {sender.status.value}")
    return await warmup_view(changes, sender)


async def warmup_view(changes: Changes, sender: Sender) -> Json:
    today = day_of(to_ms(changes.clock()))
    partners = [
        Partner(found.id, domain_of(found.profile.email_address))
        for found in await changes.store.warming(_MOST_PARTNERS)
        if found.status == "warmup" and found.reply_detection
    ]
    domain = domain_of(sender.profile.email_address)
    volume = sender.warmup.volume if sender.profile.warmup_mode else 0
    tally = sender.warmup_tally
    return {
        "sender_id": sender.id,
        "date": today,
        "day": sender.warmup.day,
        "volume": volume,
        "course": sender.warmup.course.value,
        "sent_today": tally.sent if tally.day == today else 0,
        "exchanges": [
            {"number": e.number, "partner_id": e.partner_id, "at": round(e.at, 4), "reply": e.reply}
            for e in exchanges(sender.id, domain, partners, volume, today)
        ],
    }


def build_warmup_router(changes: Changes) -> APIRouter:
    router = APIRouter(prefix=f"{API}/sender-accounts", tags=["senders"])

    @router.get("/{sender_id}/warmup", dependencies=[require(Scope.READ)])
    async def show(sender_id: str) -> Json:
        """How far the warm-up is, and the mails of today: with whom, at which part of the day."""
        sender = await changes.store.get(sender_id)
        if sender is None:
            raise not_found("sender account", sender_id)
        return await warmup_view(changes, sender)

    return router
