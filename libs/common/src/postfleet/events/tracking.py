"""What recipients did with a mail: opened, clicked, unsubscribed; and who is told of it."""

from enum import StrEnum
from typing import ClassVar, Literal

from postfleet.events.deliveries import DeliveryEvent
from postfleet.events.event import Event, Moment


class Verdict(StrEnum):
    """Who fetched the pixel or the link."""

    HUMAN = "human"
    PROXY = "proxy"
    BOT = "bot"


class HitEvent(DeliveryEvent):
    """Common to a pixel load and a click. `first` marks the delivery's first hit by a human.

    A verdict may change later: see `verdict.changed`. `count` is above 1 where an earlier first was
    found to be a machine's and taken back.
    """

    source: ClassVar[str] = "tracker"

    verdict: Verdict
    reason: str = ""
    first: bool = False
    count: int = 1


class EmailOpened(HitEvent):
    """The tracking pixel was loaded."""

    subject: ClassVar[str] = "email.opened"


class EmailClicked(HitEvent):
    """A tracked link was followed to `url`."""

    subject: ClassVar[str] = "email.clicked"
    url: str


class VerdictChanged(DeliveryEvent):
    """A hit was judged again: a hidden link or a burst gave a machine away, or the rules are newer.

    `occurred_at` is when the hit came. `uncounted` says that the delivery's count number so and so,
    of `uncounted_at`, is taken back; `counted` that it counts (again) as of `counted_at`; 0 is
    neither. Where the first of a delivery moves to another hit, both are there.
    """

    subject: ClassVar[str] = "verdict.changed"
    source: ClassVar[str] = "tracker"

    hit_id: str
    hit_kind: Literal["opened", "clicked"]
    old_verdict: Verdict
    verdict: Verdict
    reason: str = ""
    rules: int
    uncounted: int = 0
    uncounted_at: Moment | None = None
    counted: int = 0
    counted_at: Moment | None = None


class RecipientUnsubscribed(Event):
    """The recipient wants no more campaign mail, from any campaign; or, chosen on the page, none of
    this one any more (`scope` is `campaign`). Who does not know the scope stops everything.
    """

    subject: ClassVar[str] = "recipient.unsubscribed"
    source: ClassVar[str] = "tracker"
    aggregate: ClassVar[str] = "recipient"

    recipient: str
    delivery_id: str | None = None
    campaign_id: str | None = None
    step: int | None = None
    variant: str | None = None
    lead_id: str | None = None
    sender_id: str | None = None
    message_id: str | None = None
    method: Literal["one-click", "page", "api"] = "page"
    scope: Literal["all", "campaign"] = "all"


class RecipientResubscribed(Event):
    """The recipient takes an unsubscribe back. A bounce, complaint or operator's entry still holds."""

    subject: ClassVar[str] = "recipient.resubscribed"
    source: ClassVar[str] = "tracker"
    aggregate: ClassVar[str] = "recipient"

    recipient: str
    delivery_id: str | None = None
    campaign_id: str | None = None
    lead_id: str | None = None
    method: Literal["page", "api"] = "page"


class WebhookDisabled(Event):
    """An endpoint is sent nothing any more: it failed for a day, or said that it is gone (410).

    Events are kept for it; `POST /webhooks/{id}/replay` sends them and begins again.
    """

    subject: ClassVar[str] = "webhook.disabled"
    source: ClassVar[str] = "tracker"
    aggregate: ClassVar[str] = "webhook_id"

    webhook_id: str
    url: str
    reason: str


class PersonErased(Event):
    """An operator erased a person: whoever keeps anything about `recipient` removes it.

    A suppression stays, as a keyed hash, so that the person is not mailed again.
    """

    subject: ClassVar[str] = "person.erased"
    source: ClassVar[str] = "tracker"
    aggregate: ClassVar[str] = "recipient"

    recipient: str
