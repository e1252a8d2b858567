"""What would happen: a campaign run forward, and one lead's next mail. Nothing is written."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dispatcher.domain.campaigns import Campaign, CampaignState, LeadState
from dispatcher.domain.forecast import Forecast, Forecaster, Load
from dispatcher.domain.openings import opening
from dispatcher.domain.progress import Move, Next
from dispatcher.domain.reasons import reasons
from dispatcher.planner import Planner, Stores
from dispatcher.planning_pass import first_attempts
from dispatcher.store.lead_documents import Lead
from dispatcher.store.people import People
from dispatcher.store.quotas import Used
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import day_of

MOST_PEOPLE = 250_000  # of one forecast; each takes about 1 kB


@dataclass(frozen=True, slots=True)
class Ahead:
    """A forecast, the senders that it was made with, and how many leads."""

    forecast: Forecast
    senders: Mapping[str, SenderSnapshot]
    people: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one lead's next mail. `at` is None where no mail is to come, or nobody can say when."""

    rule: str
    detail: str
    at: int | None
    sender_id: str | None = None
    reasons: Mapping[str, Any] | None = None


class Outlook:
    def __init__(self, stores: Stores, people: People, planner: Planner, gap_ms: int) -> None:
        self._stores, self._people, self._planner = stores, people, planner
        self._gap_ms = gap_ms
        self._one = asyncio.Lock()  # a forecast takes a core for seconds

    async def ahead(self, campaign: Campaign, without: Collection[str], now: int) -> Ahead:
        """The campaign's mails to come, through all its senders but those of these domains."""
        async with self._one:
            found = await self._stores.senders.find(campaign.senders)
            senders = {one.sender_id: one for one in found if one.domain not in without}
            used = await self._stores.quotas.used(list(senders), day_of(now))
            planned = await self._stores.batches.planned()
            loads = {name: _load(used.get(name, Used()), planned.get(name, 0)) for name in senders}
            people = await self._people.waiting(campaign, MOST_PEOPLE)
            last = await self._stores.turns.last(senders) if self._gap_ms else {}
            forecaster = Forecaster(
                campaign,
                [senders[name] for name in sorted(senders)],
                loads,
                now,
                gap_ms=self._gap_ms,
                last=last,
            )
            forecast = await asyncio.to_thread(forecaster.run, people)
            return Ahead(forecast, senders, len(people))

    async def next_mail(self, campaign: Campaign, lead: Lead, now: int) -> Verdict:
        """When the lead's next mail would go and through whom, or the rule that keeps it back."""
        if lead.state is not LeadState.ACTIVE:
            return Verdict("lead", f"the lead is {lead.state}", None)
        suppressed = await self._stores.suppressions.of([lead.address])
        if suppressed:
            reason = f"suppressed: {suppressed[lead.address]}"
            return Verdict("suppressed", reason, None)
        answer = await self._planner.due_leads.next_of(campaign, lead, now)
        stopped = _stopped(campaign, lead, answer, now)
        if stopped is not None and stopped.at is None:
            return stopped
        planned = await self._by_whom(campaign, lead, now)
        if stopped is None or planned.at is None:
            return planned
        return Verdict(
            stopped.rule,
            stopped.detail,
            max(stopped.at or 0, planned.at),
            planned.sender_id,
            planned.reasons,
        )

    async def _by_whom(self, campaign: Campaign, lead: Lead, now: int) -> Verdict:
        view = await self._planner.fleet.view([campaign], now)
        candidates = list(self._planner.passes.candidates(first_attempts(campaign, [lead]), now))
        made = await self._planner.passes.plan(candidates, view, now)
        team = view.team(campaign.id)
        for choice in made.choices:
            told = reasons(made, team, choice.sender_id, choice.weight)
            return Verdict("", "it may go now", choice.at, choice.sender_id, told)
        waiting = made.waiting[0]
        told = reasons(made, team)
        return Verdict(waiting.rule, waiting.detail, waiting.until, lead.sender_id, told)


def _stopped(campaign: Campaign, lead: Lead, answer: Next, now: int) -> Verdict | None:
    """What comes before any sender is looked for."""
    if lead.step >= len(campaign.steps):
        return Verdict("finished", "it had the last step of its campaign", None)
    if answer.move is Move.END:
        return Verdict("finished", "the mail before did not arrive: nothing more is sent", None)
    if answer.move is Move.SKIP:
        return Verdict("condition", answer.reason, None)
    if campaign.state is not CampaignState.RUNNING:
        return Verdict("campaign", f"the campaign is {campaign.state}", None)
    if answer.move is Move.WAIT:
        return Verdict("delay", f"step {lead.step + 1} is not due yet", answer.at)
    found = None if campaign.schedule.recipient_hours else opening(campaign.schedule, now)
    if found and found[0] > now:
        return Verdict("schedule", "the campaign's window is closed", found[0])
    return None


def _load(used: Used, planned: int) -> Load:
    return Load(used.day + planned, used.month + planned)
