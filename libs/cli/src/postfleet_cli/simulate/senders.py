"""Simulated senders, kept by the registry's own rules for limits, health, cooldown and status."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from dispatcher.domain.eligibility import Capacity, capacity
from postfleet.events.senders import MailServer, SenderSnapshot, SenderStatus, SmtpSecurity
from postfleet.instants import from_ms
from postfleet_cli.simulate.options import DAY_MS, HOUR_MS, START_MS, Options
from sender_registry.domain import cooldown
from sender_registry.domain.cooldown import Streak
from sender_registry.domain.health import DELTAS, FULL, Outcome, clamp, delta
from sender_registry.domain.limits import LimitRules, Volume, allowance
from sender_registry.domain.presets import UNPUBLISHED_MAXIMUM
from sender_registry.domain.status import Standing, judge

TEAMS = 5
_SERVER = MailServer(host="smtp.fleet.test", port=587, security=SmtpSecurity.STARTTLS, username="u")


@dataclass(slots=True)
class SimSender:
    """One mailbox. Days are UTC, as days since 1970; `broken` is when its password does not work."""

    number: int
    domain: str
    tags: tuple[str, ...]
    daily_limit: int
    monthly_limit: int | None
    since_ms: int
    warmup_mode: bool
    broken: tuple[int, int] = (0, 0)
    health: int = FULL
    streak: Streak = field(default_factory=Streak)
    last_ms: int | None = None
    sent: dict[int, int] = field(default_factory=dict)
    months: dict[int, int] = field(default_factory=dict)
    penalties: dict[str, int] = field(default_factory=dict)
    _snapshot: SenderSnapshot | None = None
    _before: SenderSnapshot | None = None
    _capacity: Capacity | None = None
    _day: int = -1

    @property
    def id(self) -> str:
        return f"s{self.number:04}"

    def snapshot(self, at_ms: int) -> SenderSnapshot:
        """As the registry would have announced it by now."""
        if self._snapshot is None or self._day != at_ms // DAY_MS:
            self._day = at_ms // DAY_MS
            self._snapshot = self._made(at_ms)
            self._capacity = None
        return self._snapshot

    def used(self, at_ms: int) -> tuple[int, int]:
        """Mails accepted of this sender today and this month."""
        day = at_ms // DAY_MS
        return self.sent.get(day, 0), self.months.get(_month(day), 0)

    def capacity(self, at_ms: int) -> Capacity:
        """What is left of the day and the month; looked at more often than it changes."""
        snapshot = self.snapshot(at_ms)
        if self._capacity is None:
            self._capacity = capacity(snapshot, *self.used(at_ms))
        return self._capacity

    def effective_limit(self, at_ms: int) -> int:
        today, month = self.used(at_ms)
        volume = Volume(
            configured=self.daily_limit,
            provider_maximum=UNPUBLISHED_MAXIMUM,
            age=timedelta(milliseconds=at_ms - self.since_ms),
            monthly_limit=self.monthly_limit,
            sent_today=today,
            sent_this_month=month,
        )
        return allowance(volume, LimitRules()).effective

    def accepted(self, delivery: str, at_ms: int) -> None:
        """A server took responsibility for a mail."""
        self.streak = cooldown.after_success(cooldown.after_time(self.streak, at_ms))
        self._capacity = None
        day = at_ms // DAY_MS
        self.sent[day] = self.sent.get(day, 0) + 1
        self.months[_month(day)] = self.months.get(_month(day), 0) + 1
        self.judged(delivery, Outcome.SENT)

    def error(self, at_ms: int) -> None:
        """An error on the sender's or the connection's side."""
        streak = cooldown.after_time(self.streak, at_ms)
        self.streak = cooldown.after_error(streak, at_ms, at_ms)
        self._snapshot = None

    def judged(self, delivery: str, outcome: Outcome) -> None:
        """A delivery counts once for the worst that was seen of it."""
        worst = self.penalties.get(delivery, 0)
        after = clamp(self.health + delta(outcome, worst))
        if DELTAS[outcome] < worst:
            self.penalties[delivery] = DELTAS[outcome]
        if after != self.health:
            self.health, self._snapshot = after, None

    def _made(self, at_ms: int) -> SenderSnapshot:
        """Most of it never changes: it is copied from the one before."""
        standing = Standing("", "", "", "", self.health, self.warmup_mode)
        until = self.streak.until_ms
        changing: dict[str, Any] = {
            "status": SenderStatus(judge(standing).status),
            "health": self.health,
            "effective_limit": self.effective_limit(at_ms),
            "cooldown_until": from_ms(until) if until else None,
        }
        if self._before is None:
            self._before = self._first(changing)
        else:
            self._before = self._before.model_copy(update=changing)
        return self._before

    def _first(self, changing: dict[str, Any]) -> SenderSnapshot:
        return SenderSnapshot.model_construct(
            sender_id=self.id,
            revision=1,
            email_address=f"{self.id}@{self.domain}",
            domain=self.domain,
            daily_limit=self.daily_limit,
            monthly_limit=self.monthly_limit,
            warmup_mode=self.warmup_mode,
            tags=self.tags,
            smtp=_SERVER,
            **changing,
        )


def fleet(options: Options) -> list[SimSender]:
    """New, young and established mailboxes over a domain for ten of them; a few warm up."""
    chance = Random(f"{options.seed} senders")  # noqa: S311
    domains = max(1, options.senders // 10)
    return [_sender(number, domains, options, chance) for number in range(options.senders)]


def _sender(number: int, domains: int, options: Options, chance: Random) -> SimSender:
    age_days = chance.choice((0, 7, 21, 90, 400))
    begins = START_MS + int(chance.random() * options.days * DAY_MS)
    expires = "credential-expiry" in options.scenarios and chance.random() < 0.05
    hours = chance.randint(6, 72)
    return SimSender(
        number=number,
        domain=f"fleet{number % domains:03}.test",
        tags=(f"team{number % TEAMS}", f"team{(number // domains + 1) % TEAMS}"),
        daily_limit=chance.choice((50, 50, 80, 100)),
        monthly_limit=chance.choice((None, None, None, 1000)),
        since_ms=START_MS - age_days * DAY_MS,
        warmup_mode=chance.random() < 0.02,
        broken=(begins, begins + hours * HOUR_MS) if expires else (0, 0),
    )


_MONTHS: dict[int, int] = {}


def _month(day: int) -> int:
    """The calendar month of a day, as one number."""
    if day not in _MONTHS:
        moment = from_ms(day * DAY_MS)
        _MONTHS[day] = moment.year * 12 + moment.month
    return _MONTHS[day]
