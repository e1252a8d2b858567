"""What became of mails, applied to their sender: counts, health, errors in a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from postfleet.cloudevents import Received
from postfleet.events.deliveries import (
    BounceHard,
    BounceSoft,
    DeliveryEvent,
    EmailDeferred,
    EmailFailed,
    EmailSent,
    EmailUnknown,
)
from postfleet.events.event import Event
from postfleet.events.inbox import ComplaintReceived, WarmupReceived
from postfleet.instants import to_ms
from postfleet.smtp_reply_texts import CATEGORIES, POLICY
from sender_registry.domain import cooldown, health
from sender_registry.domain.blame import cause_of
from sender_registry.domain.health import DELTAS, Outcome
from sender_registry.domain.sender import Sender, WarmupTally


@dataclass(frozen=True, slots=True)
class Applied:
    """The sender afterwards, and the deliveries that were punished now: id -> the worst delta."""

    sender: Sender
    penalties: Mapping[str, int]


def apply(
    sender: Sender,
    received: Iterable[Received[Event]],
    penalties: Mapping[str, int],
    now_ms: int,
) -> Applied:
    """Apply events in their order. `penalties` holds what deliveries were punished with before."""
    known, new = dict(penalties), dict[str, int]()
    for item in received:
        event = item.event
        if not isinstance(event, DeliveryEvent):
            continue
        sender = _count(sender, event, now_ms)
        outcome = outcome_of(event)
        if outcome is None:
            continue
        worst = known.get(event.delivery_id, 0)
        change = health.delta(outcome, worst)
        sender = replace(
            sender,
            health=health.clamp(sender.health + change),
            health_cause=cause_of(event) if change < 0 else sender.health_cause,
        )
        if DELTAS[outcome] < worst:
            known[event.delivery_id] = new[event.delivery_id] = DELTAS[outcome]
    return Applied(sender, new)


def outcome_of(event: DeliveryEvent) -> Outcome | None:
    """What the event says about health; None where another event says it, or none does.

    A refusal of the recipient arrives as a bounce as well, and counts there.
    """
    match event:
        case EmailSent():
            return Outcome.SENT
        case BounceHard():
            return health.judge_bounce(event.enhanced_status, event.category)
        case BounceSoft():
            return Outcome.SOFT_BOUNCE
        case ComplaintReceived():
            return Outcome.COMPLAINT
        case EmailFailed() if event.fault != "recipient" and (event.reply_code or 0) >= 500:
            return Outcome.PERMANENT_FAILURE
        case _:
            return None


def _count(sender: Sender, event: DeliveryEvent, now_ms: int) -> Sender:
    at_ms = to_ms(event.occurred_at)
    if isinstance(event, EmailSent):
        counts, streak = sender.counts.plus_one(at_ms), cooldown.after_success(sender.streak)
        tally = _tally(sender, at_ms, sent=1)
        return replace(sender, counts=counts, streak=streak, warmup_tally=tally)
    if isinstance(event, WarmupReceived):
        tally = _tally(sender, at_ms, received=1, spam=int(event.placement == "junk"))
        return replace(sender, warmup_tally=tally)
    if isinstance(event, BounceHard | BounceSoft) or _refused_by_policy(event):
        sender = replace(sender, warmup_tally=_tally(sender, at_ms, refused=1))
    if _is_error(event):
        return replace(sender, streak=cooldown.after_error(sender.streak, at_ms, now_ms))
    return sender


def _tally(sender: Sender, at_ms: int, **counts: int) -> WarmupTally:
    if not sender.profile.warmup_mode:
        return sender.warmup_tally
    return sender.warmup_tally.plus(at_ms, **counts)


def _refused_by_policy(event: DeliveryEvent) -> bool:
    """Refused as spam, for instance: no bounce, for it is not about the recipient."""
    if not isinstance(event, EmailFailed):
        return False
    level, _ = CATEGORIES.get(event.category, ("", ""))
    return level == POLICY


def _is_error(event: DeliveryEvent) -> bool:
    if isinstance(event, EmailDeferred) and event.same_outage:
        return False  # one failed connection is one error, however many mails waited for it
    if isinstance(event, EmailDeferred | EmailFailed):
        return event.fault in cooldown.COUNTED_FAULTS
    return isinstance(event, EmailUnknown) and event.cause == "connection"
