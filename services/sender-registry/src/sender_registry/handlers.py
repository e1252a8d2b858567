"""Events in: what became of mails, and what became of mailboxes."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace

from postfleet.bus import Bus
from postfleet.cloudevents import Received
from postfleet.events.deliveries import DeliveryEvent
from postfleet.events.domains import (
    DomainAdded,
    DomainDegraded,
    DomainDnsChanged,
    DomainVerified,
    MailboxCreated,
    MailboxDeleted,
    MailboxFailed,
)
from postfleet.events.event import Event
from postfleet.instants import to_ms
from postfleet.mongo import Flush, each_is_durable
from postfleet.outages import Unavailable
from sender_registry.applied_store import AppliedStore, event_mark, penalty_mark
from sender_registry.changing import Changes
from sender_registry.domain.announcing import Change
from sender_registry.domain.health import DELTAS
from sender_registry.domain.outcomes import apply, outcome_of
from sender_registry.domain.status import MAILBOX_DELETED
from sender_registry.internal import InternalSenders

log = logging.getLogger(__name__)

OUTCOMES = "sender-registry-outcomes"
MAILBOXES = "sender-registry-mailboxes"
_ATTEMPTS = 20
_AT_ONCE = 16  # senders whose writes overlap; more would only wait in the database


def subscribe(
    bus: Bus,
    changes: Changes,
    applied: AppliedStore,
    internal: InternalSenders,
    flush: Flush = each_is_durable,
) -> None:
    """Register both consumers; call it before `bus.start`. `flush` makes `applied` durable."""
    outcomes = OutcomeHandler(changes, applied)
    bus.consume_batches(OUTCOMES, outcomes.handle, flush=flush)
    bus.consume(
        MAILBOXES,
        {
            MailboxCreated: internal.created,
            MailboxFailed: internal.failed,
            MailboxDeleted: _mailbox_deleted(changes),
            **dict.fromkeys(
                (
                    DomainAdded,
                    DomainVerified,
                    DomainDegraded,
                    DomainDnsChanged,
                ),
                _noted,
            ),
        },
    )


class OutcomeHandler:
    """Counts outcomes: one guarded write per sender and batch."""

    def __init__(self, changes: Changes, applied: AppliedStore) -> None:
        self._changes = changes
        self._applied = applied

    async def handle(self, batch: list[Received[Event]]) -> None:
        """Apply a batch. Running it again changes nothing: what was applied is known by id."""
        by_sender: dict[str, list[Received[Event]]] = defaultdict(list)
        for received in batch:
            if isinstance(received.event, DeliveryEvent):
                by_sender[received.event.sender_id].append(received)
        at_once = asyncio.Semaphore(_AT_ONCE)
        ended = await asyncio.gather(
            *(self._apply(sender_id, events, at_once) for sender_id, events in by_sender.items()),
            return_exceptions=True,  # nothing may still be running when the batch comes again
        )
        for error in ended:
            if error is not None:
                raise error

    async def _apply(
        self, sender_id: str, events: list[Received[Event]], at_once: asyncio.Semaphore
    ) -> None:
        async with at_once:
            await self._apply_to(sender_id, events)

    async def _apply_to(self, sender_id: str, events: list[Received[Event]]) -> None:
        for _ in range(_ATTEMPTS):
            if await self._try(sender_id, events):
                return
        raise Unavailable(f"sender {sender_id} changes too fast")

    async def _try(self, sender_id: str, events: list[Received[Event]]) -> bool:
        """One attempt; False if somebody else wrote the sender meanwhile."""
        found = await self._changes.store.with_unsettled(sender_id)
        if found is None:
            log.debug("%d outcomes of unknown sender %s", len(events), sender_id)
            return True
        before, unsettled = found
        await self._applied.settle(sender_id, unsettled)
        marked = {_mark(received): received for received in events}
        known = await self._applied.known(sender_id, marked)
        new = [received for mark, received in marked.items() if mark not in known]
        if not new:
            return True
        judged = [_delivery(received) for received in new if _may_punish(received)]
        penalties = await self._applied.penalties(judged)
        result = apply(before, new, penalties, to_ms(self._changes.clock()))
        change = self._changes.settle(before, result.sender)
        if change is None:  # nothing moved, and yet they must count as applied
            change = Change(before, replace(before, revision=before.revision + 1), ())
        marks = [mark for mark in marked if mark not in known]
        marks += [penalty_mark(id_, delta) for id_, delta in result.penalties.items()]
        if not await self._changes.store.save(change, unsettled=marks):
            return False
        if change.announcements:
            self._changes.relay.wake()
        return True


def _mark(received: Received[Event]) -> str:
    return event_mark(to_ms(received.event.occurred_at), received.id)


def _delivery(received: Received[Event]) -> str:
    return str(getattr(received.event, "delivery_id", ""))


def _may_punish(received: Received[Event]) -> bool:
    """Also a success: after a soft bounce of the same delivery it earns nothing."""
    event = received.event
    if not isinstance(event, DeliveryEvent):
        return False
    outcome = outcome_of(event)
    return outcome is not None and (DELTAS[outcome] < 0 or getattr(event, "attempt", 1) > 1)


def _mailbox_deleted(changes: Changes) -> Callable[[Received[MailboxDeleted]], Awaitable[None]]:
    async def restrict(received: Received[MailboxDeleted]) -> None:
        """Our own sender on that mailbox can log in no more; an external one is not ours to judge."""
        sender = await changes.store.by_address(received.event.address)
        if sender is None or sender.profile.kind != "internal":
            log.info("mailbox of no internal sender was deleted")
            return
        await changes.change(sender.id, lambda s: replace(s, smtp_code=MAILBOX_DELETED))

    return restrict


async def _noted(received: Received[Event]) -> None:
    log.info("%s noted: %s", received.event.subject, received.id)
