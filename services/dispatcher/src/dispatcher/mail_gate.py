"""The last look before a mail of no campaign goes; and its content, when its turn has come."""

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.domain.identity import message_id
from dispatcher.domain.ledger import WARMUP, Batch, Item, Origin, Settled
from dispatcher.domain.mail import addressed, barred
from dispatcher.domain.message import CannotFill, Filled
from dispatcher.domain.outcomes import Outcome
from dispatcher.store.messages import CANCELED, Messages, Stored
from dispatcher.store.senders import Senders
from dispatcher.store.suppressions import Suppressions
from postfleet.addresses import canonical
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import to_ms

_LOOK_AGAIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class MailContext:
    """What sending needs to know; mails by the `lead_id` of their items."""

    sender: SenderSnapshot
    mails: Mapping[str, Stored]
    messages: Messages

    def message_id(self, item: Item, key: bytes) -> str:
        """The one it came with, or its own."""
        kept = self.mails[item.lead_id].mail.message_id
        return kept or message_id(item.delivery_id, self.sender.email_address, key)

    async def filled(self, item: Item, own_id: str) -> Filled:
        """Raises CannotFill when its content is gone."""
        mail = self.mails[item.lead_id].mail
        content = await self.messages.content(item.lead_id)
        if content is None:
            raise CannotFill("the content was removed")
        own = "" if mail.message_id else own_id
        return Filled(addressed(content, own, mail.to(item.delivery_id)), mail.subject)


@dataclass(frozen=True, slots=True)
class MailVerdict:
    allowed: tuple[Item, ...]
    settled: tuple[Settled, ...]
    context: MailContext | None = None


class MailGate:
    def __init__(self, messages: Messages, senders: Senders, suppressions: Suppressions) -> None:
        self._messages, self._senders, self._suppressions = messages, senders, suppressions

    async def check(self, batch: Batch, now: int) -> MailVerdict:
        ids = [item.lead_id for item in batch.items]
        await self._messages.planned(ids)  # the planner may have died before it could say so
        mails = await self._messages.get_many(ids)
        sender = await self._senders.fresh(batch.origin.sender_id)
        if sender is None:
            return _all(batch, Outcome.SKIPPED, now, "the sender is not known")
        reason = barred(sender, now)
        if reason and reason.rule == "deleted":
            return _all(batch, Outcome.SKIPPED, now, reason.detail)
        addresses = {item.recipient: canonical(item.recipient) for item in batch.items}
        suppressed = await self._suppressions.of(addresses.values())
        allowed, settled = [], []
        for item in batch.items:
            why = _never(mails.get(item.lead_id), suppressed.get(addresses[item.recipient]), now)
            why = why or self._outside(batch.origin, item)
            if why:
                settled.append(Settled(item, Outcome.SKIPPED, now, reason=why))
            elif reason:
                again = look_again(sender, now)
                settled.append(
                    Settled(item, Outcome.POSTPONED, now, reason=reason.detail, retry_at=again)
                )
            else:
                allowed.append(item)
        context = MailContext(sender, mails, self._messages)
        return MailVerdict(tuple(allowed), tuple(settled), context)

    def _outside(self, origin: Origin, item: Item) -> str:
        """Warm-up stays within the fleet, whatever became of it since the mail was planned."""
        if origin.category != WARMUP or self._senders.named(item.recipient) is not None:
            return ""
        return "a warm-up mail goes to senders of the fleet only"


def look_again(sender: SenderSnapshot, now: int) -> int:
    """When a barred sender is worth another look."""
    if sender.cooldown_until is not None:
        return max(to_ms(sender.cooldown_until), now)
    return now + _LOOK_AGAIN_MS


def _never(stored: Stored | None, suppressed: str | None, now: int) -> str:
    if stored is None:
        return "its content was removed"
    if stored.state == CANCELED:
        return "canceled"
    if suppressed is not None:
        return f"suppressed: {suppressed}"
    if stored.mail.expires_at <= now:
        return "expired: it could not be sent in time"
    return ""


def _all(batch: Batch, outcome: Outcome, now: int, reason: str) -> MailVerdict:
    return MailVerdict(
        (), tuple(Settled(item, outcome, now, reason=reason) for item in batch.items)
    )
