"""Mails in a sender's Sent folder that the platform did not send: told, once each (S253).

A copy may lie in Sent before `email.sent` is heard, so what is not known at once waits for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inbox_watcher import metrics
from inbox_watcher.arrivals import place_of
from inbox_watcher.domain.mailbox import Mailbox
from inbox_watcher.domain.mime import parse
from inbox_watcher.domain.sent_copies import as_copy, bears_our_token, unexpected
from inbox_watcher.domain.understand import understand
from inbox_watcher.imap_answers import Fetched
from inbox_watcher.inbound_store import InboundStore, Place, Waiting
from inbox_watcher.sent_store import SentStore
from postfleet.cloudevents import derived_id
from postfleet.instants import from_ms, now, now_ms
from postfleet.tokens import TokenKeys

STATE = "copy"  # of a mail in Sent that may yet turn out to be ours
_RETRY_MS = 5000


@dataclass(frozen=True, slots=True)
class Copies:
    """`announce_soon` tells the outbox that something was written."""

    inbound: InboundStore
    sent: SentStore
    announce_soon: Callable[[], None]
    wait_ms: int
    keys: TokenKeys

    async def take(
        self, mailbox: Mailbox, folder: str, uid_validity: int, mails: Sequence[Fetched]
    ) -> None:
        """Keep what we may not have sent; a rerun changes nothing. On return that is durable."""
        for fetched in mails:
            if fetched.raw is not None:
                place = place_of(mailbox, folder, uid_validity, fetched)
                await self._take(place, fetched.raw)

    async def _take(self, place: Place, raw: bytes) -> None:
        fields = parse(raw).fields
        if bears_our_token(fields, self.keys):
            return
        mail = as_copy(understand(raw), fields)
        if mail.message_id and await self.sent.by_message_ids([mail.message_id]):
            return
        key = derived_id("copy", place.sender_id, mail.key)
        if not await self.inbound.known(key):
            until = now_ms() + self.wait_ms
            await self.inbound.add(place, mail, key, STATE, seen_at=now_ms(), retry_until=until)

    async def settle(self, due: int) -> None:
        """What turned out to be ours is forgotten about; what has waited long enough is told."""
        waiting = await self.inbound.waiting(due, STATE)
        known = await self.sent.by_message_ids(w.mail.message_id for w in waiting)
        for copy in waiting:
            await self._settle(copy, ours=copy.mail.message_id in known)

    async def _settle(self, copy: Waiting, *, ours: bool) -> None:
        id_, mail, place = copy.place.inbound_id, copy.mail, copy.place
        if ours:
            await self.inbound.settle(id_, "own", None, (), STATE)
        elif now_ms() < copy.retry_until:
            await self.inbound.later(id_, now_ms() + _RETRY_MS, STATE)
        else:
            event = unexpected(mail, place.sender_id, id_, from_ms(place.received_at), now())
            if await self.inbound.settle(id_, "unexpected", None, [event], STATE):
                metrics.unexpected.inc()
                self.announce_soon()
