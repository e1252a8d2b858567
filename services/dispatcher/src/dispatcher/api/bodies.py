"""What callers send: every field checked where it enters, with an error that names it."""

import re
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, Field, field_validator, model_validator

from dispatcher.domain.campaigns import Campaign, Condition, Schedule, Step, Tracking, Variant
from dispatcher.domain.openings import MOST_AHEAD
from postfleet.addresses import check_text
from postfleet.http import Strict
from postfleet.instants import now

_MAX_BODY_CHARACTERS = 256 * 1024
_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
Text = Annotated[str, Field(max_length=_MAX_BODY_CHARACTERS)]
Line = Annotated[str, Field(max_length=500)]


class VariantBody(Strict):
    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")] = "A"
    subject: Line = ""
    body_text: Text = ""
    body_html: Text = ""
    weight: Annotated[int, Field(ge=0, le=1000)] = 1

    @field_validator("subject")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return check_text(value)

    @model_validator(mode="after")
    def _has_body(self) -> "VariantBody":
        if not self.body_text.strip() and not self.body_html.strip():
            raise ValueError("give body_text, body_html, or both")
        return self


class StepBody(Strict):
    delay: Annotated[timedelta, Field(strict=False, ge=timedelta(0), le=timedelta(days=365))] = (
        timedelta(0)
    )
    subject: Line = ""
    body_text: Text = ""
    body_html: Text = ""
    variants: Annotated[list[VariantBody], Field(max_length=20)] = Field(default_factory=list)
    condition: Annotated[Condition, Field(strict=False)] = Condition.NOT_REPLIED

    @model_validator(mode="after")
    def _has_text(self) -> "StepBody":
        if self.variants and (self.body_text or self.body_html or self.subject):
            raise ValueError("give either variants, or subject and body, not both")
        if self.variants and sum(variant.weight for variant in self.variants) == 0:
            raise ValueError("variants: at least one weight must be above 0")
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("variants: the names must differ")
        if not self.variants:
            self._only()
        return self

    def _only(self) -> VariantBody:
        return VariantBody(subject=self.subject, body_text=self.body_text, body_html=self.body_html)

    def domain(self) -> Step:
        bodies = self.variants or [self._only()]
        variants = tuple(
            Variant(v.name, v.subject, v.body_text, v.body_html, v.weight) for v in bodies
        )
        return Step(self.delay, variants, self.condition)


class ScheduleBody(Strict):
    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    days: list[Annotated[int, Field(ge=0, le=6)]] = Field(default_factory=list)
    windows: list[list[str]] = Field(default_factory=list, max_length=20)
    start_at: Annotated[AwareDatetime | None, Field(strict=False)] = None
    spread: bool = False
    recipient_hours: bool = False

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"no time zone {value!r}; use an IANA name such as Europe/Paris"
            ) from error
        return value

    @field_validator("start_at")
    @classmethod
    def _soon_enough(cls, value: datetime | None) -> datetime | None:
        if value is not None and value > now() + MOST_AHEAD:
            raise ValueError("it would not open for more than two years; check the year")
        return value

    @field_validator("windows")
    @classmethod
    def _windows(cls, value: list[list[str]]) -> list[list[str]]:
        for pair in value:
            _window(pair)
        return value

    def domain(self) -> Schedule:
        windows = tuple(_window(pair) for pair in self.windows)
        return Schedule(
            timezone=self.timezone,
            days=tuple(self.days),
            windows=windows,
            start_at=self.start_at,
            spread=self.spread,
            recipient_hours=self.recipient_hours,
        )


def _window(pair: list[str]) -> tuple[time, time]:
    if len(pair) != 2:
        raise ValueError('a window is a pair such as ["09:00", "17:00"]')
    start, end = map(_clock, pair)
    return start, end


def _clock(text: str) -> time:
    """Minutes are kept, no more: `09:00:10` would be stored as something else."""
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no time of day from 00:00 to 23:59, such as 09:00")
    return time.fromisoformat(text)


class TrackingBody(Strict):
    opens: bool = False
    clicks: bool = False

    def domain(self) -> Tracking:
        return Tracking(self.opens, self.clicks)


class CampaignBody(Strict):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    senders: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=254)]], Field(min_length=1)
    ]
    steps: Annotated[list[StepBody], Field(min_length=1, max_length=50)]
    schedule: ScheduleBody = Field(default_factory=ScheduleBody)
    tracking: TrackingBody = Field(default_factory=TrackingBody)
    check_reply: bool = True
    category: Literal["campaign"] = "campaign"
    postal_address: Annotated[str, Field(min_length=1, max_length=500)]

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return check_text(value)

    @field_validator("steps")
    @classmethod
    def _first_has_subject(cls, value: list[StepBody]) -> list[StepBody]:
        if any(not variant.subject for variant in value[0].domain().variants):
            raise ValueError("the first step needs a subject")
        return value

    def domain(self, campaign_id: str) -> Campaign:
        return Campaign(
            id=campaign_id,
            name=self.name,
            senders=tuple(self.senders),
            steps=tuple(step.domain() for step in self.steps),
            schedule=self.schedule.domain(),
            tracking=self.tracking.domain(),
            check_reply=self.check_reply,
            category=self.category,
            postal_address=self.postal_address,
        )


class CampaignPatch(Strict):
    """Fields that are left out stay as they are."""

    name: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    senders: Annotated[list[str] | None, Field(min_length=1)] = None
    steps: Annotated[list[StepBody] | None, Field(min_length=1, max_length=50)] = None
    schedule: ScheduleBody | None = None
    tracking: TrackingBody | None = None
    check_reply: bool | None = None
    postal_address: Annotated[str | None, Field(min_length=1, max_length=500)] = None

    def changes(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


class SuppressionBody(Strict):
    """`entry` is an address, or a domain with an @ before it."""

    entry: Annotated[str, Field(min_length=3, max_length=254)]
    reason: Annotated[str, Field(max_length=200)] = "manual"
