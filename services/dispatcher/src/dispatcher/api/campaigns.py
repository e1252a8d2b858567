"""Campaigns: made, looked at; and the routes of all that is done to them."""

import uuid
from typing import Any

from fastapi import APIRouter, Query

from dispatcher.api.attachment_body import keep_files
from dispatcher.api.bodies import CampaignBody
from dispatcher.api.campaign_changes import CampaignChanges
from dispatcher.api.campaign_states import CampaignStates
from dispatcher.api.campaign_stats import CampaignStats
from dispatcher.api.campaign_view import CampaignParts, shown
from dispatcher.api.named_templates import with_texts
from dispatcher.domain.campaigns import CampaignState
from postfleet.api_keys import Scope, require
from postfleet.cloudevents import Announcement
from postfleet.events.campaigns import CampaignCreated
from postfleet.http import API, decode_cursor, page
from postfleet.instants import now


def build_campaigns(parts: CampaignParts) -> APIRouter:
    router = APIRouter(prefix=f"{API}/campaigns", tags=["campaigns"])
    service = _CampaignService(parts)
    states, changes = CampaignStates(parts), CampaignChanges(parts)
    read, send = [require(Scope.READ)], [require(Scope.SEND)]
    one = "/{campaign_id}"
    for path, method, endpoint, code in (
        ("", "POST", service.create, 201),
        (one, "PATCH", changes.change, 200),
        (one, "DELETE", changes.delete, 204),
        (f"{one}/duplicate", "POST", changes.duplicate, 201),
        (f"{one}/start", "POST", states.start, 200),
        (f"{one}/pause", "POST", states.pause, 200),
        (f"{one}/resume", "POST", states.resume, 200),
    ):
        router.add_api_route(path, endpoint, methods=[method], status_code=code, dependencies=send)
    router.add_api_route("", service.list_all, methods=["GET"], dependencies=read)
    router.add_api_route(one, service.show, methods=["GET"], dependencies=read)
    router.add_api_route(
        f"{one}/stats", CampaignStats(parts).stats, methods=["GET"], dependencies=read
    )
    return router


class _CampaignService:
    def __init__(self, parts: CampaignParts) -> None:
        self._parts = parts

    async def create(self, body: CampaignBody) -> dict[str, Any]:
        """Make a campaign; it sends nothing before it is started."""
        steps = await with_texts(self._parts.templates, body.steps)
        campaign = body.model_copy(update={"steps": steps}).domain(uuid.uuid4().hex)
        self._parts.checked_links(campaign)
        campaign = await keep_files(self._parts.attachments, body.files(), campaign)
        created = CampaignCreated(occurred_at=now(), campaign_id=campaign.id, name=campaign.name)
        await self._parts.campaigns.insert(campaign, [Announcement(created)])
        self._parts.relay.wake()
        return shown(campaign)

    async def list_all(
        self,
        limit: int = Query(50, ge=1, le=500),
        cursor: str | None = None,
        status: CampaignState | None = None,
        name: str | None = Query(None, max_length=200),
    ) -> dict[str, Any]:
        """All campaigns, or those in a state or with this in their name, whatever its case."""
        after = decode_cursor(cursor) if cursor else None
        found = await self._parts.campaigns.page(after, limit + 1, status, name)
        return page([shown(campaign) for campaign in found], limit)

    async def show(self, campaign_id: str) -> dict[str, Any]:
        return shown(await self._parts.find(campaign_id))
