"""Every event in: remember deliveries, links and campaigns; count; tell the timelines."""

from collections.abc import Sequence
from dataclasses import dataclass

from postfleet import events
from postfleet.cloudevents import Received
from postfleet.events import Event
from postfleet.instants import to_ms
from tracker.destinations import Destinations
from tracker.domain.deliveries import delivery_of
from tracker.domain.facts import facts_of
from tracker.domain.timeline import entry_of
from tracker.store.campaigns import CampaignNews, CampaignStore
from tracker.store.hits import HitStore
from tracker.store.links import LinkStore
from tracker.store.statistics import StatisticsStore
from tracker.store.timelines import TimelineStore

DURABLE = "tracker-events"

_STATUS: dict[type[Event], str] = {
    events.CampaignCreated: "draft",
    events.CampaignStarted: "running",
    events.CampaignPaused: "paused",
    events.CampaignResumed: "running",
    events.CampaignCompleted: "completed",
}


@dataclass(frozen=True, slots=True)
class EventHandler:
    destinations: Destinations
    hits: HitStore
    links: LinkStore
    campaigns: CampaignStore
    statistics: StatisticsStore
    timelines: TimelineStore

    async def __call__(self, batch: list[Received[Event]]) -> None:
        """Apply a batch; every step may be repeated, in any order."""
        told = [received.event for received in batch]
        await self._remember_deliveries(told)
        await self._remember_campaigns(told)
        await self.statistics.count([fact for event in told for fact in facts_of(event)])
        entries = [entry_of(received) for received in batch]
        await self.timelines.add([entry for entry in entries if entry is not None])

    async def _remember_deliveries(self, told: Sequence[Event]) -> None:
        await self.hits.remember(
            accepted=[delivery_of(e) for e in told if isinstance(e, events.EmailSent)],
            unknown=[delivery_of(e) for e in told if isinstance(e, events.EmailUnknown)],
        )

    async def _remember_campaigns(self, told: Sequence[Event]) -> None:
        for event in told:
            if isinstance(event, events.CampaignLinksCompiled):
                self.destinations.add(event.links)
                at_ms = to_ms(event.occurred_at)
                await self.links.add(event.links, event.campaign_id, at_ms)
        news = [
            CampaignNews(e.campaign_id, e.name, _STATUS.get(type(e), ""), to_ms(e.occurred_at))
            for e in told
            if isinstance(e, events.CampaignEvent)
        ]
        if news:
            await self.campaigns.apply(news)
