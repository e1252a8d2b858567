"""The ledger's values: what is to be sent, and what became of it.

A delivery goes scheduled → transmitting → accepted | deferred | failed | skipped | unknown. Facts are
appended under keys that make repetition harmless: a batch, an attempt before the final dot, a
settlement with what the server said.
"""

from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from dispatcher.domain.identity import attempt_id
from dispatcher.domain.outcomes import Outcome, severity
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.deliveries import (
    BounceHard,
    BounceSoft,
    EmailDeferred,
    EmailFailed,
    EmailSent,
    EmailSkipped,
    EmailUnknown,
)
from postfleet.events.event import Event
from postfleet.instants import from_ms
from postfleet.smtp import SmtpReply
from postfleet.smtp_reply import Severity

MAX_REPLY_TEXT = 1000
_CATEGORIES = ("campaign", "transactional", "warmup")
CRASHED = "the process ended between the attempt and its settlement"

#: Within one attempt a later fact replaces an earlier one only if it ranks higher.
_RANK = {
    Outcome.POSTPONED: 0,
    Outcome.UNKNOWN: 1,
    Outcome.DEFERRED: 3,
    Outcome.SKIPPED: 5,
    Outcome.FAILED: 5,
    Outcome.ACCEPTED: 6,
}


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery of a batch. `attempt` counts from 1; `first_at` is when the first was, 0 before it."""

    delivery_id: str
    lead_id: str
    recipient: str
    attempt: int = 1
    first_at: int = 0

    @property
    def values(self) -> list[str | int]:
        """All fields in order. `dataclasses.astuple` copies deeply: ten times the time, per mail."""
        return list(_ITEM_VALUES(self))

    @property
    def key(self) -> str:
        return attempt_id(self.delivery_id, self.attempt)


_ITEM_VALUES = attrgetter(*(field.name for field in fields(Item)))
WARMUP = "warmup"  # the category of mails between senders of the fleet


@dataclass(frozen=True, slots=True)
class Origin:
    """What all deliveries of a batch have in common."""

    campaign_id: str
    step: int
    variant: str
    sender_id: str
    category: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A job: one sender, one step and variant, up to 50 deliveries. It never changes."""

    id: str
    origin: Origin
    items: tuple[Item, ...]
    created_at: int
    reasons: str = "{}"  # JSON: who was eligible, who was excluded by which rule


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one attempt, or of an item that was not tried (`skipped`, `postponed`)."""

    item: Item
    outcome: Outcome
    at: int
    message_id: str = ""
    author: str = ""
    mail_subject: str = ""
    reply_code: int | None = None
    enhanced_status: str = ""
    reply_text: str = ""
    meaning: str = ""  # the category of a failure
    fault: str = ""
    phase: str = ""  # how far the conversation was
    soft_bounce: bool = False
    same_outage: bool = False  # the connection failed; another mail stands for the failure
    retry_at: int | None = None
    reason: str = ""

    @property
    def rank(self) -> int:
        return self.item.attempt * 10 + _RANK[self.outcome]

    def with_reply(self, reply: SmtpReply | None) -> "Settled":
        """With what the server said, if it said anything."""
        if reply is None:
            return self
        return replace(
            self,
            reply_code=reply.code,
            enhanced_status=reply.enhanced_status,
            reply_text=reply.text[:MAX_REPLY_TEXT],
        )


def announcements(origin: Origin, settled: Settled) -> list[Announcement]:
    """The events that follow; their ids derive from delivery and attempt."""
    return [
        Announcement(
            event, derived_id(settled.item.delivery_id, settled.item.attempt, event.subject)
        )
        for event in _events(origin, settled)
    ]


def _events(origin: Origin, settled: Settled) -> list[Event]:
    item = settled.item
    base: dict[str, Any] = {
        "occurred_at": from_ms(settled.at),
        "delivery_id": item.delivery_id,
        "campaign_id": origin.campaign_id or None,
        "step": origin.step,
        "variant": origin.variant,
        "lead_id": item.lead_id,
        "sender_id": origin.sender_id,
        "recipient": item.recipient,
        "message_id": settled.message_id,
        "warmup": origin.category == WARMUP,
    }
    if settled.outcome is Outcome.SKIPPED:
        return [EmailSkipped.model_validate({**base, "reason": settled.reason})]
    if settled.outcome is Outcome.UNKNOWN:
        cause = "crash" if settled.reason == CRASHED else "connection"
        return [EmailUnknown.model_validate({**base, "attempt": item.attempt, "cause": cause})]
    if settled.outcome is Outcome.POSTPONED:
        return []
    reply = {
        **base,
        "attempt": item.attempt,
        "reply_code": settled.reply_code,
        "enhanced_status": settled.enhanced_status,
        "reply_text": settled.reply_text,
    }
    if settled.outcome is Outcome.ACCEPTED:
        sent = {"author": settled.author, "category": _category(origin)}
        # Checking takes half the time of pydantic's `model_construct`, which is Python.
        return [EmailSent.model_validate({**reply, **sent, "mail_subject": settled.mail_subject})]
    failure = {**reply, "category": settled.meaning, "fault": settled.fault}
    if settled.outcome is Outcome.DEFERRED:
        retry_at = from_ms(settled.retry_at or settled.at)
        return [
            EmailDeferred.model_validate(
                {**failure, "retry_at": retry_at, "same_outage": settled.same_outage}
            ),
            *_bounces(BounceSoft, base, settled, settled.soft_bounce),
        ]
    return [
        EmailFailed.model_validate(failure),
        *_bounces(BounceHard, base, settled, _means(settled, Severity.HARD)),
        *_bounces(BounceSoft, base, settled, _means(settled, Severity.SOFT)),
    ]


def _category(origin: Origin) -> str:
    """A mail of its own may have any category; events know what it is not: of a campaign."""
    own = not origin.campaign_id and origin.category not in _CATEGORIES
    return "transactional" if own else origin.category


def _means(settled: Settled, level: Severity) -> bool:
    """A failure is a bounce where it is about the recipient: hard if the address is dead."""
    return settled.fault == "recipient" and severity(settled.meaning) is level


def _bounces(
    kind: type[BounceHard] | type[BounceSoft],
    base: dict[str, object],
    settled: Settled,
    applies: bool,
) -> list[Event]:
    if not applies:
        return []
    bounce = {
        "category": settled.meaning,
        "enhanced_status": settled.enhanced_status,
        "diagnostic": f"smtp; {settled.reply_code} {settled.reply_text}",
        "observed": "smtp",
    }
    return [kind.model_validate({**base, **bounce})]
