"""Settles mails whose outcome is unknown by looking for their copies in the sender's Sent folder."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from inbox_watcher import metrics
from inbox_watcher.domain.evidence import Look, Ruling, pause_ms, rule
from inbox_watcher.question_store import Question, QuestionStore
from inbox_watcher.sent_store import SentStore
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.inbox import DeliveryConfirmed, DeliveryRefuted
from postfleet.instants import now, now_ms

QUESTIONS_AT_ONCE = 50  # then INBOX has its turn again
_EVENTS = {Ruling.CONFIRMED: DeliveryConfirmed, Ruling.REFUTED: DeliveryRefuted}
_SETTLED = "settled"  # email.sent was heard meanwhile: there is nothing to ask any more


class SentFolder(Protocol):
    """The open Sent folder of one mailbox."""

    async def holds(self, message_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """`announce_soon` tells the outbox that something was written."""

    questions: QuestionStore
    sent: SentStore
    announce_soon: Callable[[], None]
    after_ms: int

    async def begin(self, questions: Iterable[Question]) -> list[Question]:
        """The questions still worth a look. Whatever ends the look, the next one is not at once."""
        asked = list(questions)[:QUESTIONS_AT_ONCE]
        heard = await self.sent.by_message_ids(q.mail.message_id for q in asked)
        certain = {message_id for message_id, mail in heard.items() if mail.certain}
        settled = [q for q in asked if q.mail.message_id in certain]
        await self.questions.close((question, _SETTLED, []) for question in settled)
        rest = [q for q in asked if q.mail.message_id not in certain]
        await self.questions.postpone((q, self._next_look(q)) for q in rest)
        return rest

    async def answer(self, questions: Iterable[Question], folder: SentFolder) -> None:
        """Look for each mail and its neighbours; a rerun says the same events again."""
        known: dict[str, bool] = {}

        async def holds(message_id: str) -> bool:
            if message_id not in known:
                known[message_id] = await folder.holds(message_id)
            return known[message_id]

        closed, open_ = [], []
        for question in questions:
            look = await self._look(question, holds)
            looks = question.looks + 1
            waited = now_ms() - question.mail.sent_at
            ruling = rule(look, looks, waited, self.after_ms)
            if ruling is Ruling.OPEN:
                open_.append((question, self._next_look(question)))
            else:
                closed.append((question, ruling.value, [_event(question, ruling)]))
                metrics.evidence.labels(ruling.value).inc()
        await self.questions.looked(open_)
        await self.questions.close(closed)
        if closed:
            self.announce_soon()

    def _next_look(self, question: Question) -> int:
        return now_ms() + pause_ms(question.looks, self.after_ms)

    async def _look(self, question: Question, holds: Callable[[str], Awaitable[bool]]) -> Look:
        mail = question.mail
        if await holds(mail.message_id):
            return Look(True, 0, 0)
        old_enough = now_ms() - self.after_ms  # of a fresh neighbour too the copy may be late
        neighbours = await self.sent.neighbours(mail.sender_id, mail.sent_at, old_enough)
        found = [await holds(neighbour) for neighbour in neighbours]
        return Look(False, found.count(True), found.count(False))


def _event(question: Question, ruling: Ruling) -> Announcement:
    mail, cls = question.mail, _EVENTS[ruling]
    event = cls(
        occurred_at=now(),
        delivery_id=mail.delivery_id,
        campaign_id=mail.campaign_id,
        step=mail.step,
        variant=mail.variant,
        lead_id=mail.lead_id,
        sender_id=mail.sender_id,
        recipient=mail.recipient,
        message_id=mail.message_id,
        matched_by="sent_folder",
        confidence=1.0,
    )
    return Announcement(event, derived_id(cls.subject, mail.delivery_id, question.attempt))
