"""What a campaign is: steps, variants, schedule, and when a lead's next step is due."""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from dispatcher.domain.attachments import Attachment
from dispatcher.domain.draws import draw
from dispatcher.domain.winner import Choice, WinnerRule


class CampaignState(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    DELETED = "deleted"  # it was a draft; nobody is shown it any more


class LeadState(StrEnum):
    """Only an active lead gets mail."""

    ACTIVE = "active"
    PAUSED = "paused"  # by an operator, or because a colleague replied; may be resumed
    UNCONFIRMED = "unconfirmed"  # the campaign requires an opt-in that it has not confirmed
    FINISHED = "finished"  # had its last mail, or the one before it failed
    REPLIED = "replied"
    UNSUBSCRIBED = "unsubscribed"
    INVALID = "invalid"  # hard bounce
    SUPPRESSED = "suppressed"
    HELD = "held"  # its last mail's outcome stayed unknown, and the policy is to hold


class Condition(StrEnum):
    """What must be true of the lead for a step to go; judged once, when its delay is over."""

    ALWAYS = "always"
    NOT_REPLIED = "not_replied"
    REPLIED = "replied"
    OPENED = "opened"
    NOT_OPENED = "not_opened"
    CLICKED = "clicked"
    NOT_CLICKED = "not_clicked"


@dataclass(frozen=True, slots=True)
class Variant:
    """One text of a step. `weight` is its share among the step's variants."""

    name: str
    subject: str
    body_text: str = ""
    body_html: str = ""
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """`delay` counts from the acceptance of the step before, for the first from the start."""

    delay: timedelta
    variants: tuple[Variant, ...]
    condition: Condition = Condition.NOT_REPLIED
    winner: WinnerRule | None = None
    choice: Choice | None = None  # what the rule has come to so far
    attachments: tuple[Attachment, ...] = ()

    @property
    def undecided(self) -> bool:
        """Whether a variant may still win."""
        rivals = sum(variant.weight > 0 for variant in self.variants)
        return self.winner is not None and rivals > 1 and not self.chosen

    @property
    def chosen(self) -> str:
        """The variant that has won, or an empty text."""
        return self.choice.variant if self.choice else ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When mail may go, in the campaign's time zone. No windows and no days mean always."""

    timezone: str = "UTC"
    days: tuple[int, ...] = ()  # 0 is Monday
    windows: tuple[tuple[time, time], ...] = ()  # the end may be before the start: overnight
    start_at: datetime | None = None
    spread: bool = False  # the day's capacity goes over the open time that is left, not at once
    recipient_hours: bool = False  # windows are read off the clock of the lead's `timezone`


@dataclass(frozen=True, slots=True)
class Tracking:
    opens: bool = False
    clicks: bool = False


@dataclass(frozen=True, slots=True)
class Campaign:
    id: str
    name: str
    senders: tuple[str, ...]
    steps: tuple[Step, ...]
    state: CampaignState = CampaignState.DRAFT
    schedule: Schedule = field(default_factory=Schedule)
    tracking: Tracking = field(default_factory=Tracking)
    check_reply: bool = True
    category: str = "campaign"
    postal_address: str = ""
    require_opt_in: bool = False  # only leads with confirmed consent are mailed
    pause_company_on_reply: bool = False
    reply_token: bool = False  # Reply-To with a token, where the sender's provider delivers such
    revision: int = 0
    stirred: int = 0  # how often it got leads that may be mailed, while it was running


def variant_for(step: Step, lead: str, campaign_id: str) -> Variant:
    """The variant a lead gets: the winner, else drawn by weight, the same at every planning."""
    for variant in step.variants:
        if variant.name == step.chosen:
            return variant
    weights = [variant.weight for variant in step.variants]
    return step.variants[draw(weights, "variant", campaign_id, lead)]


def open_at(schedule: Schedule, moment: datetime) -> bool:
    """Whether mail may go at this moment."""
    if schedule.start_at and moment < schedule.start_at:
        return False
    local = moment.astimezone(ZoneInfo(schedule.timezone))
    windows = schedule.windows or ((time.min, time.min),)
    return any(_inside(schedule, window, local) for window in windows)


def _inside(schedule: Schedule, window: tuple[time, time], local: datetime) -> bool:
    """A window belongs to the day it starts on; one that ends where it starts lasts a day."""
    start, end = window
    clock = local.time().replace(tzinfo=None)
    day = local.weekday()
    if start < end:
        return start <= clock < end and _allowed(schedule, day)
    if clock >= start:
        return _allowed(schedule, day)
    return clock < end and _allowed(schedule, (day - 1) % 7)


def _allowed(schedule: Schedule, day: int) -> bool:
    return not schedule.days or day in schedule.days
