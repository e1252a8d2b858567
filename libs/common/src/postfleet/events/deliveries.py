"""One mail to one recipient: what the SMTP server or a DSN said of it."""

from typing import ClassVar, Literal

from postfleet.events.event import Event, Moment


class DeliveryEvent(Event):
    """Common to what happens to one delivery (one mail to one recipient).

    `warmup` marks a mail between two senders of the fleet: no figure of campaigns counts it.
    """

    source: ClassVar[str] = "dispatcher"

    delivery_id: str
    campaign_id: str | None = None
    step: int | None = None
    variant: str | None = None
    lead_id: str | None = None
    sender_id: str
    recipient: str
    message_id: str
    warmup: bool = False


class SmtpEvent(DeliveryEvent):
    """Common to what an SMTP server answered; `enhanced_status` is "" where it gave none."""

    attempt: int = 1
    reply_code: int | None = None
    enhanced_status: str = ""
    reply_text: str = ""


class EmailSent(SmtpEvent):
    """The server answered 250 after the final dot: it took responsibility (RFC 5321 §6.1)."""

    subject: ClassVar[str] = "email.sent"
    author: str = ""
    category: Literal["campaign", "transactional", "warmup"] = "campaign"
    mail_subject: str = ""


class EmailDeferred(SmtpEvent):
    """A transient failure (4yz, or no connection): tried again at `retry_at`.

    Of the mails that one failed connection defers, all but one say `same_outage`.
    """

    subject: ClassVar[str] = "email.deferred"
    retry_at: Moment
    category: str = ""
    fault: Literal["recipient", "sender", "connection", "content"] = "recipient"
    same_outage: bool = False


class EmailFailed(SmtpEvent):
    """A permanent failure (5yz), or the retry window has passed: never tried again."""

    subject: ClassVar[str] = "email.failed"
    category: str = ""
    fault: Literal["recipient", "sender", "connection", "content"] = "recipient"


class EmailSkipped(DeliveryEvent):
    """Not sent, and never will be: suppressed, replied, unsubscribed, sender deleted, …"""

    subject: ClassVar[str] = "email.skipped"
    reason: str


class EmailUnknown(DeliveryEvent):
    """Nobody knows how the final dot was answered (RFC 1047): it may have gone.

    `cause` is `connection` where the server's side was lost, `crash` where ours was.
    """

    subject: ClassVar[str] = "email.unknown"
    attempt: int = 1
    cause: Literal["connection", "crash"] = "connection"


class Bounce(DeliveryEvent):
    """Common to both bounces. `observed` tells whether a reply or a DSN (RFC 3464) said so.

    `source` on the wire is the service that observed it.
    """

    category: str = ""
    enhanced_status: str = ""
    diagnostic: str = ""
    observed: Literal["smtp", "dsn"]
    matched_by: str = ""
    confidence: float | None = None
    remote_mta: str = ""


class BounceHard(Bounce):
    """The recipient will never get mail at this address."""

    subject: ClassVar[str] = "bounce.hard"


class BounceSoft(Bounce):
    """The recipient could not get this mail now (mailbox full, rate limited, …)."""

    subject: ClassVar[str] = "bounce.soft"


class RecipientSuppressed(Event):
    """No campaign will mail this address (or domain) any more."""

    subject: ClassVar[str] = "recipient.suppressed"
    source: ClassVar[str] = "dispatcher"
    aggregate: ClassVar[str] = "recipient"

    recipient: str
    reason: str
    delivery_id: str | None = None
    campaign_id: str | None = None
