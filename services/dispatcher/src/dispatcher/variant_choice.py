"""Looks at running campaigns' variants from time to time, and lets the better one win."""

import asyncio
import logging

from dispatcher.domain.campaigns import Campaign, CampaignState, Step
from dispatcher.domain.winner import Choice, Count, judge
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.campaigns import CampaignVariantChosen
from postfleet.instants import now, now_ms
from postfleet.outbox import OutboxRelay

log = logging.getLogger(__name__)


class VariantChoice:
    def __init__(
        self,
        campaigns: Campaigns,
        deliveries: Deliveries,
        relay: OutboxRelay,
        *,
        every_seconds: float,
    ) -> None:
        self._campaigns, self._deliveries, self._relay = campaigns, deliveries, relay
        self._every = every_seconds

    async def run(self) -> None:
        """Runs for ever; a pass that fails is tried again at the next."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.look()
            except Exception as error:
                log.warning("variants were not judged, tried again soon: %r", error)

    async def look(self) -> None:
        """One pass over all running campaigns."""
        for campaign in await self._campaigns.in_state(CampaignState.RUNNING):
            for number, step in enumerate(campaign.steps):
                if step.undecided and await self._judge(campaign, number, step):
                    break  # the campaign's revision has changed; its other steps at the next pass

    async def _judge(self, campaign: Campaign, number: int, step: Step) -> bool:
        assert step.winner is not None
        moment = now_ms()
        old_enough = moment - int(step.winner.after.total_seconds() * 1000)
        mark = f"{step.winner.metric}_at"
        found = await self._deliveries.variant_counts(campaign.id, number, old_enough, mark)
        counts = [Count(v.name, *found.get(v.name, (0, 0))) for v in step.variants if v.weight]
        looked = step.choice.look if step.choice else 0
        choice = judge(counts, step.winner, looked, moment)
        if choice is None:
            return False
        return await self._keep(campaign, number, step, choice)

    async def _keep(self, campaign: Campaign, number: int, step: Step, choice: Choice) -> bool:
        """Compare-and-set: who comes second changes nothing."""
        assert step.winner is not None
        said = []
        if choice.variant:
            chosen = CampaignVariantChosen(
                occurred_at=now(),
                campaign_id=campaign.id,
                name=campaign.name,
                step=number,
                variant=choice.variant,
                metric=step.winner.metric.value,
                reason=choice.reason,
            )
            said = [Announcement(chosen, derived_id(campaign.id, number, chosen.subject))]
        kept = await self._campaigns.choose(campaign, number, choice, said)
        if kept and said:
            self._relay.wake()
        return kept
