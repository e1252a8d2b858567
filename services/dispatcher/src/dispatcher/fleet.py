"""The fleet as a plan sees it: who may mail for a campaign, and what each may still take."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.eligibility import Capacity, capacity
from dispatcher.domain.openings import spread_ms
from dispatcher.domain.planning import Terms
from dispatcher.store.batches import Batches
from dispatcher.store.quotas import Quotas, Used
from dispatcher.store.senders import Senders
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import day_of


@dataclass(frozen=True, slots=True)
class View:
    """Of one moment: the senders of these campaigns, their capacities, and each campaign's terms."""

    senders: Sequence[SenderSnapshot]
    capacities: Mapping[str, Capacity]
    terms: Mapping[str, Terms]

    def team(self, campaign_id: str) -> frozenset[str]:
        """The ids of the campaign's senders."""
        return self.terms[campaign_id].team or frozenset()


class Fleet:
    def __init__(
        self,
        senders: Senders,
        quotas: Quotas,
        batches: Batches,
        bar: Callable[[SenderSnapshot, int], str] | None = None,
    ) -> None:
        self._senders, self._quotas, self._batches = senders, quotas, batches
        self._bar = bar

    async def view(self, campaigns: Iterable[Campaign], moment: int) -> View:
        """What is sent, reserved, or planned and not yet taken up counts as used."""
        found: dict[str, SenderSnapshot] = {}
        terms = {}
        for campaign in campaigns:
            mine = {one.sender_id: one for one in await self._senders.find(campaign.senders)}
            found |= mine
            terms[campaign.id] = Terms(frozenset(mine), spread_ms(campaign.schedule, moment))
        senders = [found[name] for name in sorted(found)]
        return View(senders, await self._capacities(senders, moment), terms)

    async def _capacities(
        self, senders: Sequence[SenderSnapshot], moment: int
    ) -> dict[str, Capacity]:
        planned = await self._batches.planned()
        used = await self._quotas.used([one.sender_id for one in senders], day_of(moment))
        found = {}
        for sender in senders:
            known, waiting = used.get(sender.sender_id, Used()), planned.get(sender.sender_id, 0)
            room = capacity(sender, known.day + waiting, known.month + waiting)
            bar = self._bar(sender, moment) if self._bar else ""
            found[sender.sender_id] = replace(room, bar=bar) if bar else room
        return found
