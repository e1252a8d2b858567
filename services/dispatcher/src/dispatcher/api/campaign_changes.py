"""PATCH, DELETE and copies of a campaign."""

import uuid
from dataclasses import replace
from typing import Any

from dispatcher.api.attachment_body import keep_files
from dispatcher.api.bodies import CampaignPatch, CopyBody
from dispatcher.api.campaign_view import CampaignParts, conflict, shown
from dispatcher.api.named_templates import with_texts
from dispatcher.domain.amendment import first_change, refusal
from dispatcher.domain.campaigns import Campaign, CampaignState
from postfleet.cloudevents import Announcement
from postfleet.events.campaigns import CampaignCreated, CampaignDeleted
from postfleet.instants import now, now_ms
from postfleet.problems import FieldError, Problem

_PLANNED_WITHIN_MS = 5_000  # a planner that read the old steps is done by then
_SEEN_WITHIN_MS = 2_000  # no worker's copy of the old steps (`Catalogue`) is older than a second


class CampaignChanges:
    def __init__(self, parts: CampaignParts) -> None:
        self._parts = parts

    async def change(self, campaign_id: str, body: CampaignPatch) -> dict[str, Any]:
        """Change what is not sent yet; fields that are left out stay.

        Steps of which mail is out stay as they are, and `tracking` of a running campaign.
        """
        campaign = await self._parts.find(campaign_id)
        if not body.model_fields_set:
            return shown(campaign)
        if "steps" in body.model_fields_set:
            steps = await with_texts(self._parts.templates, body.steps)
            body = body.model_copy(update={"steps": steps})
        changed = body.applied(campaign)
        links = self._parts.checked_links(changed)
        changed = await keep_files(self._parts.attachments, body.files(), changed)
        await self._check(campaign, changed, body.model_fields_set)
        said = [] if campaign.state is CampaignState.DRAFT else [Announcement(links)]
        if changed.pause_company_on_reply and not campaign.pause_company_on_reply:
            await self._parts.policies.list_companies(campaign_id)
        if not await self._parts.campaigns.move(campaign, campaign.state, said, changed):
            raise conflict()
        if changed.require_opt_in is not campaign.require_opt_in:
            await self._parts.policies.apply_opt_in(changed)
        if "steps" in body.model_fields_set:
            # Their due times follow from the steps as they were, and the last step's leads had none.
            await self._parts.leads.look_again(campaign_id, now_ms() + _SEEN_WITHIN_MS)
        self._parts.relay.wake()
        self._parts.wake_planner()
        return shown(await self._parts.find(campaign_id))

    async def _check(self, campaign: Campaign, changed: Campaign, fields: set[str]) -> None:
        first = first_change(campaign, changed)
        leads = self._parts.leads
        begun = await leads.begun(campaign.id, len(campaign.steps)) if "steps" in fields else 0
        refused = refusal(campaign, changed, frozenset(fields), begun)
        if refused is not None:
            error = FieldError(refused.field, refused.code.lower(), refused.message)
            detail = f"{refused.field}: {refused.message}"
            raise Problem(409, refused.code, detail, [error])
        live = campaign.state is CampaignState.RUNNING and first < len(campaign.steps)
        if live and await leads.near(campaign.id, first, now_ms() + _PLANNED_WITHIN_MS):
            field = f"steps.{first}"
            message = "leads are about to get this step; pause the campaign before you change it"
            error = FieldError(field, "running", message)
            raise Problem(409, "RUNNING", f"{field}: {message}", [error])

    async def delete(self, campaign_id: str) -> None:
        """Delete a draft and its leads; what has sent mail is kept, for its mails refer to it."""
        campaign = await self._parts.find(campaign_id)
        if campaign.state is not CampaignState.DRAFT:
            message = f"the campaign is {campaign.state}; only a draft can be deleted"
            raise Problem(409, "WRONG_STATE", message)
        deleted = CampaignDeleted(occurred_at=now(), campaign_id=campaign.id, name=campaign.name)
        said = [Announcement(deleted)]
        if not await self._parts.campaigns.move(campaign, CampaignState.DELETED, said):
            raise conflict()
        await self._parts.leads.forget(campaign_id)
        self._parts.relay.wake()

    async def duplicate(self, campaign_id: str, body: CopyBody | None = None) -> dict[str, Any]:
        """A new draft with the same content and nobody in it; a start that is past is left out."""
        campaign = await self._parts.find(campaign_id)
        start_at = campaign.schedule.start_at
        copy = replace(
            campaign,
            id=uuid.uuid4().hex,
            name=(body and body.name) or f"{campaign.name[:190]} (copy)",
            state=CampaignState.DRAFT,
            revision=0,
            schedule=replace(
                campaign.schedule, start_at=start_at if start_at and start_at > now() else None
            ),
            steps=tuple(replace(step, choice=None) for step in campaign.steps),
        )
        created = CampaignCreated(occurred_at=now(), campaign_id=copy.id, name=copy.name)
        await self._parts.campaigns.insert(copy, [Announcement(created)])
        self._parts.relay.wake()
        return shown(copy)
