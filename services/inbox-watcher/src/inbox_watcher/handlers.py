"""What the watcher hears: which mailboxes there are, and which mails were sent."""

from collections.abc import Callable
from dataclasses import dataclass

from inbox_watcher.domain.matching import Sent
from inbox_watcher.inbound_store import InboundStore
from inbox_watcher.mailbox_store import MailboxStore
from inbox_watcher.question_store import Question, QuestionStore
from inbox_watcher.sent_store import SentStore
from postfleet.cloudevents import Received
from postfleet.events.deliveries import EmailSent, EmailUnknown
from postfleet.events.event import Event
from postfleet.events.senders import SenderEvent, SenderSnapshot
from postfleet.events.tracking import PersonErased
from postfleet.instants import now_ms, to_ms


class StillWaiting(Exception):
    """It is erased when the event comes again."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Repeating a batch changes nothing: rows have the Message-ID as their key, senders a revision."""

    sent: SentStore
    inbound: InboundStore
    mailboxes: MailboxStore
    questions: QuestionStore
    evidence_after_ms: int
    sender_changed: Callable[[], None]
    mail_sent: Callable[[], None]

    async def apply(self, batch: list[Received[Event]]) -> None:
        """Apply events in the order of the stream."""
        events = [received.event for received in batch]
        mails = [_sent(e) for e in events if isinstance(e, EmailSent | EmailUnknown)]
        await self.sent.add(mails)
        doubts = [Question(_sent(e), e.attempt) for e in events if isinstance(e, EmailUnknown)]
        await self.questions.ask(doubts, self.evidence_after_ms)
        senders = [event for event in events if isinstance(event, SenderEvent)]
        for sender, registered_at in _latest(senders):
            await self.mailboxes.apply(sender, registered_at, now_ms())
        for person in {event.recipient for event in events if isinstance(event, PersonErased)}:
            await self._erase(person)
        if mails:
            self.mail_sent()
        if senders:
            self.sender_changed()

    async def _erase(self, address: str) -> None:
        """Mails are forgotten last: by them a repetition finds again what machines said of them."""
        await self.questions.erase(address)
        if not await self.inbound.erase(address, await self.sent.to(address)):
            raise StillWaiting("an event about a mail of this person has yet to be told")
        await self.sent.erase(address)


def _latest(events: list[SenderEvent]) -> list[tuple[SenderSnapshot, int]]:
    """Of each sender the newest snapshot, and the time (epoch ms) of the first event about it."""
    newest: dict[str, SenderSnapshot] = {}
    first: dict[str, int] = {}
    for event in events:
        id_, at = event.sender_id, to_ms(event.occurred_at)
        first[id_] = min(at, first.get(id_, at))
        if id_ not in newest or newest[id_].revision < event.sender.revision:
            newest[id_] = event.sender
    return [(sender, first[id_]) for id_, sender in newest.items()]


def _sent(event: EmailSent | EmailUnknown) -> Sent:
    return Sent(
        message_id=event.message_id.strip().strip("<>"),
        delivery_id=event.delivery_id,
        sender_id=event.sender_id,
        recipient=event.recipient.lower(),
        sent_at=to_ms(event.occurred_at),
        campaign_id=event.campaign_id,
        step=event.step,
        variant=event.variant,
        lead_id=event.lead_id,
        subject=event.mail_subject if isinstance(event, EmailSent) else "",
        certain=isinstance(event, EmailSent),
        warmup=event.warmup,
    )
