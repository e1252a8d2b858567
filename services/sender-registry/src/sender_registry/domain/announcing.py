"""Which events follow from a change: compared, not remembered, so that no write can forget one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.event import Event
from postfleet.events.senders import (
    CredentialExpiring,
    SenderCooldownEnded,
    SenderCooldownStarted,
    SenderCreated,
    SenderDeleted,
    SenderEvent,
    SenderHealthChanged,
    SenderLimitReached,
    SenderReady,
    SenderRestricted,
    SenderResumed,
    SenderStatus,
    SenderSuspended,
    SenderUpdated,
    SenderWarmupAdvanced,
)
from postfleet.instants import from_ms, to_ms
from sender_registry.domain.cooldown import ERRORS_IN_A_ROW
from sender_registry.domain.deadlines import parse_key
from sender_registry.domain.health import is_news
from sender_registry.domain.limits import LimitRules, next_reset
from sender_registry.domain.sender import Profile, Sender, snapshot, warmed


@dataclass(frozen=True, slots=True)
class Change:
    """A sender before and after, the events to be said, and when."""

    before: Sender | None
    after: Sender
    announcements: tuple[Announcement, ...]


def settle(before: Sender, after: Sender, now: datetime, rules: LimitRules) -> Change | None:
    """The change as it is written, or None if there is none."""
    after = _with_limits(after, now, rules)
    if after == before:
        return None
    after = replace(after, revision=before.revision + 1)
    return Change(before, after, _named(after, _events(before, after, now, rules)))


def created(sender: Sender, now: datetime, rules: LimitRules) -> Change:
    after = replace(_with_limits(sender, now, rules), revision=1)
    return Change(None, after, _named(after, [SenderCreated(**_common(after, now))]))


def _with_limits(sender: Sender, now: datetime, rules: LimitRules) -> Sender:
    """With the limit that holds now, and the end of the pause if it is used up."""
    if sender.deleted_ms:
        return sender
    sender = warmed(sender, to_ms(now))
    allowance = sender.allowance(now, rules)
    now_ms = to_ms(now)
    until_ms = sender.limit_until_ms if sender.limit_until_ms > now_ms else 0
    used_up = sender.counts.on_day(now_ms) >= allowance.effective
    if used_up and not until_ms:
        until_ms = to_ms(next_reset(allowance.binding, now))
    return replace(
        sender, told_limit=allowance.effective, limit_until_ms=until_ms if used_up else 0
    )


def _common(sender: Sender, now: datetime) -> dict[str, Any]:
    return {"occurred_at": now, "sender_id": sender.id, "sender": snapshot(sender)}


def _named(sender: Sender, events: Sequence[Event]) -> tuple[Announcement, ...]:
    """With ids that follow from the revision: the same write says the same, once."""
    return tuple(
        Announcement(event, derived_id(sender.id, sender.revision, event.subject, *_which(event)))
        for event in events
    )


def _which(event: Event) -> tuple[str, ...]:
    """What tells events of one subject apart where a write may say several."""
    return (event.what,) if isinstance(event, CredentialExpiring) else ()


def _events(before: Sender, after: Sender, now: datetime, rules: LimitRules) -> list[Event]:
    common = _common(after, now)
    if after.deleted_ms:
        return [] if before.deleted_ms else [SenderDeleted(**common)]
    return [
        *_settings(before, after, common),
        *_suspension(before, after, common),
        *_cooldown(before, after, common),
        *_health(before, after, common),
        *_limit(before, after, common, now, rules),
        *_status(before, after, common),
        *_warmup(before, after, common),
        *_deadlines(before, after, now),
    ]


def _settings(before: Sender, after: Sender, common: dict[str, Any]) -> list[SenderEvent]:
    changed = [
        field.name
        for field in fields(Profile)
        if getattr(before.profile, field.name) != getattr(after.profile, field.name)
    ]
    if before.smtp != after.smtp:
        changed.append("smtp")
    if (before.imap, before.reply_detection) != (after.imap, after.reply_detection):
        changed.append("imap")
    if before.secrets_ms != after.secrets_ms:
        changed.append("credentials")
    if before.status != after.status and after.status is SenderStatus.WARMUP:
        changed.append("status")
    if before.told_limit != after.told_limit:
        changed.append("effective_limit")
    return [SenderUpdated(**common, changed=tuple(changed))] if changed else []


def _suspension(before: Sender, after: Sender, common: dict[str, Any]) -> list[SenderEvent]:
    if before.suspension == after.suspension:
        return []
    if after.suspension.by:
        by, reason = after.suspension.by, after.suspension.reason
        return [SenderSuspended(**common, by=by, reason=reason)]
    return [SenderResumed(**common)]


def _cooldown(before: Sender, after: Sender, common: dict[str, Any]) -> list[SenderEvent]:
    was, until = before.streak.until_ms, after.streak.until_ms
    if was == until:
        return []
    if not until:
        return [SenderCooldownEnded(**common)]
    reason = f"{ERRORS_IN_A_ROW} errors in a row"
    return [SenderCooldownStarted(**common, until=from_ms(until), reason=reason)]


def _health(before: Sender, after: Sender, common: dict[str, Any]) -> list[SenderEvent]:
    if not is_news(before.health, after.health):
        return []
    cause = after.health_cause if after.health < before.health else ""
    return [SenderHealthChanged(**common, previous=before.health, health=after.health, cause=cause)]


def _limit(
    before: Sender, after: Sender, common: dict[str, Any], now: datetime, rules: LimitRules
) -> list[SenderEvent]:
    until = after.limit_until_ms
    if not until or until == before.limit_until_ms:
        return []
    binding = after.allowance(now, rules).binding
    return [SenderLimitReached(**common, limit=binding.value, until=from_ms(until))]


def _status(before: Sender, after: Sender, common: dict[str, Any]) -> list[SenderEvent]:
    was, judgement = before.judgement, after.judgement
    if (was.status, was.code) == (judgement.status, judgement.code):
        return []
    if judgement.status is SenderStatus.RESTRICTED:
        return [SenderRestricted(**common, reason=judgement.reason, code=judgement.code)]
    if judgement.status is SenderStatus.READY:
        return [SenderReady(**common)]
    return []


def _warmup(before: Sender, after: Sender, common: dict[str, Any]) -> list[SenderEvent]:
    was, plan = before.warmup, after.warmup
    if not plan.day or (was.day, was.volume) == (plan.day, plan.volume):
        return []
    return [SenderWarmupAdvanced(**common, day=plan.day, volume=plan.volume)]


def _deadlines(before: Sender, after: Sender, now: datetime) -> list[Event]:
    """What is at risk is the volume that could be sent until now."""
    reached = map(parse_key, sorted(set(after.warned) - set(before.warned)))
    return [
        CredentialExpiring(
            occurred_at=now,
            sender_id=after.id,
            what=deadline.what.value,
            expires_at=from_ms(deadline.at_ms),
            daily_volume=after.told_limit,
        )
        for deadline in reached
    ]
