"""A campaign as the database keeps it and the API shows it."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime, time, timedelta
from typing import Any

import orjson

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
from postfleet.mongo import Document


def choices_json(steps: Iterable[Step]) -> str:
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


def campaign_of(document: Document) -> Campaign:
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
