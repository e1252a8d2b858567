"""An independent look at the timeline: every rule written down a second time, from the requirements.

It shares no code with the planner: it knows what happened and what the senders, leads and campaigns
are, and recounts. What it finds is a violation, each with an example.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dispatcher.domain.campaigns import Campaign
from postfleet_cli.simulate.flight import TICK_MS, Attempt, Flight, Notice
from postfleet_cli.simulate.options import DAY_MS
from postfleet_cli.simulate.people import SimLead

_PAUSE_MS = 30 * 60_000  # after three errors in a row
_LOSSES = {"invalid": -15, "soft": -5, "permanent": -10, "complaint": -15}
_SENDER_FAULTS = ("sender", "connection")

RULES = (
    "daily limit", "age ramp", "monthly limit", "warmup", "health below 20", "cooldown", "gap",
    "window", "sticky sender", "sent twice", "mail after the end", "step too early", "team",
    "destination paced",
)  # fmt: skip


@dataclass(slots=True)
class _Mailbox:
    days: Counter[int] = field(default_factory=Counter)
    months: Counter[tuple[int, int]] = field(default_factory=Counter)
    health: int = 100
    errors: int = 0
    pause_until: int = 0
    probing: bool = False
    last: int | None = None
    worst: dict[tuple[str, int], int] = field(default_factory=dict)


class Auditor:
    """Recounts one flight."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._boxes = [_Mailbox() for _ in flight.senders]
        self._sender_of: dict[str, int] = {}
        self._accepted: dict[tuple[str, int], int] = {}
        self._over: dict[str, int] = {}
        self._open: dict[tuple[int, str, int], bool] = {}
        self.violations: Counter[str] = Counter(dict.fromkeys(RULES, 0))
        self.examples: dict[str, str] = {}

    def audit(self) -> Counter[str]:
        """rule -> how often it was broken."""
        timeline = self._flight.timeline
        facts: list[tuple[int, int, Attempt | Notice]] = []
        facts += [(one.at, 0, one) for one in timeline.notices]
        facts += [(one.at, 1, one) for one in timeline.attempts]
        for _, _, fact in sorted(facts, key=lambda fact: fact[:2]):
            if isinstance(fact, Attempt):
                self._attempt(fact)
            else:
                self._notice(fact)
        self._paces()
        return self.violations

    def _attempt(self, one: Attempt) -> None:
        sender, box = self._flight.senders[one.sender], self._boxes[one.sender]
        campaign = self._flight.campaigns[one.lead.campaign]
        self._check("warmup", not sender.warmup_mode, one)
        self._check("health below 20", box.health >= 20, one)
        self._check("cooldown", one.at >= box.pause_until, one)
        gap = self._flight.options.gap_ms
        self._check("gap", box.last is None or one.at >= box.last + gap, one)
        self._check("window", self._in_window(campaign, one), one)
        self._check("team", bool({*campaign.senders} & {*sender.tags}), one)
        first = self._sender_of.setdefault(one.lead.id, one.sender)
        self._check("sticky sender", first == one.sender, one)
        self._check("sent twice", (one.lead.id, one.step) not in self._accepted, one)
        self._check("mail after the end", one.at < self._over.get(one.lead.id, one.at + 1), one)
        if one.step:
            before = self._accepted.get((one.lead.id, one.step - 1))
            wait = campaign.steps[one.step].delay // timedelta(milliseconds=1)
            self._check("step too early", before is not None and one.at >= before + wait, one)
        box.last = one.at
        self._count(one, box)

    def _count(self, one: Attempt, box: _Mailbox) -> None:
        """What the outcome changes, and whether an acceptance was one too many."""
        if one.at >= box.pause_until > 0 and not box.probing:
            box.probing, box.errors = True, 2
        if one.code == 250:
            self._accepted[one.lead.id, one.step] = one.at
            box.errors, box.probing, box.pause_until = 0, False, 0
            self._limits(one, box)
            box.health = min(100, box.health + 1)
            return
        if one.fault in _SENDER_FAULTS:
            box.errors += 1
            if box.errors >= 3:
                box.errors, box.probing, box.pause_until = 0, False, one.at + _PAUSE_MS
        if one.fault == "recipient" and one.code >= 500:
            self._lose(one.sender, one.lead, one.step, "invalid")
            self._over[one.lead.id] = one.at
        elif one.code >= 500 and one.fault == "content":
            self._lose(one.sender, one.lead, one.step, "permanent")
        elif one.category == "mailbox_full":
            self._lose(one.sender, one.lead, one.step, "soft")

    def _limits(self, one: Attempt, box: _Mailbox) -> None:
        sender = self._flight.senders[one.sender]
        day = one.at // DAY_MS
        moment = datetime.fromtimestamp(one.at / 1000, UTC)
        box.days[day] += 1
        box.months[moment.year, moment.month] += 1
        age_days = (one.at - sender.since_ms) / DAY_MS
        ramp = 30 if age_days < 14 else 80 if age_days < 28 else 100
        self._check("daily limit", box.days[day] <= sender.daily_limit, one)
        self._check("age ramp", box.days[day] <= ramp, one)
        month = box.months[moment.year, moment.month]
        most = sender.monthly_limit
        self._check("monthly limit", most is None or month <= most, one)

    def _notice(self, one: Notice) -> None:
        if one.what == "out-of-office":
            return
        self._over.setdefault(one.lead.id, one.at)
        if one.what in ("dsn", "complaint"):
            kind = "invalid" if one.what == "dsn" else "complaint"
            self._lose(one.sender, one.lead, one.step, kind)

    def _lose(self, number: int, lead: SimLead, step: int, kind: str) -> None:
        """A delivery counts for the worst that was seen of it."""
        box, key = self._boxes[number], (lead.id, step)
        before = box.worst.get(key, 0)
        if _LOSSES[kind] < before:
            box.worst[key] = _LOSSES[kind]
            box.health = max(0, box.health + _LOSSES[kind] - before)

    def _in_window(self, campaign: Campaign, one: Attempt) -> bool:
        schedule = campaign.schedule
        zone = (schedule.recipient_hours and one.lead.zone) or schedule.timezone
        key = (one.lead.campaign, zone, one.at // 60_000)
        if key not in self._open:
            local = datetime.fromtimestamp(one.at / 1000, ZoneInfo(zone))
            self._open[key] = _inside(campaign, local)
        return self._open[key]

    def _paces(self) -> None:
        """To a paced destination no more mails were tried in a tick than it had room for."""
        tried: dict[tuple[int, str], int] = defaultdict(int)
        for one in self._flight.timeline.attempts:
            destination = one.lead.destination
            tried[one.at // TICK_MS * TICK_MS, destination] += 1
        for key, room in self._flight.throttles.granted.items():
            if tried[key] > room:
                self.violations["destination paced"] += 1
                self.examples.setdefault("destination paced", f"{key}: {tried[key]} of {room}")

    def _check(self, rule: str, holds: bool, one: Attempt) -> None:
        if not holds:
            self.violations[rule] += 1
            self.examples.setdefault(
                rule, f"{one.lead.id} step {one.step} at {one.at} by {one.sender}"
            )


def _inside(campaign: Campaign, local: datetime) -> bool:
    minutes = local.hour * 60 + local.minute
    days = campaign.schedule.days or range(7)
    for start, end in campaign.schedule.windows:
        opens, closes = start.hour * 60 + start.minute, end.hour * 60 + end.minute
        if opens < closes:
            if opens <= minutes < closes and local.weekday() in days:
                return True
        elif (minutes >= opens and local.weekday() in days) or (
            minutes < closes and (local.weekday() - 1) % 7 in days
        ):
            return True
    return False
