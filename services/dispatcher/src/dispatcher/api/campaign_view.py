"""How a campaign is found, checked and shown: what all its endpoints share."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dispatcher.catalogue import BadStep, all_links
from dispatcher.domain.campaigns import Campaign, CampaignState
from dispatcher.domain.contradictions import contradictions
from dispatcher.domain.identity import lead_id
from dispatcher.domain.message import Author
from dispatcher.policies import Policies
from dispatcher.store.attachments import Attachments
from dispatcher.store.campaign_documents import definition
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from dispatcher.store.senders import Senders
from dispatcher.store.templates import Templates
from postfleet.addresses import InvalidAddress, canonical
from postfleet.events.campaigns import CampaignLinksCompiled
from postfleet.instants import now, rfc3339
from postfleet.outbox import OutboxRelay
from postfleet.problems import FieldError, Problem, invalid, not_found
from postfleet.tokens import TokenKeys

_LEADS_LOOKED_AT = 200
_SENDERS_HEARD_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class CampaignParts:
    campaigns: Campaigns
    leads: Leads
    policies: Policies
    deliveries: Deliveries
    senders: Senders
    relay: OutboxRelay
    keys: TokenKeys
    public_url: str
    wake_planner: Callable[[], None]
    attachments: Attachments
    templates: Templates

    async def find(self, campaign_id: str) -> Campaign:
        """The campaign. Raises Problem (404)."""
        campaign = await self.campaigns.get(campaign_id)
        if campaign is None or campaign.state is CampaignState.DELETED:
            raise not_found("campaign", campaign_id)
        return campaign

    async def author(self, campaign: Campaign) -> Author:
        """One of those who would send it. Raises Problem (422) where nobody would."""
        found = await self.senders.find(campaign.senders)
        if not found:
            message = "no registered sender has one of these ids, addresses, domains or tags"
            raise invalid("senders", "no_sender", message)
        return Author(found[0].email_address, found[0].display_name)

    async def check_team(self, campaign: Campaign) -> None:
        """Raises Problem (422) for a name of `senders` that is nobody's, so that nobody is left out.

        A sender that was registered a moment ago may not be heard of yet; that is waited for.
        """
        missing = set(await self.senders.awaited(campaign.senders, _SENDERS_HEARD_SECONDS))
        message = "no registered sender has this id, address, domain or tag"
        errors = [
            FieldError(f"senders.{number}", "no_sender", f"{message}: {name!r}")
            for number, name in enumerate(campaign.senders)
            if name in missing
        ]
        if errors:
            raise Problem(422, "INVALID", f"{errors[0].field}: {errors[0].message}", errors)

    async def check_fields(self, campaign: Campaign) -> None:
        """Raises Problem (422) for fields that none of the first leads has: a slip of the pen."""
        required = all_links(campaign, self.keys, self.public_url).required
        leads = await self.leads.page(campaign.id, None, _LEADS_LOOKED_AT)
        known = {"email"}.union(*(lead.fields for lead in leads))
        unknown = [
            FieldError(path, "unknown_field", f"no lead has a field {name!r}; add a default to it")
            for name, path in sorted(required.items())
            if name not in known
        ]
        if unknown:
            raise Problem(422, "INVALID", f"{unknown[0].field}: {unknown[0].message}", unknown)

    def checked_links(self, campaign: Campaign) -> CampaignLinksCompiled:
        """The campaign's links, to be said. Raises Problem (422) for what could never be sent."""
        found = contradictions(campaign)
        if found:
            errors = [FieldError(one.field, "contradiction", one.message) for one in found]
            detail = f"{found[0].field}: {found[0].message}"
            raise Problem(422, "INVALID", detail, errors)
        try:
            links = all_links(campaign, self.keys, self.public_url)
        except BadStep as error:
            raise invalid(error.field, error.code, str(error)) from error
        return CampaignLinksCompiled(
            occurred_at=now(),
            campaign_id=campaign.id,
            name=campaign.name,
            links=dict(links.tracked),
            canaries=links.canaries,
        )


async def lead_named(leads: Leads, campaign_id: str, name: str) -> Lead:
    """The campaign's lead of this id or address. Raises Problem (404, 422)."""
    id_ = name
    if "@" in name:
        try:
            id_ = lead_id(canonical(name))
        except InvalidAddress as error:
            raise invalid("lead", "invalid_address", str(error)) from error
    found = await leads.get(f"{campaign_id}:{id_}")
    if found is None:
        raise not_found("lead", name)
    return found


def conflict() -> Problem:
    """Somebody else was faster: a compare-and-set has failed."""
    return Problem(409, "CONFLICT", "the campaign was changed meanwhile; read it again")


def shown(campaign: Campaign) -> dict[str, Any]:
    """The campaign's JSON; `winners` has what the winner rules have come to, by step."""
    winners = {
        str(number): asdict(step.choice) | {"at": rfc3339(step.choice.at)}
        for number, step in enumerate(campaign.steps)
        if step.choice
    }
    return {
        "id": campaign.id,
        "status": campaign.state.value,
        "revision": campaign.revision,
        **definition(campaign),
        "winners": winners,
    }
