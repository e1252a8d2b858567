"""What a person was sent, and what is to come: the look-up by address."""

from typing import Any

from fastapi import APIRouter, Query

from dispatcher.api.deliveries import scheduled, shown
from dispatcher.api.lead_bodies import lead_shown
from dispatcher.domain.identity import lead_id, person_of
from dispatcher.domain.progress import NEVER
from dispatcher.store.campaigns import Campaigns
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.delivery_pages import Place, place_of
from dispatcher.store.lead_documents import Lead
from dispatcher.store.leads import Leads
from dispatcher.store.messages import Messages
from dispatcher.store.suppressions import Suppressions
from postfleet.addresses import InvalidAddress, canonical
from postfleet.api_keys import Scope, require
from postfleet.http import API, decode_cursor, encode_cursor
from postfleet.instants import rfc3339
from postfleet.problems import invalid

_MOST = 500
_DUE, _ROW = "due", "row"
_DIGITS = 15  # of milliseconds since 1970
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
        recipient: str = Query(max_length=320),
        limit: int = Query(100, ge=1, le=_MOST),
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """All mail to one address, whoever made it, the newest first; where it stands in each campaign.

        Mails that are to go at a later time come before those that went. A mail that changes while
        pages are turned moves to the front.
        """
        address = _address(recipient)
        person = lead_id(address)
        kind, after = _after(cursor)
        waiting = await _waiting(person) if kind == _DUE else {}
        coming = {place: mail for place, mail in waiting.items() if not after or place > after}
        rows = await deliveries.to_person(person, limit + 1, after if kind == _ROW else None)
        places = [*((_DUE, *place) for place in coming), *((_ROW, *place_of(r)) for r in rows)]
        suppressed = await suppressions.of([address])
        return {
            "recipient": address,
            "suppressed": suppressed.get(address),
            "leads": [await _lead(lead) for lead in await leads.everywhere(person)],
            "items": [*coming.values(), *map(shown, rows)][:limit],
            "next_cursor": _cursor(places[limit - 1]) if len(places) > limit else None,
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
            "deliveries": [*(await _waiting(person)).values(), *map(shown, rows)],
        }

    async def _waiting(person: str) -> dict[Place, dict[str, Any]]:
        """Mails of their own to a person that have no row yet, by when they are due and id, in order."""
        mails = {
            id_: (mail.due_at, scheduled(mail, id_, recipient))
            for mail in await messages.waiting_for(person, _SCHEDULED_MOST)
            for id_, recipient in mail.deliveries
            if person_of(recipient) == person
        }
        known = await deliveries.get_many(list(mails))
        waiting = sorted((due, id_) for id_, (due, _) in mails.items() if id_ not in known)
        return {(due, id_): mails[id_][1] for due, id_ in waiting}

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


def _cursor(last: tuple[str, int, str]) -> str:
    """Of the last one that is shown: whether it was due, or a row, then when, and its id."""
    return encode_cursor(":".join(map(str, last)))


def _after(cursor: str | None) -> tuple[str, Place | None]:
    """What `_cursor` was given; without one, before all that is due. Raises Problem (422)."""
    if not cursor:
        return _DUE, None
    kind, at, id_ = (*decode_cursor(cursor).split(":", 2), "", "")[:3]
    if kind not in (_DUE, _ROW) or not at.isdecimal() or len(at) > _DIGITS:
        raise invalid("cursor", "BAD_CURSOR", "use next_cursor as it was given")
    return kind, (int(at), id_)


def _address(text: str) -> str:
    try:
        return canonical(text)
    except InvalidAddress as error:
        raise invalid("recipient", "bad_address", str(error)) from error
