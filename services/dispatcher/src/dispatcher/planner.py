"""Plans: which due leads and deliveries become batches now. Planning twice makes the same ids."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dispatcher.announcer import Announcer
from dispatcher.domain.campaigns import Campaign, CampaignState, open_at
from dispatcher.due_leads import DueLeads
from dispatcher.fleet import Fleet
from dispatcher.planning_pass import Due, PlanningPass, Throttle, first_attempts
from dispatcher.store.batches import Batches
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.leads import Leads
from dispatcher.store.leases import Leases
from dispatcher.store.quotas import Quotas
from dispatcher.store.senders import Senders
from dispatcher.store.suppressions import Suppressions
from dispatcher.store.turns import Turns
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events.campaigns import CampaignCompleted
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import from_ms, now, now_ms

log = logging.getLogger(__name__)

_LEADS_A_PASS = 1000  # of one campaign
_MOST_A_PASS = 20_000  # of all campaigns together
_ROWS_A_PASS = 1000
_LEASE = "planner"
_LEAST_LEASE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Stores:
    campaigns: Campaigns
    leads: Leads
    deliveries: Deliveries
    batches: Batches
    quotas: Quotas
    senders: Senders
    suppressions: Suppressions
    turns: Turns


@dataclass(frozen=True, slots=True)
class PlannerOptions:
    """`gap_ms` is the least between two mails of one sender."""

    batch_size: int = 50
    every_seconds: float = 1.0
    gap_ms: int = 0


class Planner:
    """With leases one replica plans at a time; without, replicas do the same work twice, harmlessly."""

    def __init__(
        self,
        stores: Stores,
        bus: Bus,
        announcer: Announcer,
        options: PlannerOptions,
        *,
        leases: Leases | None = None,
        throttle: Throttle | None = None,
        bar: Callable[[SenderSnapshot, int], str] | None = None,
    ) -> None:
        self._stores, self._options, self._leases = stores, options, leases
        self._ours = True
        self._wake = asyncio.Event()
        self.due_leads = DueLeads(stores.leads, stores.deliveries, stores.suppressions, announcer)
        self.fleet = Fleet(stores.senders, stores.quotas, stores.batches, bar)
        self.passes = PlanningPass(
            fleet=self.fleet,
            batches=stores.batches,
            leads=stores.leads,
            deliveries=stores.deliveries,
            turns=stores.turns,
            bus=bus,
            throttle=throttle or Throttle(),
            batch_size=options.batch_size,
            gap_ms=options.gap_ms,
        )

    def wake(self) -> None:
        """Plan soon: something has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Runs for ever; a pass that fails is tried again at the next."""
        while True:
            try:
                busy = await self._our_turn() and await self.plan_once()
            except Exception as error:
                log.warning("planning failed, tried again soon: %r", error)
                busy = False
            if not busy:
                try:
                    async with asyncio.timeout(self._options.every_seconds):
                        await self._wake.wait()
                except TimeoutError:
                    continue
                finally:
                    self._wake.clear()

    async def let_go(self) -> None:
        """We plan no more: another replica need not wait for the lease to end."""
        if self._leases:
            await self._leases.let_go(_LEASE)

    async def _our_turn(self) -> bool:
        if self._leases is None:
            return True
        lease_ms = max(_LEAST_LEASE_MS, int(self._options.every_seconds * 5000))
        ours = await self._leases.hold(_LEASE, lease_ms)
        if ours and not self._ours:
            self._stores.turns.forget()
        self._ours = ours
        return ours

    async def plan_once(self) -> bool:
        """One pass over all running campaigns; whether more is due right away."""
        campaigns = await self._stores.campaigns.in_state(CampaignState.RUNNING)
        if not campaigns:
            return False
        moment = now_ms()
        due = await self._further_attempts(campaigns, moment)
        full = len(due) == _ROWS_A_PASS
        most = max(50, min(_LEADS_A_PASS, _MOST_A_PASS // len(campaigns)))
        for campaign in campaigns:
            found, more = await self._first_attempts(campaign, moment, most)
            due += found
            full |= more
        return await self.passes.run(due, moment) > 0 and full

    async def _first_attempts(
        self, campaign: Campaign, moment: int, most: int
    ) -> tuple[list[Due], bool]:
        """The mails that are due, and whether there were more than fit."""
        due = await self._stores.leads.due(campaign.id, moment, most)
        if not due:
            await self._complete(campaign)  # in its window or not
            return [], False
        if not campaign.schedule.recipient_hours and not _open(campaign, moment):
            return [], False
        if not await self._stores.campaigns.announced(campaign.id):
            self.wake()
            return [], False  # the tracker must know the links before a mail carries them
        ready = await self.due_leads.ready(campaign, due, moment)
        return first_attempts(campaign, ready), len(due) == most

    async def _further_attempts(self, campaigns: Sequence[Campaign], moment: int) -> list[Due]:
        """Deferred and postponed deliveries whose time has come."""
        running = {campaign.id: campaign for campaign in campaigns}
        found = []
        for row in await self._stores.deliveries.due(moment, _ROWS_A_PASS):
            campaign = running.get(row.origin.campaign_id)
            if campaign and (campaign.schedule.recipient_hours or _open(campaign, moment)):
                found.append(Due(campaign, row.item, row=row))
        return await self._with_fields(found)

    async def _with_fields(self, due: list[Due]) -> list[Due]:
        """With the leads' fields where their own hours count."""
        keys = [
            f"{one.campaign.id}:{one.item.lead_id}"
            for one in due
            if one.campaign.schedule.recipient_hours
        ]
        if not keys:
            return due
        leads = await self._stores.leads.get_many(keys)
        fields = {key: lead.fields for key, lead in leads.items()}
        return [
            Due(
                one.campaign,
                one.item,
                row=one.row,
                fields=fields.get(f"{one.campaign.id}:{one.item.lead_id}", {}),
            )
            for one in due
        ]

    async def _complete(self, campaign: Campaign) -> None:
        """Nothing to come and nothing in flight: the campaign is over, unless leads came meanwhile."""
        stores = self._stores
        if await stores.leads.any_active(campaign.id) or await stores.batches.any_open(campaign.id):
            return
        if await stores.deliveries.any_open(campaign.id):
            return
        await stores.leads.finish_all(campaign.id)
        completed = CampaignCompleted(
            occurred_at=now(), campaign_id=campaign.id, name=campaign.name
        )
        await stores.campaigns.complete(campaign, [Announcement(completed)])


def _open(campaign: Campaign, moment: int) -> bool:
    return open_at(campaign.schedule, from_ms(moment))
