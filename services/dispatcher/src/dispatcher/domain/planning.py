"""Which sender mails which lead now, and why: a pure function that returns its reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dispatcher.domain.draws import draw
from postfleet.events import SenderSnapshot, SenderStatus
from postfleet.instants import to_ms

MIN_HEALTH = 20  # below it a sender gets no campaign mail (S40, C7)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a sender may still take today: the limit, less what is sent, reserved or planned."""

    limit: int
    used: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A lead whose step is due. `sender_id` is the sender of its earlier steps, or None."""

    lead_id: str
    address: str
    sender_id: str | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a sender could not be used: the rule's name and a text for people."""

    sender_id: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is mailed by whom; the leads that wait; and the reasons, which hold for all of them."""

    assigned: dict[str, list[Candidate]] = field(default_factory=dict)
    waiting: list[Candidate] = field(default_factory=list)
    excluded: tuple[Exclusion, ...] = ()
    eligible: tuple[str, ...] = ()


def exclusion(sender: SenderSnapshot, capacity: Capacity, now_ms: int) -> Exclusion | None:
    """The first rule that keeps this sender from campaign mail now, or None."""
    rules = (
        ("deleted", sender.deleted, "the sender was deleted"),
        ("suspended", sender.suspended, "an operator suspended it"),
        ("warmup", sender.warmup_mode, "it is warming up and takes no campaigns"),
        ("restricted", sender.status is not SenderStatus.READY, f"its status is {sender.status}"),
        ("health", sender.health < MIN_HEALTH, f"its health is {sender.health}, below 20"),
        ("access", "campaign" not in sender.access_methods, "campaigns are not an access method"),
        ("cooldown", in_cooldown(sender, now_ms), f"it cools down until {sender.cooldown_until}"),
        ("limit", capacity.left == 0, f"{capacity.used} of {capacity.limit} are used today"),
    )
    for rule, applies, detail in rules:
        if applies:
            return Exclusion(sender.sender_id, rule, detail)
    return None


def in_cooldown(sender: SenderSnapshot, now_ms: int) -> bool:
    return sender.cooldown_until is not None and to_ms(sender.cooldown_until) > now_ms


def plan(
    candidates: Sequence[Candidate],
    senders: Sequence[SenderSnapshot],
    capacities: Mapping[str, Capacity],
    now_ms: int,
    seed: str,
) -> Plan:
    """Assign each candidate to an eligible sender with room: by health times remaining capacity.

    A lead stays with the sender of its earlier steps and waits while that one cannot send. No
    sender is given more than its capacity.
    """
    excluded = {}
    room: dict[str, int] = {}
    for sender in senders:
        capacity = capacities[sender.sender_id]
        reason = exclusion(sender, capacity, now_ms)
        if reason:
            excluded[sender.sender_id] = reason
        else:
            room[sender.sender_id] = capacity.left
    result = Plan(excluded=tuple(excluded.values()), eligible=tuple(room))
    health = {sender.sender_id: sender.health for sender in senders}
    for candidate in candidates:
        chosen = _choose(candidate, room, health, seed)
        if chosen is None:
            result.waiting.append(candidate)
            continue
        room[chosen] -= 1
        result.assigned.setdefault(chosen, []).append(candidate)
    return result


def _choose(
    candidate: Candidate, room: Mapping[str, int], health: Mapping[str, int], seed: str
) -> str | None:
    if candidate.sender_id in health:
        return candidate.sender_id if room.get(candidate.sender_id or "", 0) > 0 else None
    names = sorted(name for name, left in room.items() if left > 0)
    if not names:
        return None
    weights = [health[name] * room[name] for name in names]
    return names[draw(weights, seed, candidate.lead_id)]
