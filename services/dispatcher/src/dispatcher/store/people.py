"""The leads of a campaign that have mail to come, as the forecast wants them: little of each."""

from dispatcher.domain.campaigns import Campaign, LeadState
from dispatcher.domain.forecast import Person
from dispatcher.domain.progress import NEVER
from dispatcher.domain.recipient_hours import FIELD
from postfleet.mongo import Collection

_BATCH = 5_000


class People:
    def __init__(self, leads: Collection) -> None:
        self._leads = leads

    async def waiting(self, campaign: Campaign, limit: int) -> list[Person]:
        """Those who are active and have a step left."""
        wanted = ["lead_id", "address", "step", "due", "sender_id"]
        if campaign.schedule.recipient_hours:
            wanted.append("fields")
        query = {
            "campaign_id": campaign.id,
            "state": LeadState.ACTIVE.value,
            "due": {"$lt": NEVER},
        }
        found = self._leads.find(query, dict.fromkeys(wanted, 1)).batch_size(_BATCH).limit(limit)
        return [
            Person(
                row["lead_id"],
                row["address"],
                row["step"],
                row["due"],
                row.get("sender_id"),
                dict(row.get("fields", ())).get(FIELD, ""),
            )
            async for row in found
            if row["step"] < len(campaign.steps)
        ]
