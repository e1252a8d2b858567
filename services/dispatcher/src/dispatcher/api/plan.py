"""What would be sent when, by whom: a campaign run forward, and why one lead has no mail yet."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from dispatcher.domain.campaigns import Campaign, CampaignState
from dispatcher.domain.identity import delivery_id
from dispatcher.outlook import MOST_PEOPLE, Ahead, Outlook
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from postfleet.api_keys import Scope, require
from postfleet.http import API
from postfleet.instants import now_ms, rfc3339
from postfleet.problems import not_found

_ASSUMES = (
    "every mail is accepted at its first try; nobody replies, unsubscribes or bounces; limits and "
    "health stay as they are; other campaigns send nothing"
)


def build_plan(campaigns: Campaigns, leads: Leads, outlook: Outlook) -> APIRouter:
    router = APIRouter(
        prefix=f"{API}/campaigns", tags=["campaigns"], dependencies=[require(Scope.READ)]
    )

    async def find(campaign_id: str) -> Campaign:
        campaign = await campaigns.get(campaign_id)
        if campaign is None or campaign.state is CampaignState.DELETED:
            raise not_found("campaign", campaign_id)
        return campaign

    @router.get("/{campaign_id}/plan")
    async def plan(
        campaign_id: str,
        without_domain: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006
    ) -> dict[str, Any]:
        """Run the planner forward: when it finishes, mails a day, and the load of each sender.

        `without_domain` (may be repeated) leaves the senders of a domain out: what if it drops out.
        """
        campaign = await find(campaign_id)
        without = {name.lower() for name in without_domain}
        ahead = await outlook.ahead(campaign, without, now_ms())
        return {
            "campaign_id": campaign.id,
            "status": campaign.state.value,
            "without_domains": sorted(without),
            **_told(ahead),
            "assumes": _ASSUMES,
        }

    @router.get("/{campaign_id}/leads/{lead}/decisions")
    async def decisions(campaign_id: str, lead: str) -> dict[str, Any]:
        """Why a lead's next mail has not gone yet, and when it would. `lead`: its address or id."""
        campaign = await find(campaign_id)
        found = await _lead(leads, campaign_id, lead)
        verdict = await outlook.next_mail(campaign, found, now_ms())
        told = verdict.reasons or {}
        return {
            "campaign_id": campaign.id,
            "lead_id": found.lead_id,
            "email": found.address,
            "state": found.state.value,
            "next_step": found.step,
            "delivery_id": delivery_id(campaign.id, found.lead_id, found.step),
            "earlier_deliveries": [
                delivery_id(campaign.id, found.lead_id, step) for step in range(found.step)
            ],
            "waits_for": verdict.rule,
            "detail": verdict.detail,
            "would_go_at": rfc3339(verdict.at),
            "sender_id": verdict.sender_id,
            **shown_reasons(told),
        }

    return router


def shown_reasons(told: Any) -> dict[str, Any]:
    """The reasons of a plan, as callers see them."""
    return {
        "chosen": told.get("chosen") or None,
        "eligible": told.get("eligible", []),
        "weights": told.get("weights", {}),
        "eligible_count": told.get("eligible_count", len(told.get("eligible", []))),
        "excluded": [
            {"sender_id": sender, "rule": rule, "detail": detail}
            for sender, rule, detail in told.get("excluded", [])
        ],
        "excluded_by_rule": told.get("excluded_by_rule", {}),
    }


def _told(ahead: Ahead) -> dict[str, Any]:
    forecast = ahead.forecast
    return {
        "starts_at": rfc3339(forecast.first_at),
        "finishes_at": rfc3339(forecast.finish_at),
        "leads": ahead.people,
        "leads_complete": ahead.people < MOST_PEOPLE,
        "mails": forecast.mails,
        "never_sent": forecast.left,
        "days": [{"day": day, "mails": mails} for day, mails in forecast.days.items()],
        "senders": [
            {
                "sender_id": name,
                "email_address": sender.email_address,
                "domain": sender.domain,
                "mails": forecast.senders.get(name, 0),
                "effective_limit": sender.effective_limit,
            }
            for name, sender in sorted(ahead.senders.items())
        ],
        "excluded": [
            {"sender_id": one.sender_id, "rule": one.rule, "detail": one.detail}
            for one in forecast.excluded
        ],
    }


async def _lead(leads: Leads, campaign_id: str, name: str) -> Lead:
    found = (
        await leads.find(campaign_id, name)
        if "@" in name
        else (await leads.get_many([f"{campaign_id}:{name}"])).get(f"{campaign_id}:{name}")
    )
    if found is None:
        raise not_found("lead", name)
    return found
