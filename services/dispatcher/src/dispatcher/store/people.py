"""The leads of a campaign that have mail to come, as the forecast wants them: little of each."""

from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.forecast import Person
from dispatcher.domain.progress import NEVER
from dispatcher.domain.recipient_hours import FIELD
from dispatcher.store.leads import Leads


class People:
    def __init__(self, leads: Leads) -> None:
        self._leads = leads

    async def waiting(self, campaign: Campaign, limit: int) -> list[Person]:
        """Those who are active and have a step left."""
        return [
            Person(
                lead.lead_id,
                lead.address,
                lead.step,
                lead.due,
                lead.sender_id,
                lead.fields.get(FIELD, ""),
            )
            for lead in await self._leads.due(campaign.id, NEVER - 1, limit)
            if lead.step < len(campaign.steps)
        ]
