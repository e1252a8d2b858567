"""Campaigns as the workers need them: read once per revision, their messages compiled once."""

import time
from collections.abc import Mapping

from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.message import CompiledMessage
from dispatcher.store.campaigns import Campaigns
from postfleet.tokens import TokenKeys

_FRESH_SECONDS = 1.0  # how long a paused campaign may still look running to a worker
_MAX_CAMPAIGNS = 200


class Catalogue:
    def __init__(self, campaigns: Campaigns, keys: TokenKeys, public_url: str) -> None:
        self._campaigns = campaigns
        self._keys = keys
        self._public_url = public_url
        self._known: dict[str, tuple[float, Campaign]] = {}
        self._compiled: dict[tuple[str, int, int, str], CompiledMessage] = {}

    async def campaign(self, campaign_id: str) -> Campaign | None:
        cached = self._known.get(campaign_id)
        if cached and cached[0] > time.monotonic():
            return cached[1]
        campaign = await self._campaigns.get(campaign_id)
        if campaign is not None:
            if len(self._known) >= _MAX_CAMPAIGNS:
                self._known.clear()
                self._compiled.clear()
            self._known[campaign_id] = (time.monotonic() + _FRESH_SECONDS, campaign)
        return campaign

    def compiled(self, campaign: Campaign, step: int, variant_name: str) -> CompiledMessage:
        """Raises KeyError for a variant that the campaign does not have any more."""
        key = (campaign.id, campaign.revision, step, variant_name)
        if key not in self._compiled:
            variants = {variant.name: variant for variant in campaign.steps[step].variants}
            self._compiled[key] = CompiledMessage(
                campaign, step, variants[variant_name], self._keys, self._public_url
            )
        return self._compiled[key]


def all_links(campaign: Campaign, keys: TokenKeys, public_url: str) -> Mapping[str, str]:
    """Every tracked link of the campaign. Raises BadTemplate or BadLink for a text that is wrong."""
    links: dict[str, str] = {}
    for number, step in enumerate(campaign.steps):
        for variant in step.variants:
            links |= CompiledMessage(campaign, number, variant, keys, public_url).links
    return links
