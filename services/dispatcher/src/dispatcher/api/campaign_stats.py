"""How far a campaign is: leads and deliveries by state, then each step and variant."""

from typing import Any

from dispatcher.api.campaign_view import CampaignParts
from dispatcher.domain.campaigns import Campaign


class CampaignStats:
    def __init__(self, parts: CampaignParts) -> None:
        self._parts = parts

    async def stats(self, campaign_id: str) -> dict[str, Any]:
        """As the ledger has them now. `opened`, `clicked` and `replied` are of people only.

        `skipped_by_condition` counts the leads that a step was not for.
        """
        campaign = await self._parts.find(campaign_id)
        return {
            "campaign_id": campaign_id,
            "status": campaign.state.value,
            "leads": await self._parts.leads.counts(campaign_id),
            "deliveries": await self._parts.deliveries.counts(campaign_id),
            "steps": [await self._step(campaign, number) for number in range(len(campaign.steps))],
        }

    async def _step(self, campaign: Campaign, number: int) -> dict[str, Any]:
        step = campaign.steps[number]
        figures = await self._parts.deliveries.step_figures(campaign.id, number)
        passed_over = figures.pop("", None)
        names = [variant.name for variant in step.variants]
        names += sorted(figures.keys() - set(names))  # variants that were taken out
        nothing = dict.fromkeys(("sent", "opened", "clicked", "replied", "bounced", "failed"), 0)
        return {
            "step": number,
            "condition": step.condition.value,
            "skipped_by_condition": passed_over["passed_over"] if passed_over else 0,
            "winner": step.chosen or None,
            "variants": [{"name": name, **nothing, **_sent(figures.get(name))} for name in names],
        }


def _sent(figures: dict[str, int] | None) -> dict[str, int]:
    return {k: v for k, v in (figures or {}).items() if k != "passed_over"}
