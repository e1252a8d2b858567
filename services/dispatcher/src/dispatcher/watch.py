"""Watches figures, and stops what they condemn: campaigns, and factors that senders share."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.domain.auto_pause import Advice, Finding, PauseRules, judge
from dispatcher.domain.blast_radius import (
    BlastRules,
    Factor,
    Sight,
    Trouble,
    factors_of,
    suspects,
    trouble_of,
)
from dispatcher.domain.campaigns import Campaign, CampaignState
from dispatcher.domain.ledger import Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.pauses import Pauses
from dispatcher.store.senders import Senders
from dispatcher.store.sights import BUCKET_MS, Place, Seen, Sights
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.campaigns import CampaignPaused, CampaignWarned
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import from_ms, now_ms
from postfleet.outbox import OutboxRelay

log = logging.getLogger(__name__)

WINDOW_MS = 3 * BUCKET_MS
_TRIED = frozenset({Outcome.ACCEPTED, Outcome.DEFERRED, Outcome.FAILED})


@dataclass(frozen=True, slots=True)
class WatchRules:
    pauses: PauseRules
    blast: BlastRules
    every_seconds: float


@dataclass(frozen=True, slots=True)
class Relays:
    """Announce what was written with a campaign, and with a pause."""

    campaigns: OutboxRelay
    pauses: OutboxRelay


def template_of(origin: Origin) -> str:
    """What several senders send alike; a mail of its own has none."""
    if not origin.campaign_id:
        return ""
    return f"{origin.campaign_id}:{origin.step}:{origin.variant}"


def factors_of_sender(sender: SenderSnapshot, template: str) -> frozenset[Factor]:
    """A provider that is not a known one is its SMTP host."""
    custom = sender.provider == "CUSTOM_SMTP"
    return factors_of(sender.domain, sender.smtp.host if custom else sender.provider, template)


class Watch:
    def __init__(
        self,
        *,
        campaigns: Campaigns,
        deliveries: Deliveries,
        senders: Senders,
        sights: Sights,
        pauses: Pauses,
        relays: Relays,
        rules: WatchRules,
    ) -> None:
        self._campaigns, self._deliveries, self._senders = campaigns, deliveries, senders
        self._sights, self._pauses = sights, pauses
        self._relays, self._rules = relays, rules
        self._new: dict[Place, tuple[int, dict[Trouble, int]]] = {}
        self._concerns: set[str] = set()
        self._trouble_at = now_ms()  # an earlier life may have met some

    # -- hearing, without waiting ----------------------------------------------------------------------

    def saw(self, origin: Origin, settled: Settled) -> None:
        """One mail was tried."""
        if settled.outcome not in _TRIED or not origin.sender_id:
            return
        bucket = settled.at // BUCKET_MS * BUCKET_MS
        place = Place(bucket, origin.sender_id, template_of(origin))
        attempts, troubles = self._new.setdefault(place, (0, {}))
        trouble = trouble_of(settled.meaning, settled.fault)
        if trouble:
            troubles[trouble] = troubles.get(trouble, 0) + 1
            self._trouble_at = settled.at
        self._new[place] = (attempts + 1, troubles)

    def concern(self, campaign_id: str | None) -> None:
        """A bounce or a complaint came: the campaign's figures are looked at soon."""
        if campaign_id:
            self._concerns.add(campaign_id)

    # -- looking ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs for ever. What an earlier life did not get to is looked at first."""
        first = True
        while True:
            try:
                if first:
                    running = await self._campaigns.in_state(CampaignState.RUNNING)
                    self._concerns |= {campaign.id for campaign in running}
                    first = False
                await self.look()
            except PyMongoError as error:
                log.warning("figures are not watched, tried again soon: %s", error)
            await asyncio.sleep(self._rules.every_seconds)

    async def look(self) -> None:
        """Once: write what was seen, judge the shared factors, judge the campaigns of concern."""
        now = now_ms()
        await self._write()
        if now - self._trouble_at < WINDOW_MS:
            await self._factors(now)
        await self._sights.forget(now - 2 * WINDOW_MS)
        for campaign_id in list(self._concerns):
            if await self._settled(campaign_id, now):
                self._concerns.discard(campaign_id)

    async def _write(self) -> None:
        new, self._new = self._new, {}
        await self._sights.add({place: Seen(n, met) for place, (n, met) in new.items()})

    # -- factors ---------------------------------------------------------------------------------------

    async def _factors(self, now: int) -> None:
        for suspect in suspects(await self._evidence(now), self._rules.blast):
            if await self._pauses.pause(suspect, now):
                self._relays.pauses.wake()
                gauges.factors_paused.labels(suspect.factor.kind.value).inc()
                log.error("paused: %s", suspect.reason)

    async def _evidence(self, now: int) -> list[Sight]:
        """What every sender met in the window, without what is older than a factor's resumption."""
        found = await self._sights.since(now - WINDOW_MS)
        known = {place: self._factors_at(place) for place in found}
        everything = {factor for factors in known.values() for factor in factors}
        resumed = await self._pauses.resumed(everything)
        active = await self._pauses.active()
        return [
            Sight(place.sender_id, _relevant(known[place], place.at, resumed, active), *_pair(seen))
            for place, seen in found.items()
        ]

    def _factors_at(self, place: Place) -> frozenset[Factor]:
        sender = self._senders.get(place.sender_id)
        return factors_of_sender(sender, place.template) if sender else frozenset()

    # -- campaigns -------------------------------------------------------------------------------------

    async def _settled(self, campaign_id: str, now: int) -> bool:
        """Judge it; False: too few mails yet to be done with the concern."""
        campaign = await self._campaigns.get(campaign_id)
        if campaign is None or campaign.state is not CampaignState.RUNNING:
            return True
        since = await self._campaigns.running_since(campaign_id)
        rules = self._rules.pauses
        figures = await self._deliveries.figures(campaign_id, since, rules)
        finding = judge(figures, rules)
        if finding.advice is Advice.PAUSE:
            return await self._pause(campaign, finding, now)
        if finding.advice is Advice.WARN:
            await self._warn(campaign, finding, since, now)
        return figures.sends >= rules.min_sends or not (figures.hard_bounces + figures.complaints)

    async def _pause(self, campaign: Campaign, finding: Finding, now: int) -> bool:
        event = CampaignPaused(
            occurred_at=from_ms(now),
            campaign_id=campaign.id,
            name=campaign.name,
            by=finding.rule,
            reason=finding.reason,
        )
        if not await self._campaigns.move(campaign, CampaignState.PAUSED, [Announcement(event)]):
            return False  # somebody changed it: judged again at the next look
        self._relays.campaigns.wake()
        gauges.campaigns_paused.labels(finding.rule).inc()
        log.error("campaign %s paused: %s", campaign.id, finding.reason)
        return True

    async def _warn(self, campaign: Campaign, finding: Finding, since: int, now: int) -> None:
        event = CampaignWarned(
            occurred_at=from_ms(now),
            campaign_id=campaign.id,
            name=campaign.name,
            rule=finding.rule,
            reason=finding.reason,
        )
        told = Announcement(event, derived_id(campaign.id, since, event.subject, finding.rule))
        if await self._campaigns.warn(campaign, since, [told]):
            self._relays.campaigns.wake()
            gauges.campaigns_warned.labels(finding.rule).inc()
            log.warning("campaign %s: %s", campaign.id, finding.reason)


def _relevant(
    factors: frozenset[Factor],
    at: int,
    resumed: Mapping[Factor, int],
    active: Mapping[Factor, object],
) -> frozenset[Factor]:
    """Those that this evidence may still condemn; of a paused one there is nothing more to say.

    What a paused factor explains must not be blamed on another one that its senders share.
    """
    if factors & active.keys():
        return frozenset()
    return frozenset(factor for factor in factors if at >= resumed.get(factor, 0))


def _pair(seen: Seen) -> tuple[int, Mapping[Trouble, int]]:
    return seen.attempts, seen.troubles
