"""The fleet's mailboxes: their settings, status, health and credentials."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from postfleet.events.event import Event, Moment


class SenderStatus(StrEnum):
    """The public vocabulary of a sender's status (S33)."""

    READY = "ready"
    WARMUP = "warmup"
    RESTRICTED = "restricted"


class SmtpSecurity(StrEnum):
    """How a connection is protected: STARTTLS (RFC 3207), TLS from the first byte, or not at all."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


class MailServer(BaseModel):
    """Where and how to log in; the secret itself never rides on an event."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    port: int
    security: SmtpSecurity
    username: str
    auth_method: Literal["password", "xoauth2"] = "password"


class SenderSnapshot(BaseModel):
    """A sender as it is after the change. `revision` grows with every change: apply only newer ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sender_id: str
    revision: int
    email_address: str
    display_name: str = ""
    domain: str
    kind: Literal["external", "internal"] = "external"
    provider: str = "CUSTOM_SMTP"
    status: SenderStatus
    health: int = Field(ge=0, le=100)
    daily_limit: int
    effective_limit: int
    monthly_limit: int | None = None
    warmup_mode: bool = False
    reply_detection: bool = False
    access_methods: tuple[str, ...] = ("campaign",)
    tags: tuple[str, ...] = ()
    cooldown_until: Moment | None = None
    suspended: bool = False
    deleted: bool = False
    smtp: MailServer
    imap: MailServer | None = None
    bcc: str | None = None
    archive: str | None = None


class SenderEvent(Event):
    """Common to all `sender.*`: the whole sender as it is after the change."""

    source: ClassVar[str] = "sender-registry"
    aggregate: ClassVar[str] = "sender_id"

    sender_id: str
    sender: SenderSnapshot


class SenderCreated(SenderEvent):
    """A sender was validated over SMTP and stored; `sender.status` says whether it may send."""

    subject: ClassVar[str] = "sender.created"


class SenderUpdated(SenderEvent):
    """Settings of a sender changed."""

    subject: ClassVar[str] = "sender.updated"
    changed: tuple[str, ...] = ()


class SenderDeleted(SenderEvent):
    """The sender is gone for good: nothing may be sent through it any more, queued mail included."""

    subject: ClassVar[str] = "sender.deleted"


class SenderReady(SenderEvent):
    """The sender may send from now on."""

    subject: ClassVar[str] = "sender.ready"


class SenderRestricted(SenderEvent):
    """The sender may not send: validation failed, suspended, or health below 20."""

    subject: ClassVar[str] = "sender.restricted"
    reason: str
    code: str = ""


class SenderCooldownStarted(SenderEvent):
    """Three consecutive errors: no connection is made for this sender until `until`."""

    subject: ClassVar[str] = "sender.cooldown_started"
    until: Moment
    reason: str


class SenderCooldownEnded(SenderEvent):
    """The cooldown is over; the first mail is a probe."""

    subject: ClassVar[str] = "sender.cooldown_ended"


class SenderHealthChanged(SenderEvent):
    """Health moved to another tenth, or across 20 (below it the sender gets no campaign mail).

    `cause` of a loss, the last one's: `list`, `content`, `sender`, `domain` or `receiver`.
    """

    subject: ClassVar[str] = "sender.health_changed"
    previous: int
    health: int
    cause: str = ""


class SenderLimitReached(SenderEvent):
    """The day's or the month's limit is used up until `until`."""

    subject: ClassVar[str] = "sender.limit_reached"
    limit: str
    until: Moment


class SenderSuspended(SenderEvent):
    """An operator or a rule stopped the sender; only an operator ends it."""

    subject: ClassVar[str] = "sender.suspended"
    by: str
    reason: str


class SenderResumed(SenderEvent):
    """A suspension was ended."""

    subject: ClassVar[str] = "sender.resumed"


class SenderWarmupAdvanced(SenderEvent):
    """The daily volume of a warming sender changed."""

    subject: ClassVar[str] = "sender.warmup_advanced"
    day: int
    volume: int


class CredentialExpiring(Event):
    """A password, token or certificate ends soon, and with it `daily_volume` mails a day."""

    subject: ClassVar[str] = "credential.expiring"
    source: ClassVar[str] = "sender-registry"
    aggregate: ClassVar[str] = "sender_id"

    sender_id: str
    what: str
    expires_at: Moment
    daily_volume: int


class SenderRequestSlaBreached(Event):
    """A sender request is not settled one working day after it was submitted; said once for each.

    `state` says what it waits for: `awaiting_approval`, or `executing` where that was interrupted.
    """

    subject: ClassVar[str] = "sender_request.sla_breached"
    source: ClassVar[str] = "sender-registry"
    aggregate: ClassVar[str] = "request_id"

    request_id: str
    operation: str
    sender_id: str = ""
    state: str
    requested_by: str
    due_at: Moment
