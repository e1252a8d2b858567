"""Campaigns: made, filled with leads, started, paused, resumed, looked at."""

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Query, Request

from dispatcher.api.bodies import CampaignBody, CampaignPatch
from dispatcher.catalogue import all_links
from dispatcher.domain.campaigns import Campaign, CampaignState, variant_for
from dispatcher.domain.leads_csv import BadHeading, BadRow, LeadReader, LeadRow
from dispatcher.domain.links import BadLink
from dispatcher.domain.message import Author, CannotFill, CompiledMessage, Letter
from dispatcher.domain.templates import BadTemplate
from dispatcher.store.campaigns import Campaigns, definition
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.leads import Leads
from dispatcher.store.senders import Senders
from postfleet.addresses import InvalidAddress, canonical, check_text
from postfleet.api_keys import Scope, require
from postfleet.cloudevents import Announcement
from postfleet.events import (
    CampaignCreated,
    CampaignLinksCompiled,
    CampaignPaused,
    CampaignResumed,
    CampaignStarted,
)
from postfleet.http import API, decode_cursor, page
from postfleet.instants import now
from postfleet.outbox import OutboxRelay
from postfleet.problems import Problem, invalid, not_found
from postfleet.tokens import TokenKeys

_CHUNK = 500  # rows to one insert
_MAX_REPORTED_ROWS = 1000


@dataclass(frozen=True, slots=True)
class CampaignParts:
    campaigns: Campaigns
    leads: Leads
    deliveries: Deliveries
    senders: Senders
    relay: OutboxRelay
    keys: TokenKeys
    public_url: str
    wake_planner: Callable[[], None]


def build_campaigns(parts: CampaignParts) -> APIRouter:
    router = APIRouter(prefix=f"{API}/campaigns", tags=["campaigns"])
    service = _CampaignService(parts)
    read, send = [require(Scope.READ)], [require(Scope.SEND)]
    router.add_api_route("", service.create, methods=["POST"], status_code=201, dependencies=send)
    router.add_api_route("", service.list_all, methods=["GET"], dependencies=read)
    router.add_api_route("/{campaign_id}", service.show, methods=["GET"], dependencies=read)
    router.add_api_route("/{campaign_id}", service.change, methods=["PATCH"], dependencies=send)
    for verb in ("start", "pause", "resume"):
        path = f"/{{campaign_id}}/{verb}"
        router.add_api_route(path, getattr(service, verb), methods=["POST"], dependencies=send)
    router.add_api_route(
        "/{campaign_id}/leads", service.add_leads, methods=["POST"], dependencies=send
    )
    router.add_api_route(
        "/{campaign_id}/leads", service.list_leads, methods=["GET"], dependencies=read
    )
    router.add_api_route("/{campaign_id}/stats", service.stats, methods=["GET"], dependencies=read)
    router.add_api_route(
        "/{campaign_id}/preview", service.preview, methods=["GET"], dependencies=read
    )
    return router


class _CampaignService:
    def __init__(self, parts: CampaignParts) -> None:
        self._parts = parts

    async def create(self, body: CampaignBody) -> dict[str, Any]:
        """Make a campaign; it sends nothing before it is started."""
        campaign = body.domain(uuid.uuid4().hex)
        self._links(campaign)
        created = CampaignCreated(occurred_at=now(), campaign_id=campaign.id, name=campaign.name)
        await self._parts.campaigns.insert(campaign, [Announcement(created)])
        self._parts.relay.wake()
        return _shown(campaign)

    async def list_all(
        self, limit: int = Query(50, ge=1, le=500), cursor: str | None = None
    ) -> dict[str, Any]:
        after = decode_cursor(cursor) if cursor else None
        found = await self._parts.campaigns.page(after, limit + 1)
        return page([_shown(campaign) for campaign in found], limit)

    async def show(self, campaign_id: str) -> dict[str, Any]:
        return _shown(await self._get(campaign_id))

    async def change(self, campaign_id: str, body: CampaignPatch) -> dict[str, Any]:
        """Change what is not sent yet. A running campaign must be paused first."""
        campaign = await self._get(campaign_id)
        if campaign.state is CampaignState.RUNNING:
            raise Problem(409, "RUNNING", "pause the campaign before you change it")
        changed = campaign
        for name, value in body.changes().items():
            if value is None:
                raise invalid(name, "null", "leave the field out to keep it")
            changed = replace(changed, **{name: _domain_value(name, value)})
        self._links(changed)
        if not await self._parts.campaigns.move(campaign, campaign.state, [], changed):
            raise Problem(409, "CONFLICT", "the campaign was changed meanwhile; read it again")
        return _shown(await self._get(campaign_id))

    async def start(self, campaign_id: str) -> dict[str, Any]:
        """Start a draft; starting a running campaign changes nothing."""
        campaign = await self._get(campaign_id)
        if campaign.state is CampaignState.RUNNING:
            return _shown(campaign)
        await self._senders(campaign)
        count = sum((await self._parts.leads.counts(campaign_id)).values())
        if not count:
            raise Problem(409, "NO_LEADS", "the campaign has no leads; add some, then start it")
        started = CampaignStarted(
            occurred_at=now(), campaign_id=campaign.id, name=campaign.name, leads=count
        )
        return await self._run(campaign, CampaignState.DRAFT, started)

    async def resume(self, campaign_id: str) -> dict[str, Any]:
        """Go on after a pause."""
        campaign = await self._get(campaign_id)
        if campaign.state is CampaignState.RUNNING:
            return _shown(campaign)
        resumed = CampaignResumed(occurred_at=now(), campaign_id=campaign.id, name=campaign.name)
        return await self._run(campaign, CampaignState.PAUSED, resumed)

    async def pause(self, campaign_id: str) -> dict[str, Any]:
        """Plan nothing more; what is in flight settles."""
        campaign = await self._get(campaign_id)
        if campaign.state is CampaignState.PAUSED:
            return _shown(campaign)
        paused = CampaignPaused(
            occurred_at=now(), campaign_id=campaign.id, name=campaign.name, by="operator"
        )
        return await self._move(campaign, CampaignState.RUNNING, CampaignState.PAUSED, [paused])

    async def add_leads(self, campaign_id: str, request: Request) -> dict[str, Any]:
        """Import leads: `text/csv`, streamed, or a JSON list of objects with `email`.

        Repeating an import adds nobody twice.
        """
        campaign = await self._get(campaign_id)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/csv":
            rows = _csv_rows(request)
        elif kind == "application/json":
            rows = _json_rows(request)
        else:
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "send text/csv or application/json")
        report = await self._import(campaign, rows)
        await self._go_on(campaign_id, report["imported"])
        self._parts.wake_planner()
        return report

    async def _go_on(self, campaign_id: str, imported: int) -> None:
        """New leads of a campaign that had come to its end are mailed too."""
        campaign = await self._get(campaign_id)  # as it is after the import, which may take long
        if imported and campaign.state is CampaignState.COMPLETED:
            resumed = CampaignResumed(
                occurred_at=now(), campaign_id=campaign.id, name=campaign.name
            )
            await self._run(campaign, CampaignState.COMPLETED, resumed)

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
        await self._get(campaign_id)
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

    async def stats(self, campaign_id: str) -> dict[str, Any]:
        """Leads and deliveries by state, as the ledger has them now."""
        await self._get(campaign_id)
        return {
            "campaign_id": campaign_id,
            "leads": await self._parts.leads.counts(campaign_id),
            "deliveries": await self._parts.deliveries.counts(campaign_id),
        }

    async def preview(
        self, campaign_id: str, lead: str | None = None, step: int = Query(0, ge=0)
    ) -> dict[str, Any]:
        """The mail as one lead (by address; else any) would get it, as text of the message."""
        campaign = await self._get(campaign_id)
        if step >= len(campaign.steps):
            raise invalid("step", "no_such_step", f"the campaign has {len(campaign.steps)} steps")
        leads = self._parts.leads
        found = await (leads.find(campaign_id, lead) if lead else leads.first(campaign_id))
        if found is None:
            raise not_found("lead", lead or "")
        sender = await self._senders(campaign)
        variant = variant_for(campaign.steps[step], found.lead_id, campaign.id)
        compiled = CompiledMessage(
            campaign, step, variant, self._parts.keys, self._parts.public_url
        )
        letter = Letter(
            delivery_id="0" * 32,
            message_id="<preview@invalid>",
            author=sender,
            recipient=found.address,
            date=now(),
            values={**found.fields, "email": found.address},
        )
        try:
            filled = compiled.fill(letter)
        except CannotFill as error:
            raise invalid("lead", "cannot_fill", str(error)) from error
        return {
            "variant": variant.name,
            "subject": filled.subject,
            "message": filled.content.decode(),
        }

    async def _senders(self, campaign: Campaign) -> Author:
        found = await self._parts.senders.find(campaign.senders)
        if not found:
            message = "no registered sender has one of these ids, addresses, domains or tags"
            raise invalid("senders", "no_sender", message)
        return Author(found[0].email_address, found[0].display_name)

    def _links(self, campaign: Campaign) -> dict[str, str]:
        try:
            return dict(all_links(campaign, self._parts.keys, self._parts.public_url))
        except BadTemplate as error:
            raise invalid("steps", "bad_template", str(error)) from error
        except BadLink as error:
            raise invalid("steps", "bad_link", str(error)) from error

    async def _run(
        self, campaign: Campaign, expected: CampaignState, fact: CampaignStarted | CampaignResumed
    ) -> dict[str, Any]:
        links = CampaignLinksCompiled(
            occurred_at=now(),
            campaign_id=campaign.id,
            name=campaign.name,
            links=self._links(campaign),
        )
        return await self._move(campaign, expected, CampaignState.RUNNING, [links, fact])

    async def _move(
        self, campaign: Campaign, expected: CampaignState, to: CampaignState, facts: list[Any]
    ) -> dict[str, Any]:
        if campaign.state is not expected:
            raise Problem(409, "WRONG_STATE", f"the campaign is {campaign.state}, not {expected}")
        announcements = [Announcement(fact) for fact in facts]
        if not await self._parts.campaigns.move(campaign, to, announcements):
            raise Problem(409, "CONFLICT", "the campaign was changed meanwhile; read it again")
        self._parts.relay.wake()
        self._parts.wake_planner()
        return _shown(await self._get(campaign.id))

    async def _get(self, campaign_id: str) -> Campaign:
        campaign = await self._parts.campaigns.get(campaign_id)
        if campaign is None:
            raise not_found("campaign", campaign_id)
        return campaign


def _domain_value(name: str, value: Any) -> Any:
    if name == "steps":
        return tuple(step.domain() for step in value)
    if name == "senders":
        return tuple(value)
    return (
        value.domain() if name == "schedule" else _tracking(value) if name == "tracking" else value
    )


def _tracking(value: Any) -> Any:
    from dispatcher.domain.campaigns import Tracking

    return Tracking(value.opens, value.clicks)


def _shown(campaign: Campaign) -> dict[str, Any]:
    return {"id": campaign.id, "status": campaign.state.value, **definition(campaign)}


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
