"""Events in: what became of mails, and what became of mailboxes."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
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
from sender_registry.domain.sender import Sender
from sender_registry.domain.status import MAILBOX_DELETED
from sender_registry.internal import InternalSenders
from sender_registry.store import Counted

log = logging.getLogger(__name__)

OUTCOMES = "sender-registry-outcomes"
MAILBOXES = "sender-registry-mailboxes"
_ATTEMPTS = 20


def subscribe(
    bus: Bus,
    changes: Changes,
    applied: AppliedStore,
    internal: InternalSenders,
    flush: Flush = each_is_durable,
) -> None:
    """Register both consumers; call it before `bus.start`. `flush` makes what they count durable."""
    outcomes = OutcomeHandler(changes, applied, flush)
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
    """Counts outcomes: one guarded write per sender, one statement for all of a batch."""

    def __init__(
        self, changes: Changes, applied: AppliedStore, flush: Flush = each_is_durable
    ) -> None:
        self._changes = changes
        self._applied = applied
        self._flush = flush

    async def handle(self, batch: list[Received[Event]]) -> None:
        """Apply a batch. Running it again changes nothing: what was applied is known by id."""
        by_sender: dict[str, list[Received[Event]]] = defaultdict(list)
        for received in batch:
            if isinstance(received.event, DeliveryEvent):
                by_sender[received.event.sender_id].append(received)
        for _ in range(_ATTEMPTS):
            if not by_sender or await self._try(by_sender):
                return
        raise Unavailable(f"{len(by_sender)} senders change too fast")

    async def _try(self, by_sender: Mapping[str, list[Received[Event]]]) -> bool:
        """One attempt; False if somebody else wrote one of the senders meanwhile."""
        senders = await self._changes.store.with_unsettled(list(by_sender))
        for unknown in by_sender.keys() - senders.keys():
            log.debug("%d outcomes of unknown sender %s", len(by_sender[unknown]), unknown)
        await self._applied.settle(mark for _, marks in senders.values() for mark in marks)
        new = await self._new(by_sender, senders)
        penalties = await self._applied.penalties(
            _delivery(received)
            for marked in new.values()
            for received in marked.values()
            if _may_punish(received)
        )
        counted = []
        for sender_id, marked in new.items():
            one, punished = self._count(senders[sender_id][0], marked, penalties)
            counted.append(one)
            penalties |= punished
        done = await self._changes.store.save_counted(counted)
        if any(one.change.announcements for one in counted):
            await self._flush()
            self._changes.relay.wake()
        return done

    async def _new(
        self, by_sender: Mapping[str, list[Received[Event]]], senders: Iterable[str]
    ) -> dict[str, dict[str, Received[Event]]]:
        """Sender id -> mark -> event, of those that were not applied yet."""
        marked = {
            id_: {_mark(received): received for received in by_sender[id_]} for id_ in senders
        }
        known = await self._applied.known(mark for marks in marked.values() for mark in marks)
        fresh = {
            id_: {mark: received for mark, received in marks.items() if mark not in known}
            for id_, marks in marked.items()
        }
        return {id_: marks for id_, marks in fresh.items() if marks}

    def _count(
        self,
        before: Sender,
        marked: Mapping[str, Received[Event]],
        penalties: Mapping[str, int],
    ) -> tuple[Counted, Mapping[str, int]]:
        """What is to be written of one sender, and the deliveries that it is punished for now."""
        result = apply(before, marked.values(), penalties, to_ms(self._changes.clock()))
        change = self._changes.settle(before, result.sender)
        if change is None:  # nothing moved, and yet they must count as applied
            change = Change(before, replace(before, revision=before.revision + 1), ())
        punished = (penalty_mark(id_, delta) for id_, delta in result.penalties.items())
        return Counted(change, (*marked, *punished)), result.penalties


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
        """Our own sender on that mailbox can log in no more; an external one is not ours to judge.

        One that was validated since has a mailbox of that name again: old news told anew.
        """
        sender = await changes.store.by_address(received.event.address)
        if sender is None or sender.profile.kind != "internal":
            log.info("mailbox of no internal sender was deleted")
            return
        if to_ms(received.event.occurred_at) >= sender.validated_ms:
            await changes.change(sender.id, lambda s: replace(s, smtp_code=MAILBOX_DELETED))

    return restrict


async def _noted(received: Received[Event]) -> None:
    log.info("%s noted: %s", received.event.subject, received.id)
