"""Campaigns: made, filled with leads, looked at; and the routes of all that is done to them."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Query, Request

from dispatcher.api.attachment_body import keep_files
from dispatcher.api.bodies import CampaignBody
from dispatcher.api.campaign_changes import CampaignChanges
from dispatcher.api.campaign_states import CampaignStates
from dispatcher.api.campaign_stats import CampaignStats
from dispatcher.api.campaign_view import CampaignParts, shown
from dispatcher.domain.campaigns import Campaign, CampaignState
from dispatcher.domain.leads_csv import BadHeading, BadRow, LeadReader, LeadRow
from postfleet.addresses import InvalidAddress, canonical, check_text
from postfleet.api_keys import Scope, require
from postfleet.cloudevents import Announcement
from postfleet.events import CampaignCreated
from postfleet.http import API, decode_cursor, page
from postfleet.instants import now
from postfleet.problems import Problem, invalid

_CHUNK = 500  # rows to one insert
_MAX_REPORTED_ROWS = 1000


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
    router.add_api_route(
        "/{campaign_id}/leads", service.add_leads, methods=["POST"], dependencies=send
    )
    router.add_api_route(
        "/{campaign_id}/leads", service.list_leads, methods=["GET"], dependencies=read
    )
    return router


class _CampaignService:
    def __init__(self, parts: CampaignParts) -> None:
        self._parts = parts

    async def create(self, body: CampaignBody) -> dict[str, Any]:
        """Make a campaign; it sends nothing before it is started."""
        campaign = body.domain(uuid.uuid4().hex)
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

    async def add_leads(self, campaign_id: str, request: Request) -> dict[str, Any]:
        """Import leads: `text/csv`, streamed, or a JSON list of objects with `email`.

        Repeating an import adds nobody twice.
        """
        campaign = await self._parts.find(campaign_id)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/csv":
            rows = _csv_rows(request)
        elif kind == "application/json":
            rows = _json_rows(request)
        else:
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "send text/csv or application/json")
        report = await self._import(campaign, rows)
        await CampaignStates(self._parts).go_on(campaign_id, report["imported"])
        self._parts.wake_planner()
        return report

    async def _import(
        self, campaign: Campaign, rows: AsyncIterator[LeadRow | BadRow]
    ) -> dict[str, Any]:
        good, imported, invalid_rows = 0, 0, 0
        reported: list[dict[str, Any]] = []
        chunk: list[LeadRow] = []
        try:
            async for row in rows:
                if isinstance(row, BadRow):
                    invalid_rows += 1
                    if len(reported) < _MAX_REPORTED_ROWS:
                        reported.append({"row": row.row, "field": row.field, "reason": row.reason})
                    continue
                good += 1
                chunk.append(row)
                if len(chunk) == _CHUNK:
                    imported += await self._parts.leads.add(campaign.id, chunk)
                    chunk = []
        except BadHeading as error:
            raise invalid("email", "BAD_HEADING", str(error)) from error
        imported += await self._parts.leads.add(campaign.id, chunk)
        return {
            "imported": imported,
            "duplicates": good - imported,
            "invalid": invalid_rows,
            "rows": reported,
            "rows_truncated": invalid_rows > len(reported),
        }

    async def list_leads(
        self, campaign_id: str, limit: int = Query(50, ge=1, le=500), cursor: str | None = None
    ) -> dict[str, Any]:
        await self._parts.find(campaign_id)
        after = f"{campaign_id}:{decode_cursor(cursor)}" if cursor else None
        found = await self._parts.leads.page(campaign_id, after, limit + 1)
        shown = [
            {
                "id": lead.lead_id,
                "email": lead.address,
                "state": lead.state.value,
                "next_step": lead.step,
                "sender_id": lead.sender_id,
                "fields": lead.fields,
            }
            for lead in found
        ]
        return page(shown, limit)


async def _csv_rows(request: Request) -> AsyncIterator[LeadRow | BadRow]:
    reader = LeadReader()
    async for chunk in request.stream():
        for row in reader.feed(chunk):
            yield row
    for row in reader.finish():
        yield row


async def _json_rows(request: Request) -> AsyncIterator[LeadRow | BadRow]:
    try:
        items = await request.json()
    except ValueError as error:
        raise Problem(422, "INVALID", f"the body is not JSON: {error}") from error
    if not isinstance(items, list):
        raise Problem(422, "INVALID", "the body must be a list of objects with email")
    for number, item in enumerate(items, start=1):
        yield _json_row(number, item)


def _json_row(number: int, item: Any) -> LeadRow | BadRow:
    if not isinstance(item, dict) or not isinstance(item.get("email"), str):
        return BadRow(number, "email", "each entry must be an object with email")
    try:
        address = canonical(item["email"])
    except InvalidAddress as error:
        return BadRow(number, "email", str(error))
    fields = {}
    for name, value in item.items():
        if name == "email" or value is None:
            continue
        if not isinstance(value, str | int | float):
            return BadRow(number, name, "a field must be a text or a number")
        try:
            fields[name] = check_text(str(value), max_octets=10_000)
        except ValueError as error:
            return BadRow(number, name, str(error))
    return LeadRow(number, address, fields)
