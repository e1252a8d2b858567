"""A campaign run forward in virtual time by the planner itself: when it ends, and who mails how much.

Every mail is accepted at its first try, nobody replies, and limits and health stay as they are: so
it is the latest end if mail arrives, and the load that the fleet must be ready for.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from dispatcher.domain.backlog import Backlog
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.eligibility import Exclusion, Lane, capacity
from dispatcher.domain.gaps import Pace
from dispatcher.domain.openings import opening, spread_ms
from dispatcher.domain.planning import DAY_MS, Candidate, Plan, Terms, plan
from dispatcher.domain.progress import delay_ms
from dispatcher.domain.recipient_hours import FIELD, RecipientHours
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import day_of

MOST_DAYS = 731
_TICK_MS = 15 * 60_000


@dataclass(slots=True)
class Person:
    """A lead on its way; `due` in epoch milliseconds. `zone` is the lead's own, or ""."""

    lead_id: str
    address: str
    step: int
    due: int
    sender_id: str | None = None
    zone: str = ""


@cache
def _named(day: int) -> str:
    """The UTC calendar day of so many days after 1970."""
    return day_of(day * DAY_MS)


def _day(at_ms: int) -> str:
    return _named(at_ms // DAY_MS)


@dataclass(frozen=True, slots=True)
class Load:
    """What a sender has used already of the current day and month."""

    day: int = 0
    month: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """`days` and `senders` count mails; `finish_at` is the last one, None if some never go."""

    finish_at: int | None
    mails: int
    left: int  # mails that did not go within two years
    days: Mapping[str, int]
    senders: Mapping[str, int]
    excluded: tuple[Exclusion, ...] = ()
    first_at: int | None = None


@dataclass(slots=True)
class _Used:
    """Mails of each sender, by UTC day and month; what was used before today's forecast included."""

    days: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    months: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, sender_id: str, at_ms: int, day: int = 1, month: int = 1) -> None:
        today = _day(at_ms)
        self.days[sender_id, today] += day
        self.months[sender_id, today[:7]] += month


class Forecaster:
    """One run over one campaign."""

    def __init__(
        self,
        campaign: Campaign,
        senders: Sequence[SenderSnapshot],
        loads: Mapping[str, Load],
        now_ms: int,
        *,
        gap_ms: int = 0,
        last: Mapping[str, int] | None = None,
    ) -> None:
        self._campaign, self._senders, self._gap_ms = campaign, senders, gap_ms
        self._names = {sender.sender_id for sender in senders}
        self._last = dict(last or {})
        self._start = now_ms
        self._used = _Used()
        for name, load in loads.items():
            self._used.add(name, now_ms, load.day, load.month)
        self._paced = bool(gap_ms) or campaign.schedule.spread
        self._backlog: Backlog[Person, str | None] = Backlog(self._lane)
        self._per_day: Counter[str] = Counter()
        self._per_sender: Counter[str] = Counter()
        self._ends: list[int] = []

    def run(self, people: Sequence[Person]) -> Forecast:
        """Until nobody is left, or for two years."""
        for person in people:
            self._backlog.add(max(person.due, self._start), person)
        now, excluded = self._start, None
        while (due := self._backlog.next_due(now)) is not None:
            at = self._open_from(max(now, due))
            if at is None or at > self._start + MOST_DAYS * DAY_MS:
                break
            made = self._pass(at)
            excluded = made.excluded if excluded is None else excluded
            now = self._next(at, made)
        return self._told(excluded or ())

    def _pass(self, now: int) -> Plan:
        today = _day(now)
        used = self._used
        capacities = {
            one.sender_id: capacity(
                one, used.days[one.sender_id, today], used.months[one.sender_id, today[:7]]
            )
            for one in self._senders
        }
        slots = {name: self._slots(one.left) for name, one in capacities.items()}
        total = sum(slots.values())
        mails = self._backlog.take(now, lambda name: slots[name] if name else total)
        hours = RecipientHours(self._campaign.schedule, now)
        by_candidate = {self._candidate(person, hours): person for person in mails}
        terms = {self._campaign.id: Terms(None, spread_ms(self._campaign.schedule, now))}
        pace = Pace(self._gap_ms, _TICK_MS if self._paced else 0, self._last)
        made = plan(
            list(by_candidate), self._senders, capacities, now, "forecast", terms=terms, pace=pace
        )
        for choice in made.choices:
            self._went(by_candidate[choice.candidate], choice.sender_id, choice.at)
        for waiting in made.waiting:
            self._backlog.add(max(waiting.until, now + 1), by_candidate[waiting.candidate])
        return made

    def _slots(self, left: int) -> int:
        if not self._gap_ms:
            return left
        return min(left, _TICK_MS // self._gap_ms + 1)

    def _candidate(self, person: Person, hours: RecipientHours) -> Candidate:
        bounds = hours.of({FIELD: person.zone}) if self._campaign.schedule.recipient_hours else ()
        key = (person.lead_id, person.address, person.sender_id, self._campaign.id, "")
        return Candidate(*key, Lane.CAMPAIGN, *bounds)

    def _went(self, person: Person, sender_id: str, at: int) -> None:
        self._used.add(sender_id, at)
        self._last[sender_id] = at
        self._per_day[_day(at)] += 1
        self._per_sender[sender_id] += 1
        self._ends.append(at)
        person.sender_id, person.step = sender_id, person.step + 1
        if person.step < len(self._campaign.steps):
            self._backlog.add(at + delay_ms(self._campaign, person.step), person)

    def _next(self, at: int, made: Plan) -> int:
        """The next moment that can bring anything."""
        if self._full(at):
            return (at // DAY_MS + 1) * DAY_MS
        if self._paced:
            return at + _TICK_MS
        return at + 1 if made.choices else min((one.until for one in made.waiting), default=at + 1)

    def _full(self, at: int) -> bool:
        """Whether nobody has room left today."""
        today = _day(at)
        used = self._used
        return all(
            capacity(
                one, used.days[one.sender_id, today], used.months[one.sender_id, today[:7]]
            ).left
            == 0
            for one in self._senders
        )

    def _open_from(self, at: int) -> int | None:
        schedule = self._campaign.schedule
        if schedule.recipient_hours:
            return at
        found = opening(schedule, at)
        return found[0] if found else None

    def _lane(self, person: Person) -> str | None:
        return person.sender_id if person.sender_id in self._names else None

    def _told(self, excluded: tuple[Exclusion, ...]) -> Forecast:
        left = len(self._backlog)
        last, first = max(self._ends, default=None), min(self._ends, default=None)
        return Forecast(
            finish_at=None if left else last,
            mails=len(self._ends),
            left=left,
            days=dict(sorted(self._per_day.items())),
            senders=dict(sorted(self._per_sender.items())),
            excluded=excluded,
            first_at=first,
        )
