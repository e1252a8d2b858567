"""Policies of a campaign that concern leads which are there already."""

from dispatcher.domain.campaigns import Campaign, LeadState
from dispatcher.domain.companies import companies_of
from dispatcher.store.companies import Companies
from dispatcher.store.leads import Leads

_PASS = 1000


class Policies:
    def __init__(self, leads: Leads, companies: Companies) -> None:
        self._leads, self._companies = leads, companies

    async def apply_opt_in(self, campaign: Campaign) -> None:
        """Hold back who has not confirmed, or let them go again. May be repeated."""
        active, waiting = LeadState.ACTIVE, LeadState.UNCONFIRMED
        if campaign.require_opt_in:
            await self._leads.set_state(campaign.id, active, waiting, consent=False)
        else:
            await self._leads.set_state(campaign.id, waiting, active)

    async def list_companies(self, campaign_id: str) -> None:
        """Know who works with whom before the campaign pauses them together. May be repeated."""
        cursor = None
        while True:
            leads = await self._leads.page(campaign_id, cursor, _PASS)
            await self._companies.add(campaign_id, leads)
            if len(leads) < _PASS:
                return
            cursor = leads[-1].queue

    async def pause_company(self, campaign: Campaign, lead_id: str, why: str) -> None:
        """The colleagues of a lead wait until an operator resumes them. May be repeated."""
        lead = await self._leads.get(f"{campaign.id}:{lead_id}")
        if lead is None:
            return
        waiting = (LeadState.ACTIVE, LeadState.UNCONFIRMED)
        for company in companies_of(lead.address, lead.fields):
            async for ids in self._companies.lead_ids(campaign.id, company):
                found = await self._leads.get_many([f"{campaign.id}:{one}" for one in ids])
                chosen = [
                    one for one in found.values() if one.state in waiting and one.key != lead.key
                ]
                await self._leads.move_state(chosen, LeadState.PAUSED, why)
