"""Plans: which due leads and deliveries become batches now. Planning twice makes the same ids."""

import asyncio
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from dispatcher.announcer import Announcer
from dispatcher.domain.campaigns import (
    Campaign,
    CampaignState,
    LeadState,
    open_at,
    variant_for,
)
from dispatcher.domain.identity import delivery_id
from dispatcher.domain.ledger import Batch, Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.planning import Candidate, Capacity, Plan, plan
from dispatcher.domain.progress import CONDITION, Move, Next, due_after, next_move
from dispatcher.store.batches import Batches, job
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries, Row
from dispatcher.store.leads import Lead, Leads
from dispatcher.store.quotas import Quotas, Used
from dispatcher.store.senders import Senders
from dispatcher.store.suppressions import Suppressions
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.events import CampaignCompleted, SenderSnapshot
from postfleet.instants import day_of, from_ms, now, now_ms

log = logging.getLogger(__name__)

_LEADS_A_PASS = 1000
_ROWS_A_PASS = 1000


@dataclass(frozen=True, slots=True)
class Stores:
    campaigns: Campaigns
    leads: Leads
    deliveries: Deliveries
    batches: Batches
    quotas: Quotas
    senders: Senders
    suppressions: Suppressions


class Planner:
    def __init__(
        self,
        stores: Stores,
        bus: Bus,
        announcer: Announcer,
        *,
        batch_size: int,
        every_seconds: float,
    ) -> None:
        self._stores, self._bus, self._announcer = stores, bus, announcer
        self._batch_size, self._every = batch_size, every_seconds
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Plan soon: something has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Runs for ever; a pass that fails is tried again at the next."""
        while True:
            try:
                busy = await self.plan_once()
            except Exception as error:
                log.warning("planning failed, tried again soon: %r", error)
                busy = False
            if not busy:
                try:
                    async with asyncio.timeout(self._every):
                        await self._wake.wait()
                except TimeoutError:
                    continue
                finally:
                    self._wake.clear()

    async def plan_once(self) -> bool:
        """One pass over all running campaigns; whether more is due right away."""
        campaigns = await self._stores.campaigns.in_state(CampaignState.RUNNING)
        if not campaigns:
            return False
        planned = await self._stores.batches.planned()
        more = await self._again(campaigns, planned)
        for campaign in campaigns:
            more |= await self._campaign(campaign, planned)
        return more

    # -- first attempts --------------------------------------------------------------------------

    async def _campaign(self, campaign: Campaign, planned: dict[str, int]) -> bool:
        moment = now_ms()
        due = await self._stores.leads.due(campaign.id, moment, _LEADS_A_PASS)
        if not due:
            await self._complete(campaign)  # in its window or not
            return False
        if not open_at(campaign.schedule, from_ms(moment)):
            return False
        if not await self._stores.campaigns.announced(campaign.id):
            return True  # the tracker must know the links before a mail carries them
        ready = await self._ready(campaign, due, moment)
        by_step: dict[int, list[Lead]] = {}
        for lead in ready:
            by_step.setdefault(lead.step, []).append(lead)
        assigned = 0
        for step, leads in sorted(by_step.items(), reverse=True):  # follow-ups before new leads
            assigned += await self._step(campaign, step, leads, planned, moment)
        return len(due) == _LEADS_A_PASS and assigned > 0

    async def _ready(self, campaign: Campaign, due: Sequence[Lead], moment: int) -> list[Lead]:
        """The leads whose step may go now; the others end, or are looked at again later."""
        earlier_ids = [
            delivery_id(campaign.id, lead.lead_id, lead.step - 1) for lead in due if lead.step
        ]
        rows = await self._stores.deliveries.get_many(earlier_ids) if earlier_ids else {}
        later: dict[str, int] = {}
        finished: list[str] = []
        passed_over: list[tuple[Lead, str]] = []
        ready = []
        for lead in due:
            answer = _next(campaign, lead, rows, moment)
            if answer.move is Move.GO:
                ready.append(lead)
            elif answer.move is Move.WAIT:
                later[lead.key] = answer.at
            elif answer.move is Move.SKIP:
                passed_over.append((lead, answer.reason))
            else:
                finished.append(lead.key)
        await self._stores.leads.postpone(later)
        await self._stores.leads.end(finished, LeadState.FINISHED)
        await self._pass_over(campaign, passed_over, moment)
        return await self._without_suppressed(campaign, ready, moment)

    async def _pass_over(
        self, campaign: Campaign, leads: Sequence[tuple[Lead, str]], moment: int
    ) -> None:
        """The ledger says why these steps do not go; then the leads move on."""
        by_step: dict[int, list[tuple[Lead, str]]] = {}
        for lead, reason in leads:
            by_step.setdefault(lead.step, []).append((lead, reason))
        for step, mine in by_step.items():
            items = _items(campaign, [lead for lead, _ in mine], step)
            batch = _batch(campaign.id, step, "", "", campaign.category, items, moment)
            reasons = [reason for _, reason in mine]
            settled = [
                Settled(item, Outcome.SKIPPED, moment, meaning=CONDITION, reason=reason)
                for item, reason in zip(items, reasons, strict=True)
            ]
            await self._announcer.settle(batch, settled)
            keys = [lead.key for lead, _ in mine]
            await self._stores.leads.pass_over(keys, step, due_after(campaign, step, moment))

    async def _without_suppressed(
        self, campaign: Campaign, leads: list[Lead], moment: int
    ) -> list[Lead]:
        suppressed = await self._stores.suppressions.of(lead.address for lead in leads)
        if not suppressed:
            return leads
        out = [lead for lead in leads if lead.address in suppressed]
        for step in {lead.step for lead in out}:
            batch = _batch(
                campaign.id, step, "", "", campaign.category, _items(campaign, out, step), moment
            )
            settled = [
                Settled(i, Outcome.SKIPPED, moment, reason=f"suppressed: {suppressed[i.recipient]}")
                for i in batch.items
            ]
            await self._announcer.settle(batch, settled)
        await self._stores.leads.end([lead.key for lead in out], LeadState.SUPPRESSED)
        return [lead for lead in leads if lead.address not in suppressed]

    async def _step(
        self,
        campaign: Campaign,
        step: int,
        leads: list[Lead],
        planned: dict[str, int],
        moment: int,
    ) -> int:
        senders = await self._stores.senders.find(campaign.senders)
        capacities = await self._capacities(senders, planned, moment)
        candidates = [Candidate(lead.lead_id, lead.address, lead.sender_id) for lead in leads]
        result = plan(candidates, senders, capacities, moment, campaign.id)
        by_lead = {lead.lead_id: lead for lead in leads}
        due = due_after(campaign, step, moment)
        for sender_id, chosen in result.assigned.items():
            mine = [by_lead[candidate.lead_id] for candidate in chosen]
            batches = list(self._batches(campaign, step, sender_id, mine, result, moment))
            await self._stores.batches.insert(batches)
            await self._stores.leads.move_on(mine, step, due, sender_id)
            await self._bus.put(job(batch) for batch in batches)
            planned[sender_id] = planned.get(sender_id, 0) + len(mine)
        await self._wait_for_room([by_lead[c.lead_id] for c in result.waiting], moment)
        return len(leads) - len(result.waiting)

    async def _wait_for_room(self, leads: Sequence[Lead], moment: int) -> None:
        """Nobody can mail these now: looked at again in a minute, not every second."""
        await self._stores.leads.postpone({lead.key: moment + 60_000 for lead in leads})

    def _batches(
        self,
        campaign: Campaign,
        step: int,
        sender_id: str,
        leads: Sequence[Lead],
        result: Plan,
        moment: int,
    ) -> Iterable[Batch]:
        reasons = orjson.dumps(
            {
                "eligible": result.eligible,
                "excluded": [[e.sender_id, e.rule, e.detail] for e in result.excluded],
                "chosen": sender_id,
            }
        ).decode()
        by_variant: dict[str, list[Lead]] = {}
        for lead in leads:
            variant = variant_for(campaign.steps[step], lead.lead_id, campaign.id)
            by_variant.setdefault(variant.name, []).append(lead)
        for variant_name, mine in by_variant.items():
            for start in range(0, len(mine), self._batch_size):
                items = _items(campaign, mine[start : start + self._batch_size], step)
                yield _batch(
                    campaign.id,
                    step,
                    variant_name,
                    sender_id,
                    campaign.category,
                    items,
                    moment,
                    reasons,
                )

    async def _capacities(
        self, senders: Sequence[SenderSnapshot], planned: dict[str, int], moment: int
    ) -> dict[str, Capacity]:
        ids = [sender.sender_id for sender in senders]
        used = await self._stores.quotas.used(ids, day_of(moment))
        capacities = {}
        for sender in senders:
            known = used.get(sender.sender_id, Used())
            waiting = planned.get(sender.sender_id, 0)
            capacities[sender.sender_id] = _capacity(
                sender, known.day + waiting, known.month + waiting
            )
        return capacities

    # -- further attempts ------------------------------------------------------------------------

    async def _again(self, campaigns: Sequence[Campaign], planned: dict[str, int]) -> bool:
        """Deferred and postponed deliveries whose time has come, by the same sender."""
        running = {campaign.id: campaign for campaign in campaigns}
        moment = now_ms()
        due = await self._stores.deliveries.due(moment, _ROWS_A_PASS)
        groups: dict[Origin, list[Row]] = {}
        for row in due:
            campaign = running.get(row.origin.campaign_id)
            if campaign and open_at(campaign.schedule, from_ms(moment)):
                groups.setdefault(row.origin, []).append(row)
        for origin, rows in groups.items():
            for start in range(0, len(rows), self._batch_size):
                part = rows[start : start + self._batch_size]
                batch = Batch(uuid.uuid4().hex, origin, tuple(map(_next_item, part)), moment)
                await self._stores.batches.insert([batch])
                await self._stores.deliveries.queue([row.item.delivery_id for row in part])
                await self._bus.put([job(batch)])
                planned[origin.sender_id] = planned.get(origin.sender_id, 0) + len(part)
        return len(due) == _ROWS_A_PASS and bool(groups)

    # -- the end ---------------------------------------------------------------------------------

    async def _complete(self, campaign: Campaign) -> None:
        """Nothing to come and nothing in flight: the campaign is over."""
        stores = self._stores
        if await stores.leads.any_active(campaign.id) or await stores.batches.any_open(campaign.id):
            return
        if await stores.deliveries.any_open(campaign.id):
            return
        await stores.leads.finish_all(campaign.id)
        completed = CampaignCompleted(
            occurred_at=now(), campaign_id=campaign.id, name=campaign.name
        )
        await stores.campaigns.move(campaign, CampaignState.COMPLETED, [Announcement(completed)])


def _next(campaign: Campaign, lead: Lead, rows: Mapping[str, Row], moment: int) -> Next:
    row = rows.get(delivery_id(campaign.id, lead.lead_id, lead.step - 1))
    facts = lead.facts
    if row is not None and row.document.get("replied_at"):
        facts = replace(facts, replied=True)
    return next_move(campaign, lead.step, row.as_before if row else None, facts, moment)


def _capacity(sender: SenderSnapshot, today: int, month: int) -> Capacity:
    if sender.monthly_limit is not None and sender.monthly_limit - month < (
        sender.effective_limit - today
    ):
        return Capacity(sender.monthly_limit, month)
    return Capacity(sender.effective_limit, today)


def _items(campaign: Campaign, leads: Sequence[Lead], step: int) -> tuple[Item, ...]:
    return tuple(
        Item(delivery_id(campaign.id, lead.lead_id, step), lead.lead_id, lead.address)
        for lead in leads
        if lead.step == step
    )


def _batch(
    campaign_id: str,
    step: int,
    variant: str,
    sender_id: str,
    category: str,
    items: tuple[Item, ...],
    moment: int,
    reasons: str = "{}",
) -> Batch:
    origin = Origin(campaign_id, step, variant, sender_id, category)
    return Batch(uuid.uuid4().hex, origin, items, moment, reasons)


def _next_item(row: Row) -> Item:
    """A deferred delivery gets a new attempt; a postponed one was not tried at all."""
    item = row.item
    attempt = item.attempt + (row.state == Outcome.DEFERRED.value)
    return replace(item, attempt=attempt)
