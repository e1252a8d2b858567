"""One pass of the planner: what is due, of all campaigns together, through the plan, to the ledger."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from dispatcher.domain.batching import again_item, batches, first_item, origin_of
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.eligibility import Lane
from dispatcher.domain.gaps import Pace
from dispatcher.domain.ledger import Batch, Item, Origin
from dispatcher.domain.planning import Candidate, Choice, Plan, Waiting, plan
from dispatcher.domain.progress import due_after
from dispatcher.domain.reasons import reasons
from dispatcher.domain.recipient_hours import RecipientHours
from dispatcher.fleet import Fleet, View
from dispatcher.store.batches import Batches, job
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.lead_documents import Lead, Planned
from dispatcher.store.leads import Leads
from dispatcher.store.turns import Turns
from postfleet import tracing
from postfleet.addresses import domain_of
from postfleet.bus import Bus

SEED = "postfleet"  # draws differ by campaign, lead and moment
_SOONEST_MS, _LATEST_MS = 1_000, 60_000  # a mail that waits is looked at again in between


async def _no_rooms(_: Collection[str]) -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class Throttle:
    """Who receives an address' mail, and how many mails each destination takes now."""

    destination_of: Callable[[str], str] = domain_of
    rooms: Callable[[Collection[str]], Awaitable[Mapping[str, int]]] = _no_rooms


@dataclass(frozen=True, slots=True)
class Due:
    """A mail whose time has come: a lead's next step, or with `row` a further attempt."""

    campaign: Campaign
    item: Item
    lead: Lead | None = None
    row: Row | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def sender_id(self) -> str | None:
        if self.row is not None:
            return self.row.origin.sender_id
        return self.lead.sender_id if self.lead else None


def first_attempts(campaign: Campaign, leads: Iterable[Lead]) -> list[Due]:
    """Follow-ups before new leads: who has begun a sequence gets the rest of it."""
    ordered = sorted(leads, key=lambda lead: -lead.step)
    return [
        Due(campaign, first_item(campaign.id, one.lead_id, one.address, one.step), one, None, one.fields)
        for one in ordered
    ]  # fmt: skip


class PlanningPass:
    def __init__(
        self,
        *,
        fleet: Fleet,
        batches: Batches,
        leads: Leads,
        deliveries: Deliveries,
        turns: Turns,
        bus: Bus,
        throttle: Throttle,
        batch_size: int,
        gap_ms: int,
    ) -> None:
        self._fleet, self._batches, self._leads = fleet, batches, leads
        self._deliveries, self._turns, self._bus = deliveries, turns, bus
        self._throttle, self._batch_size, self._gap_ms = throttle, batch_size, gap_ms

    async def run(self, due: Sequence[Due], moment: int) -> int:
        """Plan these; returns how many mails go."""
        if not due:
            return 0
        view = await self._fleet.view(_campaigns(due), moment)
        gone, here = _by_their_sender(due, view)
        await self._write_again(gone, "{}", moment)  # the gate says what became of their sender
        candidates = self.candidates(here, moment)
        made = await self.plan(list(candidates), view, moment)
        if self._paced(view):
            await self._turns.note({one.sender_id: one.at for one in made.choices})
        await self._place(made, candidates, view, moment)
        await self._put_off(made.waiting, candidates, moment)
        return len(made.choices) + len(gone)

    def candidates(self, due: Sequence[Due], moment: int) -> dict[Candidate, Due]:
        """As the plan wants them, in the order in which they stand."""
        hours = {c.id: RecipientHours(c.schedule, moment) for c in _campaigns(due)}
        found = {}
        for one in due:
            campaign, item = one.campaign, one.item
            bounds = hours[campaign.id].of(one.fields) if campaign.schedule.recipient_hours else ()
            destination = self._throttle.destination_of(item.recipient)
            key = (item.lead_id, item.recipient, one.sender_id, campaign.id, destination)
            found[Candidate(*key, Lane.CAMPAIGN, *bounds)] = one
        return found

    async def plan(self, candidates: Sequence[Candidate], view: View, moment: int) -> Plan:
        """The pure plan with everything that it wants to know; nothing is written."""
        paced = self._paced(view)
        last = await self._turns.last(one.sender_id for one in view.senders) if paced else {}
        rooms = await self._throttle.rooms({one.destination for one in candidates})
        return plan(
            candidates,
            view.senders,
            view.capacities,
            moment,
            SEED,
            rooms=rooms,
            terms=view.terms,
            pace=Pace(self._gap_ms, 0, last),
        )

    def _paced(self, view: View) -> bool:
        return bool(self._gap_ms) or any(terms.spread_ms for terms in view.terms.values())

    async def _place(
        self, made: Plan, candidates: Mapping[Candidate, Due], view: View, moment: int
    ) -> None:
        """Batches first, then the leads move on, then the jobs: a crash in between repeats ids."""
        groups: dict[tuple[str, int, str], list[Choice]] = {}
        again: dict[str, list[Choice]] = {}
        for choice in made.choices:
            due = candidates[choice.candidate]
            if due.lead is None:
                again.setdefault(choice.candidate.campaign_id, []).append(choice)
            else:
                key = (due.campaign.id, due.lead.step, choice.sender_id)
                groups.setdefault(key, []).append(choice)
        for campaign_id, choices in again.items():
            why = orjson.dumps(reasons(made, view.team(campaign_id))).decode()
            await self._write_again([candidates[one.candidate] for one in choices], why, moment)
        written: list[Batch] = []
        moved: list[Planned] = []
        for (campaign_id, step, sender_id), choices in groups.items():
            told = reasons(made, view.team(campaign_id), sender_id, choices[0].weight)
            mine = [candidates[one.candidate] for one in choices]
            written += self._first(mine, step, sender_id, orjson.dumps(told).decode(), moment)
            keys = [one.lead.key for one in mine if one.lead]
            due_at = due_after(mine[0].campaign, step, moment)
            moved.append(Planned(keys, step, due_at, sender_id))
        await self._write_first(written, moved)

    def _first(
        self, due: Sequence[Due], step: int, sender_id: str, why: str, moment: int
    ) -> list[Batch]:
        by_origin: dict[Origin, list[Item]] = {}
        for one in due:
            origin = origin_of(one.campaign, step, one.item.lead_id, sender_id)
            by_origin.setdefault(origin, []).append(one.item)
        return self._made(by_origin, why, moment)

    async def _write_first(self, made: Sequence[Batch], moved: Sequence[Planned]) -> None:
        """Of all campaigns and senders together: three statements a pass, however many these are."""
        await self._batches.insert(made)
        for batch in made if tracing.active is not None else ():
            ids = [item.delivery_id for item in batch.items]
            tracing.begun("planned", ids, **_attributes(batch.origin))
        await self._leads.move_all_on(moved)
        if made:
            await self._bus.put(job(batch) for batch in made)

    async def _write_again(self, due: Sequence[Due], why: str, moment: int) -> None:
        by_origin: dict[Origin, list[Item]] = {}
        for one in due:
            if one.row:
                item = again_item(one.item, one.row.state)
                by_origin.setdefault(one.row.origin, []).append(item)
        for batch in self._made(by_origin, why, moment):
            await self._batches.insert([batch])
            await self._deliveries.queue([item.delivery_id for item in batch.items])
            await self._bus.put([job(batch)])

    def _made(self, by_origin: Mapping[Origin, list[Item]], why: str, moment: int) -> list[Batch]:
        return [
            batch
            for origin, items in by_origin.items()
            for batch in batches(origin, items, moment, why, self._batch_size)
        ]

    async def _put_off(
        self, waiting: Sequence[Waiting], candidates: Mapping[Candidate, Due], moment: int
    ) -> None:
        """Looked at again when it may be their turn, not at every pass."""
        leads, rows = {}, {}
        for one in waiting:
            due = candidates[one.candidate]
            until = min(max(one.until, moment + _SOONEST_MS), moment + _LATEST_MS)
            if due.lead is not None:
                leads[due.lead.key] = until
            else:
                rows[due.item.delivery_id] = until
        await self._leads.postpone(leads)
        await self._deliveries.postpone(rows)


def _by_their_sender(due: Sequence[Due], view: View) -> tuple[list[Due], list[Due]]:
    """Further attempts whose sender has left the campaign, and all the others."""
    gone: list[Due] = []
    here: list[Due] = []
    for one in due:
        left = one.row is not None and one.sender_id not in view.team(one.campaign.id)
        (gone if left else here).append(one)
    return gone, here


def _campaigns(due: Sequence[Due]) -> list[Campaign]:
    return list({one.campaign.id: one.campaign for one in due}.values())


def _attributes(origin: Origin) -> dict[str, str | int]:
    return {
        "postfleet.campaign_id": origin.campaign_id,
        "postfleet.step": origin.step,
        "postfleet.sender_id": origin.sender_id,
    }
