"""Campaigns: the definition as one JSON text, the state beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, time, timedelta
from typing import Any

import orjson
from pymongo.errors import DuplicateKeyError

from dispatcher.domain.attachments import Attachment
from dispatcher.domain.campaigns import (
    Campaign,
    CampaignState,
    Condition,
    Schedule,
    Step,
    Tracking,
    Variant,
)
from dispatcher.domain.winner import Choice, Metric, WinnerRule
from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events

_CHUNK = 200  # campaigns to one look at a list
_LISTED = frozenset(CampaignState) - {CampaignState.DELETED}


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

    async def page(
        self,
        after: str | None,
        limit: int,
        state: CampaignState | None = None,
        name: str | None = None,
    ) -> list[Campaign]:
        """In the order of their ids; deleted ones only if they are asked for. `name` is a part."""
        wanted = [state.value] if state else [s.value for s in CampaignState if s in _LISTED]
        found: list[Campaign] = []
        while True:
            query: Document = {"state": {"$in": wanted}}
            query |= {"_id": {"$gt": after}} if after else {}
            rows = self.collection.find(query).sort("_id", 1).limit(_CHUNK)
            chunk = [_campaign(document) async for document in rows]
            found += [c for c in chunk if not name or name.casefold() in c.name.casefold()]
            if len(chunk) < _CHUNK or len(found) >= limit:
                return found[:limit]
            after = chunk[-1].id

    async def in_state(self, state: CampaignState, limit: int = 1000) -> list[Campaign]:
        found = self.collection.find({"state": state.value}).limit(limit)
        return [_campaign(document) async for document in found]

    async def announced(self, campaign_id: str) -> bool:
        """Whether nothing that was written with the campaign is still to be said."""
        document = await self.collection.find_one({"_id": campaign_id})
        return bool(document) and document.get("outbox_size", 0) == 0

    async def choose(
        self, campaign: Campaign, number: int, choice: Choice, said: Sequence[Announcement]
    ) -> bool:
        """Keep what a winner rule came to; compare-and-set on state and revision."""
        steps = list(campaign.steps)
        steps[number] = replace(steps[number], choice=choice)
        changes = {"choices": _choices_json(steps)}
        update = update_with_events({"$set": changes, "$inc": {"revision": 1}}, said)
        result = await self.collection.update_one(_as_read(campaign), update)
        return bool(result.modified_count)

    async def running_since(self, campaign_id: str) -> int:
        """When it was last started or resumed; 0 if never."""
        document = await self.collection.find_one({"_id": campaign_id})
        return int((document or {}).get("running_since", 0))

    async def warn(
        self, campaign: Campaign, since: int, announcements: Sequence[Announcement]
    ) -> bool:
        """Say it once for the run that began at `since`; False if it was said."""
        update = update_with_events({"$set": {"warned_since": since}}, announcements)
        for not_yet in ({"$lt": since}, {"$exists": False}):
            guard = {"_id": campaign.id, "state": campaign.state.value, "warned_since": not_yet}
            if (await self.collection.update_one(guard, update)).modified_count:
                return True
        return False

    async def move(
        self,
        campaign: Campaign,
        state: CampaignState,
        announcements: Sequence[Announcement],
        definition: Campaign | None = None,
    ) -> bool:
        """Compare-and-set on state and revision; False if somebody was faster."""
        return await self._move(_as_read(campaign), campaign, state, announcements, definition)

    async def complete(self, campaign: Campaign, announcements: Sequence[Announcement]) -> bool:
        """As `move`, and False as well if it was stirred since it was read."""
        guard = _as_read(campaign) | {"stirred": campaign.stirred or {"$exists": False}}
        return await self._move(guard, campaign, CampaignState.COMPLETED, announcements)

    async def stir(self, campaign_id: str) -> bool:
        """It has leads that may be mailed now: whoever saw none completes it no more.

        False if it is not running.
        """
        guard = {"_id": campaign_id, "state": CampaignState.RUNNING.value}
        result = await self.collection.update_one(guard, {"$inc": {"stirred": 1}})
        return bool(result.matched_count)

    async def _move(
        self,
        guard: Document,
        campaign: Campaign,
        state: CampaignState,
        announcements: Sequence[Announcement],
        definition: Campaign | None = None,
    ) -> bool:
        changes: Document = {"state": state.value, "changed_at": now_ms()}
        if state is CampaignState.RUNNING and campaign.state is not state:
            changes["running_since"] = now_ms()
        if definition is not None:
            changes |= {"definition": definition_json(definition), "name": definition.name}
        update = update_with_events({"$set": changes, "$inc": {"revision": 1}}, announcements)
        result = await self.collection.update_one(guard, update)
        return bool(result.modified_count)


def _choices_json(steps: Iterable[Step]) -> str:
    """Step number -> what its winner rule has come to. Beside the definition, as the state is."""
    choices = {str(n): asdict(step.choice) for n, step in enumerate(steps) if step.choice}
    return orjson.dumps(choices).decode()


def definition_json(campaign: Campaign) -> str:
    """The definition as it is stored."""
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
            "windows": [[a.isoformat("minutes"), _end(b)] for a, b in schedule.windows],
            "start_at": schedule.start_at.isoformat() if schedule.start_at else None,
            "spread": schedule.spread,
            "recipient_hours": schedule.recipient_hours,
        },
        "tracking": {"opens": campaign.tracking.opens, "clicks": campaign.tracking.clicks},
        "check_reply": campaign.check_reply,
        "category": campaign.category,
        "postal_address": campaign.postal_address,
        "reply_token": campaign.reply_token,
        "require_opt_in": campaign.require_opt_in,
        "pause_company_on_reply": campaign.pause_company_on_reply,
    }


def _end(end: time) -> str:
    return "24:00" if end == time.min else end.isoformat("minutes")


def _time(text: str) -> time:
    return time.min if text == "24:00" else time.fromisoformat(text)


def _step_document(step: Step) -> dict[str, Any]:
    return {
        "delay": step.delay.total_seconds(),
        "condition": step.condition.value,
        "winner": _winner_document(step.winner),
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
        "attachments": [_file_document(file) for file in step.attachments],
    }


def _file_document(file: Attachment) -> dict[str, Any]:
    return {
        "id": file.id,
        "filename": file.name,
        "content_type": file.content_type,
        "size_bytes": file.size_bytes,
        "content_id": file.content_id,
    }


def _file(document: dict[str, Any]) -> Attachment:
    return Attachment(
        document["id"],
        document["filename"],
        document["content_type"],
        document["size_bytes"],
        document["content_id"],
    )


def _winner_document(rule: WinnerRule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {
        "metric": rule.metric.value,
        "minimum_sample": rule.minimum_sample,
        "after": rule.after.total_seconds(),
        "confidence": rule.confidence,
    }


def _winner(document: dict[str, Any] | None) -> WinnerRule | None:
    if document is None:
        return None
    return WinnerRule(
        Metric(document["metric"]),
        document["minimum_sample"],
        timedelta(seconds=document["after"]),
        document["confidence"],
    )


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
                _winner(step.get("winner")),
                attachments=tuple(map(_file, step.get("attachments", ()))),
            )
            for step in data["steps"]
        ),
        schedule=Schedule(
            timezone=schedule["timezone"],
            days=tuple(schedule["days"]),
            windows=tuple((time.fromisoformat(a), _time(b)) for a, b in schedule["windows"]),
            start_at=datetime.fromisoformat(schedule["start_at"]) if schedule["start_at"] else None,
            spread=schedule.get("spread", False),
            recipient_hours=schedule.get("recipient_hours", False),
        ),
        tracking=Tracking(**data["tracking"]),
        check_reply=data["check_reply"],
        category=data["category"],
        postal_address=data["postal_address"],
        reply_token=data.get("reply_token", False),
        require_opt_in=data.get("require_opt_in", False),
        pause_company_on_reply=data.get("pause_company_on_reply", False),
    )


def _campaign(document: Document) -> Campaign:
    campaign = from_definition(document["_id"], orjson.loads(document["definition"]))
    choices = orjson.loads(document.get("choices") or "{}")
    steps = tuple(
        replace(step, choice=Choice(**choices[str(n)])) if str(n) in choices else step
        for n, step in enumerate(campaign.steps)
    )
    return replace(
        campaign,
        steps=steps,
        state=CampaignState(document["state"]),
        revision=document.get("revision", 0),
        stirred=document.get("stirred", 0),
    )


def _as_read(campaign: Campaign) -> Document:
    """The guard of a compare-and-set: nobody has changed it since it was read."""
    return {"_id": campaign.id, "state": campaign.state.value, "revision": campaign.revision}
