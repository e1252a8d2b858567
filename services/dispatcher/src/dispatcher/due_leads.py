"""Leads that are due: whose step may go now, who waits, who is passed over, who is done."""

from collections.abc import Mapping, Sequence

from dispatcher.announcer import Announcer
from dispatcher.domain.batching import first_item, unsent
from dispatcher.domain.campaigns import Campaign, LeadState
from dispatcher.domain.identity import delivery_id
from dispatcher.domain.ledger import Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.progress import CONDITION, OF_HITS, Facts, Move, Next, due_after, next_move
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from dispatcher.store.suppressions import Suppressions


class DueLeads:
    def __init__(
        self,
        leads: Leads,
        deliveries: Deliveries,
        suppressions: Suppressions,
        announcer: Announcer,
    ) -> None:
        self._leads, self._deliveries = leads, deliveries
        self._suppressions, self._announcer = suppressions, announcer

    async def ready(self, campaign: Campaign, due: Sequence[Lead], moment: int) -> list[Lead]:
        """Those whose step may go now; the others are settled, or looked at again later."""
        rows = await self._rows_before(campaign, due)
        later: dict[str, int] = {}
        finished: list[str] = []
        passed_over: list[tuple[Lead, str]] = []
        found = []
        for lead in due:
            answer = next_for(campaign, lead, rows, moment)
            if answer.move is Move.GO:
                found.append(lead)
            elif answer.move is Move.WAIT:
                later[lead.key] = answer.at
            elif answer.move is Move.SKIP:
                passed_over.append((lead, answer.reason))
            else:
                finished.append(lead.key)
        await self._leads.postpone(later)
        await self._leads.end(finished, LeadState.FINISHED)
        await self._pass_over(campaign, passed_over, moment)
        return await self._without_suppressed(campaign, found, moment)

    async def next_of(self, campaign: Campaign, lead: Lead, moment: int) -> Next:
        """What comes next for one lead, and when; nothing is changed."""
        return next_for(campaign, lead, await self._rows_before(campaign, [lead]), moment)

    async def _rows_before(self, campaign: Campaign, due: Sequence[Lead]) -> Mapping[str, Row]:
        ids = [id_ for lead in due for id_ in _ids_before(campaign, lead)]
        return await self._deliveries.get_many(ids) if ids else {}

    async def _pass_over(
        self, campaign: Campaign, leads: Sequence[tuple[Lead, str]], moment: int
    ) -> None:
        """The ledger says why these steps do not go; then the leads move on."""
        by_step: dict[int, list[tuple[Lead, str]]] = {}
        for lead, reason in leads:
            by_step.setdefault(lead.step, []).append((lead, reason))
        for step, mine in by_step.items():
            await self._skip(campaign, step, mine, moment, CONDITION)
            keys = [lead.key for lead, _ in mine]
            await self._leads.pass_over(keys, step, due_after(campaign, step, moment))

    async def _without_suppressed(
        self, campaign: Campaign, leads: list[Lead], moment: int
    ) -> list[Lead]:
        suppressed = await self._suppressions.of(lead.address for lead in leads)
        if not suppressed:
            return leads
        out = [lead for lead in leads if lead.address in suppressed]
        for step in {lead.step for lead in out}:
            why = [(lead, f"suppressed: {suppressed[lead.address]}") for lead in out]
            await self._skip(campaign, step, [one for one in why if one[0].step == step], moment)
        await self._leads.end([lead.key for lead in out], LeadState.SUPPRESSED)
        return [lead for lead in leads if lead.address not in suppressed]

    async def _skip(
        self,
        campaign: Campaign,
        step: int,
        leads: Sequence[tuple[Lead, str]],
        moment: int,
        meaning: str = "",
    ) -> None:
        items = [first_item(campaign.id, one.lead_id, one.address, step) for one, _ in leads]
        settled = [
            Settled(item, Outcome.SKIPPED, moment, meaning=meaning, reason=reason)
            for item, (_, reason) in zip(items, leads, strict=True)
        ]
        await self._announcer.settle(unsent(campaign, step, items, moment), settled)


def _ids_before(campaign: Campaign, lead: Lead) -> list[str]:
    """The delivery of the step before; for a condition on opens and clicks those of all before."""
    steps = campaign.steps
    all_of_them = lead.step < len(steps) and steps[lead.step].condition in OF_HITS
    first = 0 if all_of_them else max(0, lead.step - 1)
    return [delivery_id(campaign.id, lead.lead_id, step) for step in range(first, lead.step)]


def next_for(campaign: Campaign, lead: Lead, rows: Mapping[str, Row], moment: int) -> Next:
    """`rows` holds the deliveries of the steps before, by id."""
    ids = _ids_before(campaign, lead)
    before = [rows[id_].document for id_ in ids if id_ in rows]
    facts = Facts(
        replied=lead.facts.replied or any(row.get("replied_at") for row in before),
        opened=any(row.get("opened_at") for row in before),
        clicked=any(row.get("clicked_at") for row in before),
    )
    row = rows.get(ids[-1]) if ids else None
    return next_move(campaign, lead.step, row.as_before if row else None, facts, moment)
