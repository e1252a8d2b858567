"""Start, pause, resume: the life of a campaign, each move by compare-and-set with its event."""

from collections.abc import Sequence
from typing import Any

from dispatcher.api.campaign_view import CampaignParts, conflict, shown
from dispatcher.domain.campaigns import Campaign, CampaignState
from postfleet.cloudevents import Announcement
from postfleet.events.campaigns import CampaignPaused, CampaignResumed, CampaignStarted
from postfleet.events.event import Event
from postfleet.instants import now
from postfleet.problems import Problem


class CampaignStates:
    def __init__(self, parts: CampaignParts) -> None:
        self._parts = parts

    async def start(self, campaign_id: str) -> dict[str, Any]:
        """Start a draft; starting a running campaign changes nothing."""
        campaign = await self._parts.find(campaign_id)
        if campaign.state is CampaignState.RUNNING:
            return shown(campaign)
        await self._parts.check_team(campaign)
        count = sum((await self._parts.leads.counts(campaign_id)).values())
        if not count:
            raise Problem(409, "NO_LEADS", "the campaign has no leads; add some, then start it")
        await self._parts.check_fields(campaign)
        started = CampaignStarted(
            occurred_at=now(), campaign_id=campaign.id, name=campaign.name, leads=count
        )
        return await self._run(campaign, CampaignState.DRAFT, started)

    async def resume(self, campaign_id: str) -> dict[str, Any]:
        """Go on after a pause."""
        campaign = await self._parts.find(campaign_id)
        if campaign.state is CampaignState.RUNNING:
            return shown(campaign)
        return await self._run(campaign, CampaignState.PAUSED, _resumed(campaign))

    async def pause(self, campaign_id: str) -> dict[str, Any]:
        """Plan nothing more; what is in flight settles."""
        campaign = await self._parts.find(campaign_id)
        if campaign.state is CampaignState.PAUSED:
            return shown(campaign)
        paused = CampaignPaused(
            occurred_at=now(), campaign_id=campaign.id, name=campaign.name, by="operator"
        )
        return await self._move(campaign, CampaignState.RUNNING, CampaignState.PAUSED, [paused])

    async def _run(
        self, campaign: Campaign, expected: CampaignState, fact: CampaignStarted | CampaignResumed
    ) -> dict[str, Any]:
        facts = [self._parts.checked_links(campaign), fact]
        return await self._move(campaign, expected, CampaignState.RUNNING, facts)

    async def _move(
        self, campaign: Campaign, expected: CampaignState, to: CampaignState, facts: Sequence[Event]
    ) -> dict[str, Any]:
        if campaign.state is not expected:
            raise Problem(409, "WRONG_STATE", f"the campaign is {campaign.state}, not {expected}")
        said = [Announcement(fact) for fact in facts]
        if not await self._parts.campaigns.move(campaign, to, said):
            raise conflict()
        self._parts.relay.wake()
        self._parts.wake_planner()
        return shown(await self._parts.find(campaign.id))


def _resumed(campaign: Campaign) -> CampaignResumed:
    return CampaignResumed(occurred_at=now(), campaign_id=campaign.id, name=campaign.name)
