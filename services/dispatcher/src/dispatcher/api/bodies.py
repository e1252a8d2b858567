"""What callers send: every field checked where it enters, with an error that names it."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from dispatcher.api.attachment_body import AttachmentBody
from dispatcher.api.schedule_body import ScheduleBody
from dispatcher.api.templates import TemplateId
from dispatcher.domain.attachments import MAX_FILES, check_together
from dispatcher.domain.campaigns import Campaign, Condition, Step, Tracking, Variant
from dispatcher.domain.suppression import Kind
from dispatcher.domain.winner import Choice, Metric, WinnerRule
from postfleet.addresses import check_text
from postfleet.http import Strict
from postfleet.problems import invalid

_MAX_BODY_CHARACTERS = 256 * 1024


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("a campaign's mail must say where its sender can be found")
    return value


Text = Annotated[str, Field(max_length=_MAX_BODY_CHARACTERS)]
Senders = Annotated[list[Annotated[str, Field(min_length=1, max_length=254)]], Field(min_length=1)]
Address = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_not_blank)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_text)]
Line = Annotated[str, Field(max_length=500)]
_TEXTS = {"subject", "body_text", "body_html", "template_id", "template_version"}


class TextsBody(Strict):
    """Texts, or the stored template whose texts (its newest version's, or `template_version`'s) are
    taken over now. A `subject` beside it replaces the template's; an empty one makes it an answer.
    """

    subject: Line = ""
    body_text: Text = ""
    body_html: Text = ""
    template_id: TemplateId | None = None
    template_version: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @property
    def lacks_subject(self) -> bool:
        of_template = self.template_id and "subject" not in self.model_fields_set
        return not self.subject and not of_template

    def check_texts(self) -> None:
        """Raises ValueError unless it is one of both."""
        if self.template_id is None:
            if self.template_version is not None:
                raise ValueError("template_version: it belongs to a template_id")
            if not self.body_text.strip() and not self.body_html.strip():
                raise ValueError("give body_text, body_html, or both, or a template_id")
        elif self.body_text or self.body_html:
            raise ValueError("give either a template_id, or texts, not both")


class VariantBody(TextsBody):
    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")] = "A"
    weight: Annotated[int, Field(ge=0, le=1000)] = 1

    @field_validator("subject")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return check_text(value)

    @model_validator(mode="after")
    def _has_body(self) -> "VariantBody":
        self.check_texts()
        return self


class WinnerBody(Strict):
    """When one of a step's variants has won; see `domain/winner.py` for the test."""

    metric: Annotated[Metric, Field(strict=False)]
    minimum_sample: Annotated[int, Field(ge=20, le=1_000_000)] = 100
    after: Annotated[timedelta, Field(strict=False, ge=timedelta(0), le=timedelta(days=30))] = (
        timedelta(hours=4)
    )
    confidence: Annotated[float, Field(ge=0.8, le=0.999)] = 0.95

    def domain(self) -> WinnerRule:
        return WinnerRule(self.metric, self.minimum_sample, self.after, self.confidence)


class StepBody(TextsBody):
    delay: Annotated[timedelta, Field(strict=False, ge=timedelta(0), le=timedelta(days=365))] = (
        timedelta(0)
    )
    variants: Annotated[list[VariantBody], Field(max_length=20)] = Field(default_factory=list)
    condition: Annotated[Condition, Field(strict=False)] = Condition.NOT_REPLIED
    winner: WinnerBody | None = None
    attachments: Annotated[list[AttachmentBody], Field(max_length=MAX_FILES)] = Field(
        default_factory=list
    )

    @model_validator(mode="after")
    def _files(self) -> "StepBody":
        check_together([file.domain() for file in self.attachments])
        if self.lacks_html:
            raise ValueError("attachments: an image with a content_id needs a body_html")
        return self

    @property
    def lacks_html(self) -> bool:
        """Whether an image has no text that could show it; a template's is known when it is read."""
        texts: list[TextsBody] = [self, *self.variants]
        html = any(one.body_html or one.template_id for one in texts)
        return any(file.content_id for file in self.attachments) and not html

    @model_validator(mode="after")
    def _has_text(self) -> "StepBody":
        if self.variants and any(self._given().values()):
            raise ValueError("give either variants, or subject and body, not both")
        if self.variants and sum(variant.weight for variant in self.variants) == 0:
            raise ValueError("variants: at least one weight must be above 0")
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("variants: the names must differ")
        if not self.variants:
            self._only()
        return self

    def _given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _TEXTS & self.model_fields_set}

    def _only(self) -> VariantBody:
        return VariantBody(**self._given())

    @property
    def bodies(self) -> list[VariantBody]:
        return self.variants or [self._only()]

    def domain(self) -> Step:
        variants = tuple(
            Variant(v.name, v.subject, v.body_text, v.body_html, v.weight) for v in self.bodies
        )
        winner = self.winner.domain() if self.winner else None
        files = tuple(file.domain() for file in self.attachments)
        return Step(self.delay, variants, self.condition, winner, attachments=files)


class TrackingBody(Strict):
    opens: bool = False
    clicks: bool = False

    def domain(self) -> Tracking:
        return Tracking(self.opens, self.clicks)


def _with_first_subject(steps: list[StepBody]) -> list[StepBody]:
    if any(variant.lacks_subject for variant in steps[0].bodies):
        raise ValueError("the first step needs a subject")
    return steps


Steps = Annotated[
    list[StepBody], Field(min_length=1, max_length=50), AfterValidator(_with_first_subject)
]


class CampaignBody(Strict):
    name: Name
    senders: Senders
    steps: Steps
    schedule: ScheduleBody = Field(default_factory=ScheduleBody)
    tracking: TrackingBody = Field(default_factory=TrackingBody)
    check_reply: bool = True
    category: Literal["campaign"] = "campaign"
    postal_address: Address
    reply_token: bool = False
    require_opt_in: bool = False
    pause_company_on_reply: bool = False

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
            reply_token=self.reply_token,
            require_opt_in=self.require_opt_in,
            pause_company_on_reply=self.pause_company_on_reply,
        )

    def files(self) -> list[list[AttachmentBody]]:
        return [step.attachments for step in self.steps]


class CampaignPatch(Strict):
    """Fields that are left out stay as they are."""

    name: Name = ""
    senders: Senders = Field(default_factory=list)
    steps: Steps = Field(default_factory=list)
    schedule: ScheduleBody = Field(default_factory=ScheduleBody)
    tracking: TrackingBody = Field(default_factory=TrackingBody)
    check_reply: bool = True
    postal_address: Address = ""
    reply_token: bool = False
    require_opt_in: bool = False
    pause_company_on_reply: bool = False

    def files(self) -> list[list[AttachmentBody]]:
        return [step.attachments for step in self.steps]

    def applied(self, campaign: Campaign) -> Campaign:
        """The campaign with the fields that were sent."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "steps" in given:
            given["steps"] = tuple(
                replace(step.domain(), choice=_choice(campaign, number))
                for number, step in enumerate(self.steps)
            )
        if "senders" in given:
            given["senders"] = tuple(self.senders)
        for name in ("schedule", "tracking"):
            if name in given:
                given[name] = getattr(self, name).domain()
        return replace(campaign, **given)


def _choice(campaign: Campaign, number: int) -> Choice | None:
    return campaign.steps[number].choice if number < len(campaign.steps) else None


class CopyBody(Strict):
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @field_validator("name")
    @classmethod
    def _name(cls, value: str | None) -> str | None:
        return value if value is None else check_text(value)


_Entry = Annotated[str, Field(min_length=3, max_length=254)]
_WHOM = ("entry", "address", "domain")


class SuppressionBody(Strict):
    """Whom: an `address`, a whole `domain`, or an `entry` that is either (a domain with an @)."""

    entry: _Entry | None = None
    address: _Entry | None = None
    domain: _Entry | None = None
    reason: Annotated[str, Field(max_length=200)] = "manual"
    source: Annotated[str, Field(min_length=1, max_length=200)] = "api"
    kind: Annotated[Kind, Field(strict=False)] = Kind.MANUAL

    @field_validator("reason", "source")
    @classmethod
    def _text(cls, value: str) -> str:
        return check_text(value)

    def named(self) -> tuple[str, str]:
        """The field that was given and its value. Raises Problem (422) unless it is exactly one."""
        given = {name: value for name in _WHOM if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            raise invalid("entry", "one_of", "give exactly one of entry, address and domain")
        return given.popitem()
