"""Campaigns: the definition as one JSON text, the state beside it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import orjson
from pymongo.errors import DuplicateKeyError

from dispatcher.domain.campaigns import (
    Campaign,
    CampaignState,
    Condition,
    Schedule,
    Step,
    Tracking,
    Variant,
)
from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events


class Campaigns:
    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.collection, "state", "created_at")

    async def insert(self, campaign: Campaign, announcements: Sequence[Announcement]) -> bool:
        """False if a campaign with this id is there already."""
        document = {
            "_id": campaign.id,
            "name": campaign.name,
            "state": campaign.state.value,
            "revision": 0,
            "created_at": now_ms(),
            "definition": definition_json(campaign),
        }
        try:
            await self.collection.insert_one(with_events(document, announcements))
        except DuplicateKeyError:
            return False
        return True

    async def get(self, campaign_id: str) -> Campaign | None:
        document = await self.collection.find_one({"_id": campaign_id})
        return _campaign(document) if document else None

    async def page(self, after: str | None, limit: int) -> list[Campaign]:
        query = {"_id": {"$gt": after}} if after else {}
        found = self.collection.find(query).sort("_id", 1).limit(limit)
        return [_campaign(document) async for document in found]

    async def in_state(self, state: CampaignState, limit: int = 1000) -> list[Campaign]:
        found = self.collection.find({"state": state.value}).limit(limit)
        return [_campaign(document) async for document in found]

    async def announced(self, campaign_id: str) -> bool:
        """Whether nothing that was written with the campaign is still to be said."""
        document = await self.collection.find_one({"_id": campaign_id})
        return bool(document) and document.get("outbox_size", 0) == 0

    async def move(
        self,
        campaign: Campaign,
        state: CampaignState,
        announcements: Sequence[Announcement],
        definition: Campaign | None = None,
    ) -> bool:
        """Compare-and-set on state and revision; False if somebody was faster."""
        changes: Document = {"state": state.value, "changed_at": now_ms()}
        if definition is not None:
            changes |= {"definition": definition_json(definition), "name": definition.name}
        update = update_with_events({"$set": changes, "$inc": {"revision": 1}}, announcements)
        guard = {"_id": campaign.id, "state": campaign.state.value, "revision": campaign.revision}
        result = await self.collection.update_one(guard, update)
        return bool(result.modified_count)


def definition_json(campaign: Campaign) -> str:
    return orjson.dumps(definition(campaign)).decode()


def definition(campaign: Campaign) -> dict[str, Any]:
    """The campaign as the API shows it, without id and state."""
    schedule = campaign.schedule
    return {
        "name": campaign.name,
        "senders": list(campaign.senders),
        "steps": [_step_document(step) for step in campaign.steps],
        "schedule": {
            "timezone": schedule.timezone,
            "days": list(schedule.days),
            "windows": [
                [a.isoformat("minutes"), b.isoformat("minutes")] for a, b in schedule.windows
            ],
            "start_at": schedule.start_at.isoformat() if schedule.start_at else None,
            "spread": schedule.spread,
            "recipient_hours": schedule.recipient_hours,
        },
        "tracking": {"opens": campaign.tracking.opens, "clicks": campaign.tracking.clicks},
        "check_reply": campaign.check_reply,
        "category": campaign.category,
        "postal_address": campaign.postal_address,
    }


def _step_document(step: Step) -> dict[str, Any]:
    return {
        "delay": step.delay.total_seconds(),
        "condition": step.condition.value,
        "variants": [
            {
                "name": v.name,
                "subject": v.subject,
                "body_text": v.body_text,
                "body_html": v.body_html,
                "weight": v.weight,
            }
            for v in step.variants
        ],
    }


def from_definition(campaign_id: str, data: dict[str, Any]) -> Campaign:
    schedule = data["schedule"]
    return Campaign(
        id=campaign_id,
        name=data["name"],
        senders=tuple(data["senders"]),
        steps=tuple(
            Step(
                timedelta(seconds=step["delay"]),
                tuple(Variant(**variant) for variant in step["variants"]),
                Condition(step["condition"]),
            )
            for step in data["steps"]
        ),
        schedule=Schedule(
            timezone=schedule["timezone"],
            days=tuple(schedule["days"]),
            windows=tuple(
                (time.fromisoformat(a), time.fromisoformat(b)) for a, b in schedule["windows"]
            ),
            start_at=datetime.fromisoformat(schedule["start_at"]) if schedule["start_at"] else None,
            spread=schedule.get("spread", False),
            recipient_hours=schedule.get("recipient_hours", False),
        ),
        tracking=Tracking(**data["tracking"]),
        check_reply=data["check_reply"],
        category=data["category"],
        postal_address=data["postal_address"],
    )


def _campaign(document: Document) -> Campaign:
    campaign = from_definition(document["_id"], orjson.loads(document["definition"]))
    return replace(
        campaign, state=CampaignState(document["state"]), revision=document.get("revision", 0)
    )
