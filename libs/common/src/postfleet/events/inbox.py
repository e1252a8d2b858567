"""What arrived in a sender's mailbox, and the state of watching it."""

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from postfleet.events.deliveries import DeliveryEvent
from postfleet.events.event import Event, Moment


class InboxEvent(DeliveryEvent):
    """Common to what arrived in a sender's mailbox. `inbound_id` is the watcher's own id of the mail.

    `confidence` (0 to 1) is how sure it is that the mail belongs to this delivery.
    """

    source: ClassVar[str] = "inbox-watcher"

    inbound_id: str = ""
    matched_by: str = ""
    received_at: Moment | None = None
    confidence: float | None = None


class ReplyDetected(InboxEvent):
    """A human answered. `text` is the new text, without the quoted history."""

    subject: ClassVar[str] = "reply.detected"
    text: str = ""
    mail_subject: str = Field(default="", alias="subject")

    model_config = ConfigDict(populate_by_name=True)


class ReplyAutomatic(InboxEvent):
    """A machine answered (RFC 3834): out of office, vacation, ticket system."""

    subject: ClassVar[str] = "reply.automatic"
    reason: str = ""
    returns_on: str = ""  # the day (ISO 8601) on which the author is back
    mail_subject: str = Field(default="", alias="subject")

    model_config = ConfigDict(populate_by_name=True)


class ComplaintReceived(InboxEvent):
    """The recipient reported the mail as spam (ARF, RFC 5965)."""

    subject: ClassVar[str] = "complaint.received"


class WarmupReceived(InboxEvent):
    """A warm-up mail of `sender_id` arrived at another sender of the fleet, `partner_id`.

    `placement` is where the receiver's filter had put it. It is opened there, and brought back from
    Junk. With `answer_wanted` the partner is to answer it.
    """

    subject: ClassVar[str] = "warmup.received"
    warmup: bool = True
    partner_id: str
    placement: Literal["inbox", "junk"]
    answer_wanted: bool = False
    mail_subject: str = ""


class DeliveryDelayed(InboxEvent):
    """A server on the way says that the mail is late (RFC 3464 action `delayed`); it may yet arrive."""

    subject: ClassVar[str] = "delivery.delayed"
    enhanced_status: str = ""
    diagnostic: str = ""


class DeliveryConfirmed(InboxEvent):
    """A mail whose outcome was unknown was found in the sender's Sent folder: it was accepted."""

    subject: ClassVar[str] = "delivery.confirmed"


class DeliveryRefuted(InboxEvent):
    """A mail whose outcome was unknown is not in the Sent folder, where its neighbours are."""

    subject: ClassVar[str] = "delivery.refuted"


class WatcherEvent(Event):
    """Common to the state of watching one mailbox."""

    source: ClassVar[str] = "inbox-watcher"
    aggregate: ClassVar[str] = "sender_id"

    sender_id: str


class WatcherStale(WatcherEvent):
    """The promise to look into this mailbox every few seconds is broken since `since`."""

    subject: ClassVar[str] = "watcher.stale"
    since: Moment
    reason: str = ""


class WatcherRecovered(WatcherEvent):
    """The mailbox is watched again, and what came meanwhile was read."""

    subject: ClassVar[str] = "watcher.recovered"


class WatcherUnexpected(WatcherEvent):
    """A mail lies in the sender's Sent folder that the platform did not send.

    A person used the mailbox, or somebody who has its password. `in_reply_to` is the mail that it
    answers, "" if it answers none; once for a mail.
    """

    subject: ClassVar[str] = "watcher.unexpected"
    inbound_id: str
    message_id: str = ""
    recipients: tuple[str, ...] = ()
    mail_subject: str = ""
    in_reply_to: str = ""
    received_at: Moment | None = None
