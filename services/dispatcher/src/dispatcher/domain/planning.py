"""Which sender mails which lead, when, and why: a pure function that returns its reasons.

The order of the rules: the transactional lane before campaigns, campaigns in turns; the recipient's
hours and destination; the sender of the earlier steps, else a draw by health times remaining
capacity over domains that take turns; and for every sender its limit and its gap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dispatcher.domain.eligibility import Capacity, Exclusion, Lane, exclusion
from dispatcher.domain.fairness import in_turns
from dispatcher.domain.gaps import Pace, free_at
from dispatcher.domain.rotation import Rotation
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import to_ms

FOREVER = 1 << 60
DAY_MS = 24 * 3600 * 1000
_LOOK_AGAIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mail that is due. `sender_id` is the sender of the lead's earlier steps, or None.

    `destination` is who receives: the key of a throttle. `opens_at` and `closes_at` bound the
    recipient's hours, in epoch milliseconds.
    """

    lead_id: str
    address: str
    sender_id: str | None = None
    campaign_id: str = ""
    destination: str = ""
    lane: Lane = Lane.CAMPAIGN
    opens_at: int = 0
    closes_at: int = FOREVER


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one campaign: the senders it may use (None: all), and the open time left today over which
    their capacity is spread (0: as fast as it goes)."""

    team: frozenset[str] | None = None
    spread_ms: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """This candidate goes through this sender at `at`, drawn with this weight (0: it had to be)."""

    candidate: Candidate
    sender_id: str
    at: int
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """This candidate waits; `until` is when it is worth another look, not a promise."""

    candidate: Candidate
    rule: str
    detail: str
    until: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is mailed by whom and when, who waits, and the reasons, which hold for the whole pass.

    `eligible` are the senders that could be used as the pass began, with their weights.
    """

    choices: list[Choice] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    excluded: tuple[Exclusion, ...] = ()
    eligible: Mapping[str, int] = field(default_factory=dict)

    @property
    def assigned(self) -> dict[str, list[Candidate]]:
        """sender id -> its candidates, in the order in which they were placed."""
        found: dict[str, list[Candidate]] = {}
        for choice in self.choices:
            found.setdefault(choice.sender_id, []).append(choice.candidate)
        return found


def plan(
    candidates: Sequence[Candidate],
    senders: Sequence[SenderSnapshot],
    capacities: Mapping[str, Capacity],
    now_ms: int,
    seed: str,
    *,
    rooms: Mapping[str, int] | None = None,
    terms: Mapping[str, Terms] | None = None,
    pace: Pace | None = None,
) -> Plan:
    """Place each candidate, or say why it waits. The same arguments give the same plan.

    `rooms` says how many mails may go to a destination now (not named: any number), `terms` what
    holds for a campaign, by its id.
    """
    run = _Pass(senders, capacities, now_ms, seed, dict(rooms or {}), terms or {}, pace or Pace())
    in_turns(candidates, run.place, seed, now_ms)
    campaign = run.barred(Lane.CAMPAIGN)
    eligible = {name: run.weight_at_start(name) for name in run.senders if name not in campaign}
    return Plan(run.choices, run.waiting, tuple(campaign.values()), eligible)


class _Pass:
    """What is used up while one plan is made."""

    def __init__(
        self,
        senders: Sequence[SenderSnapshot],
        capacities: Mapping[str, Capacity],
        now_ms: int,
        seed: str,
        rooms: dict[str, int],
        terms: Mapping[str, Terms],
        pace: Pace,
    ) -> None:
        self.senders = {sender.sender_id: sender for sender in senders}
        self._capacities, self._now, self._seed = capacities, now_ms, seed
        self._rooms, self._terms, self._pace = rooms, terms, pace
        self._left = {name: capacities[name].left for name in self.senders}
        self._last = {name: pace.last[name] for name in self.senders if name in pace.last}
        self._barred: dict[Lane, dict[str, Exclusion]] = {}
        self._rotations: dict[tuple[Lane, Terms], Rotation] = {}
        self._when: dict[tuple[Lane, Terms], int] = {}
        # The same by campaign: its name is hashed once, terms at every look.
        self._rotation_of: dict[str, Rotation] = {}
        self._nobody_of: dict[str, tuple[str, str, int]] = {}
        self.choices: list[Choice] = []
        self.waiting: list[Waiting] = []

    def barred(self, lane: Lane) -> Mapping[str, Exclusion]:
        """The senders that may not be used at all for this lane now."""
        if lane not in self._barred:
            rules = (
                exclusion(sender, self._capacities[name], self._now, lane)
                for name, sender in self.senders.items()
            )
            self._barred[lane] = {reason.sender_id: reason for reason in rules if reason}
        return self._barred[lane]

    def weight_at_start(self, sender_id: str) -> int:
        return self.senders[sender_id].health * self._capacities[sender_id].left

    def place(self, candidate: Candidate) -> bool:
        """Give it to a sender, or note why not; whether it was placed."""
        terms = self._terms.get(candidate.campaign_id, _ANY)
        reason = self._closed(candidate) or self._give(candidate, terms)
        if reason:
            self.waiting.append(Waiting(candidate, *reason))
        return reason is None

    def _closed(self, candidate: Candidate) -> tuple[str, str, int] | None:
        if candidate.opens_at > self._now:
            return "recipient_hours", "it is not mailing time at the recipient", candidate.opens_at
        if candidate.destination and self._rooms.get(candidate.destination, 1) <= 0:
            detail = f"{candidate.destination} takes no more mail now"
            return "destination", detail, self._now + _LOOK_AGAIN_MS
        return None

    def _give(self, candidate: Candidate, terms: Terms) -> tuple[str, str, int] | None:
        rotation = self._rotation_for(candidate, terms)
        sticky = candidate.sender_id
        if sticky is not None and self._in_team(sticky, terms):
            if sticky not in rotation:
                return self._keeps_waiting(sticky, candidate.lane, terms)
            chosen = sticky
        else:
            drawn = rotation.draw(self._seed, candidate.campaign_id, candidate.lead_id)
            if drawn is None:
                return self._nobody_for(candidate, terms)
            chosen = drawn
        at = self._free_at(chosen, terms)
        if at >= candidate.closes_at:
            return "recipient_hours", "its mailing time ends before a sender is free", at
        weight = 0 if chosen == sticky else rotation.weight(chosen)
        self.choices.append(Choice(candidate, chosen, at, weight))
        self._use(chosen, candidate.destination, at)
        return None

    def _rotation_for(self, candidate: Candidate, terms: Terms) -> Rotation:
        if candidate.lane is not Lane.CAMPAIGN:
            return self._rotation(candidate.lane, terms)
        found = self._rotation_of.get(candidate.campaign_id)
        if found is None:
            found = self._rotation(candidate.lane, terms)
            self._rotation_of[candidate.campaign_id] = found
        return found

    def _nobody_for(self, candidate: Candidate, terms: Terms) -> tuple[str, str, int]:
        if candidate.lane is not Lane.CAMPAIGN:
            return self._nobody(candidate.lane, terms)
        found = self._nobody_of.get(candidate.campaign_id)
        if found is None:
            found = self._nobody(candidate.lane, terms)
            self._nobody_of[candidate.campaign_id] = found
        return found

    def _use(self, sender_id: str, destination: str, at: int) -> None:
        self._left[sender_id] -= 1
        self._last[sender_id] = at
        if destination in self._rooms:
            self._rooms[destination] -= 1
        for (_, terms), rotation in self._rotations.items():
            if sender_id in rotation:
                rotation.put(sender_id, self._weight(sender_id, terms))

    def _keeps_waiting(self, sender_id: str, lane: Lane, terms: Terms) -> tuple[str, str, int]:
        barred = self.barred(lane).get(sender_id)
        detail = barred.detail if barred else "it has no room at this moment"
        text = f"it stays with the sender of its earlier steps, {sender_id}: {detail}"
        return "sticky", text, self._next(sender_id, lane, terms)

    def _nobody(self, lane: Lane, terms: Terms) -> tuple[str, str, int]:
        key = (lane, terms)
        if key not in self._when:
            team = list(self._team(terms))
            self._when[key] = min(
                (self._next(name, lane, terms) for name in team), default=self._now + _LOOK_AGAIN_MS
            )
        return "no_sender", "no sender of its campaign can take it now", self._when[key]

    def _next(self, sender_id: str, lane: Lane, terms: Terms) -> int:
        """When this sender is worth another look."""
        barred = self.barred(lane).get(sender_id)
        until = self.senders[sender_id].cooldown_until
        if barred and barred.rule == "cooldown" and until is not None:
            return to_ms(until)
        if self._left[sender_id] <= 0:
            return (self._now // DAY_MS + 1) * DAY_MS  # a day of UTC, as quotas count
        if barred:
            return self._now + _LOOK_AGAIN_MS
        return max(self._free_at(sender_id, terms), self._now + 1)

    def _rotation(self, lane: Lane, terms: Terms) -> Rotation:
        key = (lane, terms)
        if key not in self._rotations:
            barred = self.barred(lane)
            names = [name for name in self._team(terms) if name not in barred]
            weights = {name: self._weight(name, terms) for name in names}
            domains = {name: self.senders[name].domain for name in names}
            self._rotations[key] = Rotation(weights, domains, self._seed, self._now)
        return self._rotations[key]

    def _weight(self, sender_id: str, terms: Terms) -> int:
        left = self._left[sender_id]
        if left <= 0 or self._free_at(sender_id, terms) > self._now + self._pace.horizon_ms:
            return 0
        return max(1, self.senders[sender_id].health) * left

    def _free_at(self, sender_id: str, terms: Terms) -> int:
        spread_ms = terms.spread_ms / max(1, self._left[sender_id])
        last = self._last.get(sender_id)
        return free_at(sender_id, last, self._now, self._pace.gap_ms, spread_ms, self._seed)

    def _team(self, terms: Terms) -> Iterator[str]:
        return (name for name in self.senders if self._in_team(name, terms))

    def _in_team(self, sender_id: str, terms: Terms) -> bool:
        return sender_id in self.senders and (terms.team is None or sender_id in terms.team)


_ANY = Terms()
