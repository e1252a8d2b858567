"""Campaigns as the workers need them: read once per revision, their messages compiled once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dispatcher.domain.campaigns import Campaign, Step
from dispatcher.domain.message import BadPart, CompiledMessage
from dispatcher.store.attachments import Attachments
from dispatcher.store.campaigns import Campaigns
from postfleet.tokens import TokenKeys

_FRESH_SECONDS = 1.0  # how long a paused campaign may still look running to a worker
_MAX_CAMPAIGNS = 200


class Catalogue:
    def __init__(
        self, campaigns: Campaigns, attachments: Attachments, keys: TokenKeys, public_url: str
    ) -> None:
        self._campaigns, self._attachments = campaigns, attachments
        self._files: dict[str, bytes] = {}
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
                self._files.clear()
            await self._load_files(campaign)
            self._known[campaign_id] = (time.monotonic() + _FRESH_SECONDS, campaign)
        return campaign

    async def _load_files(self, campaign: Campaign) -> None:
        wanted = {file.id for step in campaign.steps for file in step.attachments}
        if missing := wanted - self._files.keys():
            self._files.update(await self._attachments.contents(missing))

    def compiled(self, campaign: Campaign, step: int, variant_name: str) -> CompiledMessage:
        """Raises KeyError for a variant that the campaign does not have any more."""
        key = (campaign.id, campaign.revision, step, variant_name)
        if key not in self._compiled:
            variants = {variant.name: variant for variant in campaign.steps[step].variants}
            self._compiled[key] = CompiledMessage(
                campaign, step, variants[variant_name], self._keys, self._public_url, self._files
            )
        return self._compiled[key]


@dataclass(frozen=True, slots=True)
class Links:
    """`tracked`: link id -> destination; `canaries`: ids of links that no human sees.

    `required`: field that a text cannot do without -> the path of the first such step.
    """

    tracked: Mapping[str, str]
    canaries: tuple[str, ...]
    required: Mapping[str, str]


class BadStep(ValueError):
    """A text that can never be sent; `field` is its path in the campaign."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code = field, code


def all_links(campaign: Campaign, keys: TokenKeys, public_url: str) -> Links:
    """Every link of ours in the campaign's texts. Raises BadStep for a text that is wrong."""
    tracked: dict[str, str] = {}
    required: dict[str, str] = {}
    canaries = []
    for number, step in enumerate(campaign.steps):
        for place, variant in enumerate(step.variants):
            try:
                compiled = CompiledMessage(campaign, number, variant, keys, public_url, None)
            except BadPart as error:
                field = error.field if _single(step) else f"variants.{place}.{error.field}"
                where = f"step {number + 1}, variant {variant.name}: {error.reason}"
                raise BadStep(f"steps.{number}.{field}", error.code, where) from error
            tracked |= compiled.links
            canaries += [compiled.canary] if compiled.canary else []
            path = f"steps.{number}" + ("" if _single(step) else f".variants.{place}")
            required |= {name: path for name in compiled.required if name not in required}
    return Links(tracked, tuple(canaries), required)


def _single(step: Step) -> bool:
    """Whether it was given as a subject and a body, without variants."""
    return len(step.variants) == 1 and step.variants[0] == replace(
        step.variants[0], name="A", weight=1
    )
