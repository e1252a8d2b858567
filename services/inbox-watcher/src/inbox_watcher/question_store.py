"""The mails whose outcome is unknown: open questions, until the Sent folder answers them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from pymongo import UpdateOne

from inbox_watcher.domain.evidence import Ruling
from inbox_watcher.domain.matching import Sent
from inbox_watcher.inserting import insert_new
from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events


@dataclass(frozen=True, slots=True)
class Question:
    """Was `mail` accepted? `mail.sent_at` is when the connection was lost (epoch ms)."""

    mail: Sent
    attempt: int
    looks: int = 0  # how often the Sent folder was looked into

    @property
    def id(self) -> str:
        return f"{self.mail.delivery_id}:{self.attempt}"


class QuestionStore:
    """`_id` = delivery id and attempt: the same question asked again is the same question."""

    def __init__(self, collection: Collection) -> None:
        self._questions = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._questions, "state", "sender_id", "next_look", "asked_at")

    async def ask(self, questions: Iterable[Question], after_ms: int) -> None:
        """Remember questions; those already known stay as they are."""
        await insert_new(self._questions, [_document(q, after_ms) for q in questions])

    async def erase(self, address: str) -> None:
        """Forget whom mails went to; whether they left is still asked, by their Message-ID."""
        nobody = {"recipient": "", "subject": "", "lead_id": ""}
        await self._questions.update_many({"recipient": address}, {"$set": nobody})

    async def due(self, now: int, sender_ids: Sequence[str], limit: int = 500) -> list[Question]:
        """Open questions to look at now, of these senders only."""
        query = {"state": Ruling.OPEN.value, "next_look": {"$lte": now}}
        if await self._questions.find_one(query, {"_id": 1}) is None:
            return []  # as nearly always: spare the server the list of senders
        query["sender_id"] = {"$in": list(sender_ids)}
        found = [d async for d in self._questions.find(query).limit(limit)]
        return [_question(document) for document in found]

    async def postpone(self, postponed: Iterable[tuple[Question, int]]) -> None:
        """Not again before a time (epoch ms), whatever becomes of the look that begins now."""
        await self._write((q, {"$set": {"next_look": at}}) for q, at in postponed)

    async def looked(self, looked: Iterable[tuple[Question, int]]) -> None:
        """Note a look that proved nothing, and when (epoch ms) to look again."""
        await self._write(
            (q, {"$set": {"looks": q.looks + 1, "next_look": at}}) for q, at in looked
        )

    async def close(self, closed: Iterable[tuple[Question, str, list[Announcement]]]) -> None:
        """End questions with a state and the events that follow, each in one write."""
        await self._write(
            (question, update_with_events({"$set": {"state": state}}, events))
            for question, state, events in closed
        )

    async def forget(self, before: int) -> None:
        await self._questions.delete_many({"asked_at": {"$lt": before}, "outbox_size": 0})

    async def _write(self, changes: Iterable[tuple[Question, Document]]) -> None:
        writes = [
            UpdateOne({"_id": question.id, "state": Ruling.OPEN.value}, change)
            for question, change in changes
        ]
        if writes:
            await self._questions.bulk_write(writes, ordered=False)


def _document(question: Question, after_ms: int) -> Document:
    mail = asdict(question.mail)
    asked_at = mail.pop("sent_at")
    mail.pop("certain")
    document = {
        **mail,
        "_id": question.id,
        "attempt": question.attempt,
        "asked_at": asked_at,
        "state": Ruling.OPEN.value,
        "looks": 0,
        "next_look": asked_at + after_ms,
    }
    return with_events(document, ())


def _question(document: Document) -> Question:
    mail = Sent(
        message_id=document["message_id"],
        delivery_id=document["delivery_id"],
        sender_id=document["sender_id"],
        recipient=document["recipient"],
        sent_at=document["asked_at"],
        campaign_id=document.get("campaign_id"),
        step=document.get("step"),
        variant=document.get("variant"),
        lead_id=document.get("lead_id"),
        certain=False,
    )
    return Question(mail, document["attempt"], document["looks"])
