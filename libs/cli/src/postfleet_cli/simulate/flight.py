"""The loop of virtual time: what is due is planned, sent, answered, and told to everybody concerned."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from dispatcher.domain.backlog import Backlog
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.eligibility import Capacity, Lane, exclusion
from dispatcher.domain.gaps import Pace
from dispatcher.domain.ledger import Item, Settled
from dispatcher.domain.openings import opening, spread_ms
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.planning import Candidate, Choice, Plan, Terms, plan
from dispatcher.domain.progress import delay_ms
from dispatcher.domain.recipient_hours import FIELD, RecipientHours
from dispatcher.domain.retries import Refusal, RetryRules, refused
from postfleet.instants import to_ms
from postfleet_cli.simulate import receivers
from postfleet_cli.simulate.options import MINUTE_MS, START_MS, Options
from postfleet_cli.simulate.people import SimLead, campaigns, leads
from postfleet_cli.simulate.senders import SimSender, fleet
from postfleet_cli.simulate.throttles import Throttles
from sender_registry.domain import health
from sender_registry.domain.cooldown import COUNTED_FAULTS

TICK_MS = 15 * MINUTE_MS
_RULES = RetryRules(base_seconds=300, window_seconds=24 * 3600)
_AGAIN_MS = MINUTE_MS
_ROOM = Capacity(1, 0)


@dataclass(frozen=True, slots=True)
class Mail:
    """A lead's step that is due, or due again."""

    lead: SimLead
    step: int
    attempt: int = 1
    first_at: int = 0

    @property
    def delivery(self) -> str:
        return f"{self.lead.id}:{self.step}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the timeline: what was tried, and what the server said."""

    at: int
    sender: int
    lead: SimLead
    step: int
    attempt: int
    code: int
    category: str
    fault: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What came back: a reply, a late DSN, a complaint, an absence note."""

    at: int
    what: str
    sender: int
    lead: SimLead
    step: int


@dataclass(slots=True)
class Timeline:
    """Everything that happened, in order."""

    attempts: list[Attempt] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    gate: int = 0  # planned, and kept back at the last look


class Flight:
    """One simulation; `fly` once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.senders = fleet(options)
        self.campaigns = campaigns(options)
        self.leads = leads(options)
        self.timeline = Timeline()
        self.receivers = receivers.Receivers(options)
        self.throttles = Throttles(TICK_MS)
        self._by_id = {sender.id: sender for sender in self.senders}
        self._teams = [self._team(campaign) for campaign in self.campaigns]
        self._backlog: Backlog[Mail, tuple[int, str | None]] = Backlog(
            lambda mail: (mail.lead.campaign, mail.lead.sender_id)
        )
        self._notices: list[tuple[int, int, Notice]] = []
        self._order = count()

    def fly(self) -> Timeline:
        """From the first to the last minute."""
        for lead in self.leads:
            self._backlog.add(START_MS, Mail(lead, 0))
        for now in range(START_MS, self.options.end_ms, TICK_MS):
            self._hear(now)
            self._tick(now)
        self._hear(self.options.end_ms)
        return self.timeline

    def _tick(self, now: int) -> None:
        capacities = self._capacities(now)
        mails = list(self._due(now, capacities))
        if not mails:
            return
        by_lead = {mail.lead.id: mail for mail in mails}  # nobody has two steps due at once
        made = self._plan(list(self._candidates(mails, now)), capacities, now)
        self.throttles.take([choice.candidate.destination for choice in made.choices], now)
        for waiting in made.waiting:
            self._backlog.add(max(waiting.until, now + 1), by_lead[waiting.candidate.lead_id])
        for choice in sorted(made.choices, key=_when):
            self._hear(choice.at)
            self._go(by_lead[choice.candidate.lead_id], choice)

    def _capacities(self, now: int) -> dict[str, Capacity]:
        return {name: sender.capacity(now) for name, sender in self._by_id.items()}

    def _due(self, now: int, capacities: dict[str, Capacity]) -> Iterator[Mail]:
        slots = [
            self._slots(campaign, team, capacities, now)
            for campaign, team in zip(self.campaigns, self._teams, strict=True)
        ]
        totals = [sum(one.values()) for one in slots]

        def room(lane: tuple[int, str | None]) -> int:
            campaign, sender_id = lane
            return slots[campaign].get(sender_id, 0) if sender_id else totals[campaign]

        for mail in self._backlog.take(now, room):
            if not mail.lead.ended:
                yield mail

    def _slots(
        self, campaign: Campaign, team: frozenset[str], capacities: dict[str, Capacity], now: int
    ) -> dict[str, int]:
        """sender id -> about how many mails it could take for this campaign in this tick."""
        if not self._open(campaign, now):
            return {}
        most, spread = TICK_MS // self.options.gap_ms + 1, spread_ms(campaign.schedule, now)
        found = {}
        for name in team:
            left = capacities[name].left
            share = left * TICK_MS // spread + 1 if spread else left
            found[name] = min(left, most, share)
        return found

    def _candidates(self, mails: Sequence[Mail], now: int) -> Iterator[Candidate]:
        hours = [RecipientHours(campaign.schedule, now) for campaign in self.campaigns]
        closing = [opening(campaign.schedule, now) for campaign in self.campaigns]
        for mail in mails:
            lead = mail.lead
            campaign, closes = self.campaigns[lead.campaign], closing[lead.campaign]
            if campaign.schedule.recipient_hours:
                bounds = hours[lead.campaign].of({FIELD: lead.zone} if lead.zone else {})
            else:
                bounds = (0, closes[1] if closes else 0)
            key = (lead.id, lead.address, lead.sender_id, campaign.id, lead.destination)
            yield Candidate(*key, Lane.CAMPAIGN, *bounds)

    def _plan(
        self, candidates: Sequence[Candidate], capacities: dict[str, Capacity], now: int
    ) -> Plan:
        terms = {
            campaign.id: Terms(team, spread_ms(campaign.schedule, now))
            for campaign, team in zip(self.campaigns, self._teams, strict=True)
        }
        last = {one.id: one.last_ms for one in self.senders if one.last_ms is not None}
        return plan(
            candidates,
            [sender.snapshot(now) for sender in self.senders],
            capacities,
            now,
            str(self.options.seed),
            rooms=self.throttles.rooms({one.destination for one in candidates}, now),
            terms=terms,
            pace=Pace(self.options.gap_ms, TICK_MS - 1, last),
        )

    def _go(self, mail: Mail, choice: Choice) -> None:
        """The gate looks again: what was true when the plan was made may not be any more."""
        sender, at = self._by_id[choice.sender_id], choice.at
        if mail.lead.ended:
            return
        if exclusion(sender.snapshot(at), _ROOM, at):
            self.timeline.gate += 1
            until = sender.snapshot(at).cooldown_until
            self._backlog.add(max(at + _AGAIN_MS, to_ms(until) if until else 0), mail)
            return
        sender.last_ms, mail.lead.sender_id = at, sender.id
        answer = self.receivers.answer(mail.lead, sender, mail.attempt, at)
        item = Item(mail.delivery, mail.lead.id, mail.lead.address, mail.attempt, mail.first_at)
        if answer.reply.positive:
            self._note(mail, sender, at, 250)
            self._accepted(mail, sender, at)
            return
        refusal = Refusal(answer.reply, answer.phase, str(answer.reply))
        self._refused(
            mail, sender, refused(Settled(item, Outcome.DEFERRED, at), refusal, _RULES, at)
        )

    def _accepted(self, mail: Mail, sender: SimSender, at: int) -> None:
        sender.accepted(mail.delivery, at)
        self.throttles.went(mail.lead.destination, at)
        for when, what in self.receivers.later(at):
            notice = Notice(when, what, sender.number, mail.lead, mail.step)
            heapq.heappush(self._notices, (when, next(self._order), notice))
        campaign = self.campaigns[mail.lead.campaign]
        if mail.step + 1 < len(campaign.steps):
            due = at + delay_ms(campaign, mail.step + 1)
            self._backlog.add(due, Mail(mail.lead, mail.step + 1))
        else:
            mail.lead.ended = "finished"

    def _refused(self, mail: Mail, sender: SimSender, settled: Settled) -> None:
        at, code = settled.at, settled.reply_code or 0
        self._note(mail, sender, at, code, settled.meaning, settled.fault)
        if settled.fault in COUNTED_FAULTS:
            sender.error(at)
        if settled.meaning == "rate_limited":
            self.throttles.throttled(mail.lead.destination, at)
        if settled.outcome is Outcome.DEFERRED:
            if settled.soft_bounce:
                sender.judged(mail.delivery, health.Outcome.SOFT_BOUNCE)
            again = Mail(mail.lead, mail.step, mail.attempt + 1, mail.first_at or at)
            self._backlog.add(settled.retry_at or at + _AGAIN_MS, again)
            return
        mail.lead.ended = "invalid" if settled.fault == "recipient" else "failed"
        if settled.fault == "recipient":
            verdict = health.judge_bounce(settled.enhanced_status, settled.meaning)
            sender.judged(mail.delivery, verdict)
        elif code >= 500:
            sender.judged(mail.delivery, health.Outcome.PERMANENT_FAILURE)

    def _hear(self, until: int) -> None:
        """What has come back by now: it ends sequences and moves healths."""
        while self._notices and self._notices[0][0] <= until:
            _, _, notice = heapq.heappop(self._notices)
            self.timeline.notices.append(notice)
            sender, delivery = self.senders[notice.sender], f"{notice.lead.id}:{notice.step}"
            if notice.what == "reply":
                notice.lead.ended = "replied"
            elif notice.what == "dsn":
                notice.lead.ended = "invalid"
                sender.judged(delivery, health.Outcome.INVALID_RECIPIENT)
            elif notice.what == "complaint":
                notice.lead.ended = "complained"
                sender.judged(delivery, health.Outcome.COMPLAINT)

    def _note(
        self, mail: Mail, sender: SimSender, at: int, code: int, category: str = "", fault: str = ""
    ) -> None:
        line = Attempt(at, sender.number, mail.lead, mail.step, mail.attempt, code, category, fault)
        self.timeline.attempts.append(line)

    def _team(self, campaign: Campaign) -> frozenset[str]:
        wanted = set(campaign.senders)
        return frozenset(sender.id for sender in self.senders if wanted & {*sender.tags})

    def _open(self, campaign: Campaign, now: int) -> bool:
        found = opening(campaign.schedule, now)
        return campaign.schedule.recipient_hours or (found is not None and found[0] <= now)


def _when(choice: Choice) -> tuple[int, str, str]:
    return choice.at, choice.sender_id, choice.candidate.lead_id
