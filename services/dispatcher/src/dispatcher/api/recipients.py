"""What a person was sent, and what is to come: the look-up by address."""

from typing import Any

from fastapi import APIRouter, Query

from dispatcher.api.deliveries import scheduled, shown
from dispatcher.api.lead_bodies import lead_shown
from dispatcher.domain.identity import lead_id, person_of
from dispatcher.domain.progress import NEVER
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_rows import Row
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from dispatcher.store.messages import Messages
from dispatcher.store.suppressions import Suppressions
from postfleet.addresses import InvalidAddress, canonical
from postfleet.api_keys import Scope, require
from postfleet.http import API
from postfleet.instants import rfc3339
from postfleet.problems import invalid

_MOST = 500
_SCHEDULED_MOST = 5000  # mails whose time has not come that are looked through


def build_recipients(
    deliveries: Deliveries,
    messages: Messages,
    leads: Leads,
    campaigns: Campaigns,
    suppressions: Suppressions,
) -> APIRouter:
    router = APIRouter(prefix=f"{API}/deliveries", tags=["deliveries"])

    @router.get("", dependencies=[require(Scope.READ)])
    async def of_recipient(
        recipient: str = Query(max_length=320), limit: int = Query(100, ge=1, le=_MOST)
    ) -> dict[str, Any]:
        """All mail to one address, whoever made it, the newest first; where it stands in each campaign.

        Mails that are to go at a later time come before those that went.
        """
        address = _address(recipient)
        person = lead_id(address)
        rows = await deliveries.to_person(person, limit)
        waiting = await _waiting(person, rows)
        suppressed = await suppressions.of([address])
        return {
            "recipient": address,
            "suppressed": suppressed.get(address),
            "leads": [await _lead(lead) for lead in await leads.everywhere(person)],
            "items": [*waiting, *map(shown, rows)][:limit],
            "next_cursor": None,
        }

    @router.get("/of/{recipient}", dependencies=[require(Scope.ADMIN)])
    async def export(recipient: str) -> dict[str, Any]:
        """All that the ledger keeps of a person (GDPR, article 15): mails of campaigns and of their
        own, where it is a lead with all its fields and consent, and whether it is suppressed."""
        address = _address(recipient)
        person = lead_id(address)
        rows = await deliveries.of_person(person, address)
        suppressed = await suppressions.of([address])
        return {
            "address": address,
            "suppressed": suppressed.get(address),
            "leads": [
                {"campaign_id": lead.campaign_id, **lead_shown(lead)}
                for lead in await leads.everywhere(person)
            ],
            "deliveries": [*await _waiting(person, rows), *map(shown, rows)],
        }

    async def _waiting(person: str, rows: list[Row]) -> list[dict[str, Any]]:
        """Mails of their own to a person that have no row yet."""
        known = {row.item.delivery_id for row in rows}
        return [
            scheduled(mail, id_, recipient)
            for mail in await messages.waiting_for(person, _SCHEDULED_MOST)
            for id_, recipient in mail.deliveries
            if id_ not in known and person_of(recipient) == person
        ]

    async def _lead(lead: Lead) -> dict[str, Any]:
        campaign = await campaigns.get(lead.campaign_id)
        return {
            "campaign_id": lead.campaign_id,
            "campaign": campaign.name if campaign else None,
            "campaign_status": campaign.state.value if campaign else None,
            "state": lead.state.value,
            "next_step": lead.step if campaign and lead.step < len(campaign.steps) else None,
            "due_at": rfc3339(lead.due) if 0 < lead.due < NEVER else None,
        }

    return router


def _address(text: str) -> str:
    try:
        return canonical(text)
    except InvalidAddress as error:
        raise invalid("recipient", "bad_address", str(error)) from error
