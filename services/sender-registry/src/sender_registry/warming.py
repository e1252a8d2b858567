"""The warm-up of a sender as others need it: its progress, and the mails of today."""

from typing import Any

from fastapi import APIRouter

from postfleet.addresses import domain_of
from postfleet.api_keys import Scope, require
from postfleet.http import API
from postfleet.instants import day_of, to_ms
from postfleet.problems import not_found
from postfleet.rpc import RequestRefused
from sender_registry.changing import Changes
from sender_registry.domain.sender import Sender
from sender_registry.domain.warmup import Partner, exchanges, openings

_MOST_PARTNERS = 1000
_ENOUGH_PARTNERS = 20  # of those that warm up; a smaller fleet's ready senders take part too
_FRESH_MS = 2000  # so long the partners are remembered: plans are asked for one after the other

Json = dict[str, Any]


class Warming:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._partners: list[Partner] = []
        self._read_ms = 0

    async def plan(self, request: Json) -> Json:
        """`rpc.warmup.plan`: `{sender_id}` -> today's mails, the same whenever it is asked.

        Raises RequestRefused where the sender is unknown, not warming up, or may not send.
        """
        sender_id = request.get("sender_id")
        store = self._changes.store
        sender = await store.get(sender_id) if isinstance(sender_id, str) else None
        if sender is None:
            raise RequestRefused(f"there is no sender {sender_id}")
        if sender.status != "warmup":
            raise RequestRefused(f"sender {sender_id} is {sender.status.value}")
        return await self.view(sender)

    async def view(self, sender: Sender) -> Json:
        today = day_of(to_ms(self._changes.clock()))
        domain = domain_of(sender.profile.email_address)
        volume = sender.warmup.volume if sender.profile.warmup_mode else 0
        tally = sender.warmup_tally
        planned = exchanges(sender.id, domain, await self._partners_now(), openings(volume), today)
        return {
            "sender_id": sender.id,
            "date": today,
            "day": sender.warmup.day,
            "volume": volume,
            "course": sender.warmup.course.value,
            "sent_today": tally.sent if tally.day == today else 0,
            "exchanges": [
                {
                    "number": e.number,
                    "partner_id": e.partner_id,
                    "at": round(e.at, 4),
                    "reply": e.reply,
                }
                for e in planned
            ],
        }

    async def _partners_now(self) -> list[Partner]:
        now = to_ms(self._changes.clock())
        if not 0 <= now - self._read_ms < _FRESH_MS:
            self._partners, self._read_ms = await self._read_partners(), now
        return self._partners

    async def _read_partners(self) -> list[Partner]:
        store = self._changes.store
        found = _able(await store.warming(_MOST_PARTNERS))
        if len(found) < _ENOUGH_PARTNERS:
            found += _able(await store.not_warming(_MOST_PARTNERS))[:_ENOUGH_PARTNERS]
        return found


def _able(senders: list[Sender]) -> list[Partner]:
    """Those that may answer, and whose mailbox is read: somebody opens and rescues there."""
    return [
        Partner(found.id, domain_of(found.profile.email_address))
        for found in senders
        if found.status in ("warmup", "ready") and found.reply_detection
    ]


def build_warmup_router(changes: Changes, warming: Warming) -> APIRouter:
    router = APIRouter(prefix=f"{API}/sender-accounts", tags=["senders"])

    @router.get("/{sender_id}/warmup", dependencies=[require(Scope.READ)])
    async def show(sender_id: str) -> Json:
        """How far the warm-up is, and the mails of today: with whom, at which part of the day."""
        sender = await changes.store.get(sender_id)
        if sender is None:
            raise not_found("sender account", sender_id)
        return await warming.view(sender)

    return router
