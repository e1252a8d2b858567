"""A delivery's row: what is stored of it, and what is read back."""

from dataclasses import dataclass

from pymongo import UpdateOne

from dispatcher.domain.identity import person_of
from dispatcher.domain.ledger import Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.progress import Before
from postfleet.mongo import Document

WAITING = (Outcome.DEFERRED.value, Outcome.POSTPONED.value)


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as it stands."""

    item: Item
    origin: Origin
    state: str
    document: Document

    @property
    def accepted_at(self) -> int | None:
        return self.document.get("accepted_at")

    @property
    def message_id(self) -> str:
        return str(self.document.get("message_id", ""))

    @property
    def mail_subject(self) -> str:
        return str(self.document.get("mail_subject", ""))

    @property
    def lead_key(self) -> str:
        return f"{self.origin.campaign_id}:{self.item.lead_id}"

    @property
    def as_before(self) -> Before:
        """As the step after it looks at it."""
        document = self.document
        return Before(
            state=self.state,
            accepted_at=self.accepted_at,
            settled_at=document["updated_at"],
            next_attempt_at=document.get("next_attempt_at") or 0,
            meaning=document.get("meaning", ""),
        )


def to_document(batch_id: str, origin: Origin, settled: Settled) -> Document:
    item = settled.item
    tried = settled.outcome not in (Outcome.POSTPONED, Outcome.SKIPPED)
    document: Document = {
        "_id": item.delivery_id,
        "campaign_id": origin.campaign_id,
        "step": origin.step,
        "variant": origin.variant,
        "sender_id": origin.sender_id,
        "category": origin.category,
        "lead_id": item.lead_id,
        "recipient": item.recipient,
        "attempt": item.attempt,
        "first_attempt_at": item.first_at or (settled.at if tried else 0),
        "state": settled.outcome.value,
        "rank": settled.rank,
        "batch_id": batch_id,
        "updated_at": settled.at,
        "message_id": settled.message_id,
        "author": settled.author,
        "mail_subject": settled.mail_subject,
        "reply_code": settled.reply_code,
        "enhanced_status": settled.enhanced_status,
        "reply_text": settled.reply_text,
        "meaning": settled.meaning,
        "fault": settled.fault,
        "reason": settled.reason,
        "next_attempt_at": settled.retry_at or 0,
    }
    if not origin.campaign_id and item.recipient:
        document["person"] = person_of(item.recipient)
    if settled.outcome is Outcome.ACCEPTED:
        document["accepted_at"] = settled.at
    return document


#: Of a plain 250 these are empty, and every value costs the embedded server.
_BLANKS: Document = {
    "enhanced_status": "",
    "meaning": "",
    "fault": "",
    "reason": "",
    "next_attempt_at": 0,
}


def without_blanks(document: Document) -> Document:
    """For a new row. One that waits keeps its time: it is looked for by that."""
    waits = document["state"] in WAITING
    kept = document.copy()
    for name, blank in _BLANKS.items():
        if kept[name] == blank and not (waits and name == "next_attempt_at"):
            del kept[name]
    return kept


def replacing(document: Document) -> UpdateOne:
    """For a row that is there, if it does not rank higher."""
    fields = {name: value for name, value in document.items() if name != "_id"}
    return UpdateOne({"_id": document["_id"], "rank": {"$lte": document["rank"]}}, {"$set": fields})


def row_of(document: Document) -> Row:
    return Row(
        item=Item(
            document["_id"],
            document["lead_id"],
            document["recipient"],
            document["attempt"],
            document.get("first_attempt_at", 0),
        ),
        origin=Origin(
            document["campaign_id"],
            document["step"],
            document["variant"],
            document["sender_id"],
            document["category"],
        ),
        state=document["state"],
        document=_BLANKS | document,
    )
