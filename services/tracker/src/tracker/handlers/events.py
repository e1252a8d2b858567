"""Every event in: remember links and campaigns, and count."""

from collections.abc import Sequence
from dataclasses import dataclass

from postfleet.cloudevents import Received
from postfleet.events.campaigns import (
    CampaignCompleted,
    CampaignCreated,
    CampaignDeleted,
    CampaignEvent,
    CampaignLinksCompiled,
    CampaignPaused,
    CampaignResumed,
    CampaignStarted,
)
from postfleet.events.event import Event
from postfleet.instants import to_ms
from tracker.destinations import Destinations
from tracker.domain.facts import facts_of
from tracker.domain.links import canary_destination
from tracker.store.campaigns import CampaignNews, CampaignStore
from tracker.store.links import Link, LinkStore
from tracker.store.statistics import StatisticsStore

DURABLE = "tracker-events"

_STATUS: dict[type[Event], str] = {
    CampaignCreated: "draft",
    CampaignStarted: "running",
    CampaignPaused: "paused",
    CampaignResumed: "running",
    CampaignCompleted: "completed",
    CampaignDeleted: "deleted",
}


@dataclass(frozen=True, slots=True)
class EventHandler:
    destinations: Destinations
    links: LinkStore
    campaigns: CampaignStore
    statistics: StatisticsStore
    home: str = ""  # where the hidden links of a campaign lead that has no others

    async def __call__(self, batch: list[Received[Event]]) -> None:
        """Apply a batch; every step may be repeated, in any order."""
        told = [received.event for received in batch]
        await self._remember_campaigns(told)
        await self.statistics.count([fact for event in told for fact in facts_of(event)])

    async def _remember_campaigns(self, told: Sequence[Event]) -> None:
        for event in told:
            if isinstance(event, CampaignLinksCompiled):
                links = self._links(event)
                self.destinations.add({id_: link.url for id_, link in links.items()})
                await self.links.add(links, event.campaign_id, to_ms(event.occurred_at))
        news = [
            CampaignNews(e.campaign_id, e.name, _STATUS.get(type(e), ""), to_ms(e.occurred_at))
            for e in told
            if isinstance(e, CampaignEvent)
        ]
        if news:
            await self.campaigns.apply(news)

    def _links(self, event: CampaignLinksCompiled) -> dict[str, Link]:
        """The hidden links answer as all others do: a machine must not see which they are."""
        hidden = Link(canary_destination(event.links, self.home), canary=True)
        shown = {link_id: Link(url) for link_id, url in event.links.items()}
        return {**dict.fromkeys(event.canaries, hidden), **shown}
