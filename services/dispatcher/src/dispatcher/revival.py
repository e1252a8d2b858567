"""A campaign goes on for leads that are new, confirmed, resumed or out of doubt.

One that runs is stirred, so that the planner, which may have seen no such lead, does not complete it;
one that had come to its end runs again.
"""

from collections.abc import Callable

from dispatcher.catalogue import all_links
from dispatcher.domain.campaigns import CampaignState
from dispatcher.store.campaigns import Campaigns
from postfleet.cloudevents import Announcement
from postfleet.events.campaigns import CampaignLinksCompiled, CampaignResumed
from postfleet.instants import now
from postfleet.outbox import OutboxRelay
from postfleet.tokens import TokenKeys

_GOES_ON = (CampaignState.RUNNING, CampaignState.COMPLETED)


class Revival:
    def __init__(
        self,
        campaigns: Campaigns,
        relay: OutboxRelay,
        keys: TokenKeys,
        public_url: str,
        wake_planner: Callable[[], None],
    ) -> None:
        self._campaigns, self._relay, self._keys = campaigns, relay, keys
        self._public_url, self._wake_planner = public_url, wake_planner

    async def of(self, campaign_id: str, leads: int) -> None:
        """So many leads may be mailed now that could not before. May be repeated."""
        if not leads:
            return
        while not await self._campaigns.stir(campaign_id):
            campaign = await self._campaigns.get(campaign_id)
            if campaign is None or campaign.state not in _GOES_ON:
                break
            if campaign.state is CampaignState.RUNNING:
                continue  # somebody was faster
            compiled = all_links(campaign, self._keys, self._public_url)
            links = CampaignLinksCompiled(
                occurred_at=now(),
                campaign_id=campaign.id,
                name=campaign.name,
                links=dict(compiled.tracked),
                canaries=compiled.canaries,
            )
            resumed = CampaignResumed(
                occurred_at=now(), campaign_id=campaign.id, name=campaign.name
            )
            facts = [Announcement(links), Announcement(resumed)]
            if await self._campaigns.move(campaign, CampaignState.RUNNING, facts):
                self._relay.wake()
                break
        self._wake_planner()
