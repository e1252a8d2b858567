"""Whether a sender may be used now, and the rule that keeps it from being used."""

from dataclasses import dataclass
from enum import StrEnum

from postfleet.events.senders import SenderSnapshot, SenderStatus
from postfleet.instants import to_ms

MIN_HEALTH = 20  # below it a sender gets no campaign mail (S40, C7)


class Lane(StrEnum):
    """Transactional mail goes before campaigns, and by senders that take no campaigns too."""

    TRANSACTIONAL = "transactional"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a sender may still take today: the limit, less what is sent, reserved or planned."""

    limit: int
    used: int
    bar: str = ""  # why it mails nobody now, whatever its limit

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


def capacity(sender: SenderSnapshot, today: int, month: int) -> Capacity:
    """Of the day's and the month's limit the one that binds, from what is used of both."""
    if sender.monthly_limit is not None and sender.monthly_limit - month < (
        sender.effective_limit - today
    ):
        return Capacity(sender.monthly_limit, month)
    return Capacity(sender.effective_limit, today)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a sender could not be used: the rule's name and a text for people."""

    sender_id: str
    rule: str
    detail: str


def exclusion(
    sender: SenderSnapshot, capacity: Capacity, now_ms: int, lane: Lane = Lane.CAMPAIGN
) -> Exclusion | None:
    """The first rule that keeps this sender from mail of this lane now, or None."""
    rule = _rule(sender, capacity, now_ms, lane)
    return Exclusion(sender.sender_id, rule, _detail(rule, sender, capacity)) if rule else None


def _rule(sender: SenderSnapshot, capacity: Capacity, now_ms: int, lane: Lane) -> str:
    for campaign_only, rule, applies in (
        (False, "deleted", sender.deleted),
        (False, "suspended", sender.suspended),
        (True, "warmup", sender.warmup_mode),
        (False, "restricted", not _may(sender.status, lane)),
        (True, "health", sender.health < MIN_HEALTH),
        (True, "access", "campaign" not in sender.access_methods),
        (False, "cooldown", in_cooldown(sender, now_ms)),
        (False, "brake", bool(capacity.bar)),
        (False, "limit", capacity.used >= capacity.limit),
    ):
        if applies and (lane is Lane.CAMPAIGN or not campaign_only):
            return rule
    return ""


def _may(status: SenderStatus, lane: Lane) -> bool:
    return status is SenderStatus.READY or (
        lane is Lane.TRANSACTIONAL and status is SenderStatus.WARMUP
    )


def _detail(rule: str, sender: SenderSnapshot, capacity: Capacity) -> str:
    return {
        "deleted": "the sender was deleted",
        "suspended": "an operator suspended it",
        "warmup": "it is warming up and takes no campaigns",
        "restricted": f"its status is {sender.status}",
        "health": f"its health is {sender.health}, below {MIN_HEALTH}",
        "access": "campaigns are not an access method",
        "cooldown": f"it cools down until {sender.cooldown_until}",
        "brake": capacity.bar,
        "limit": f"{capacity.used} of {capacity.limit} are used today",
    }[rule]


def in_cooldown(sender: SenderSnapshot, now_ms: int) -> bool:
    return sender.cooldown_until is not None and to_ms(sender.cooldown_until) > now_ms
