"""Every event of the platform: one class per subject, declared here and nowhere else.

An event is a fact in the past tense. Fields are only ever added, with defaults; a changed meaning
is a new event. Readers ignore fields that they do not know. What rides in NATS headers (the id,
the time, the aggregate) is in `postfleet.cloudevents`.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

#: A time on the wire: RFC 3339 in UTC, whatever zone it was given in.
Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class Event(BaseModel):
    """A fact. `subject` is its NATS subject and CloudEvents type; `source` the service that says it.

    `aggregate` names the field whose value is the CloudEvents subject: the id of what changed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="float")

    subject: ClassVar[str]
    source: ClassVar[str]
    aggregate: ClassVar[str] = "delivery_id"

    occurred_at: Moment

    @property
    def aggregate_id(self) -> str:
        return str(getattr(self, self.aggregate))


# --- senders ------------------------------------------------------------------------------------


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
    """Health moved to another tenth, or across 20 (below it the sender gets no campaign mail)."""

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


# --- campaigns ----------------------------------------------------------------------------------


class CampaignEvent(Event):
    """Common to all `campaign.*`."""

    source: ClassVar[str] = "dispatcher"
    aggregate: ClassVar[str] = "campaign_id"

    campaign_id: str
    name: str = ""


class CampaignCreated(CampaignEvent):
    """A campaign was stored; it does not send before it is started."""

    subject: ClassVar[str] = "campaign.created"


class CampaignLinksCompiled(CampaignEvent):
    """The tracked links of the campaign's steps; said before the first mail that carries one.

    `links` maps the link id (16 hexadecimal digits) to its destination. `canaries` are ids of links
    that no human sees: who follows one of them follows links as a machine does. They lead nowhere.
    """

    subject: ClassVar[str] = "campaign.links_compiled"
    links: dict[str, str]
    canaries: tuple[str, ...] = ()


class CampaignStarted(CampaignEvent):
    """Leads of the campaign become due from now on."""

    subject: ClassVar[str] = "campaign.started"
    leads: int = 0


class CampaignPaused(CampaignEvent):
    """No new mail is planned; what is in flight settles. `by` is `operator` or the rule's name."""

    subject: ClassVar[str] = "campaign.paused"
    by: str
    reason: str = ""


class CampaignWarned(CampaignEvent):
    """The figures since the last start come near a limit; nothing was stopped. Once for each start.

    `rule` is what will pause it: `complaints`.
    """

    subject: ClassVar[str] = "campaign.warned"
    rule: str
    reason: str = ""


class CampaignResumed(CampaignEvent):
    """The campaign goes on."""

    subject: ClassVar[str] = "campaign.resumed"


class CampaignDeleted(CampaignEvent):
    """A draft was deleted, with its leads; it had sent nothing."""

    subject: ClassVar[str] = "campaign.deleted"


class CampaignVariantChosen(CampaignEvent):
    """A step's winner rule has chosen: every lead that comes to the step now gets this variant.

    Said once for a step. `reason` has the counts: hits/mails of each variant, of humans only.
    """

    subject: ClassVar[str] = "campaign.variant_chosen"

    step: int
    variant: str
    metric: str
    reason: str = ""


class CampaignCompleted(CampaignEvent):
    """Every lead has had its last mail, or will get no more; nothing is in flight."""

    subject: ClassVar[str] = "campaign.completed"


class FactorEvent(Event):
    """Common to all `factor.*`: a template, domain or provider that several senders share."""

    source: ClassVar[str] = "dispatcher"
    aggregate: ClassVar[str] = "factor_id"

    factor_id: str
    kind: Literal["template", "domain", "provider"]
    value: str


class FactorPaused(FactorEvent):
    """Senders that share it degraded together: nothing that has to do with it goes until it is resumed.

    `senders` are those that degraded; `trouble` is `content`, `reputation` or `access`.
    """

    subject: ClassVar[str] = "factor.paused"
    trouble: str
    senders: tuple[str, ...] = ()
    reason: str = ""


class FactorResumed(FactorEvent):
    """An operator resumed it; only what happens from now on counts."""

    subject: ClassVar[str] = "factor.resumed"


# --- deliveries ---------------------------------------------------------------------------------


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


# --- the inbox ----------------------------------------------------------------------------------


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


# --- tracking -----------------------------------------------------------------------------------


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


# --- domains and mailboxes ----------------------------------------------------------------------


class DomainEvent(Event):
    """Common to all `domain.*`."""

    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "domain"

    domain: str


class DomainAdded(DomainEvent):
    """A domain was registered; it is not verified yet."""

    subject: ClassVar[str] = "domain.added"


class DomainVerified(DomainEvent):
    """The TXT token was found in DNS: the domain is the operator's."""

    subject: ClassVar[str] = "domain.verified"


class DomainDegraded(DomainEvent):
    """A check that was green is not any more."""

    subject: ClassVar[str] = "domain.degraded"
    checks: dict[str, str] = Field(default_factory=dict)


class DomainDnsChanged(DomainEvent):
    """A record of ours is not what we published."""

    subject: ClassVar[str] = "domain.dns_changed"
    records: tuple[str, ...] = ()


class MailboxEvent(Event):
    """Common to all `mailbox.*`. `request_id` is the registry's, where it asked for the mailbox."""

    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "address"

    address: str
    domain: str
    request_id: str | None = None


class MailboxCreated(MailboxEvent):
    """The mailbox is on the mail server. Its password is asked for, not announced."""

    subject: ClassVar[str] = "mailbox.created"


class MailboxDeleted(MailboxEvent):
    """The mailbox takes no more mail and no log-ins."""

    subject: ClassVar[str] = "mailbox.deleted"


class MailboxFailed(MailboxEvent):
    """The mailbox could not be made; nothing is left behind."""

    subject: ClassVar[str] = "mailbox.failed"
    code: str
    reason: str


class AliasCreated(Event):
    """Mail for `alias` goes to `targets`."""

    subject: ClassVar[str] = "alias.created"
    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "alias"

    alias: str
    targets: tuple[str, ...]


class AliasDeleted(Event):
    """The alias is gone."""

    subject: ClassVar[str] = "alias.deleted"
    source: ClassVar[str] = "mail-provisioner"
    aggregate: ClassVar[str] = "alias"

    alias: str


def _concrete(cls: type[Event]) -> list[type[Event]]:
    found = [cls] if "subject" in vars(cls) else []
    return found + [event for child in cls.__subclasses__() for event in _concrete(child)]


#: subject -> class, for every event of the platform
EVENTS: dict[str, type[Event]] = {cls.subject: cls for cls in _concrete(Event)}


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the form of CloudEvents' `ce-time`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
