"""A sender as the registry knows it, and the snapshot of it that rides on every `sender.*` event."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from postfleet.addresses import domain_of
from postfleet.events.senders import MailServer, SenderSnapshot, SenderStatus
from postfleet.instants import day_of, from_ms, month_of, to_ms
from sender_registry.domain.cooldown import Streak
from sender_registry.domain.health import FULL
from sender_registry.domain.limits import Allowance, LimitRules, Volume, allowance
from sender_registry.domain.oauth import Grant
from sender_registry.domain.presets import PRESETS, InboxType
from sender_registry.domain.relay import RelayLogin
from sender_registry.domain.status import Judgement, Standing, judge
from sender_registry.domain.warmup import Evidence, Warmup, advance

AccessMethod = Literal["campaign", "smtp"]
SmtpAuthentication = Literal["user", "ip"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What the operator decides."""

    email_address: str
    display_name: str = ""
    name: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    kind: Literal["external", "internal"] = "external"
    inbox_type: InboxType = InboxType.CUSTOM_SMTP
    daily_limit: int = 50  # S27
    monthly_limit: int | None = None
    warmup_mode: bool = False
    access_methods: tuple[AccessMethod, ...] = ("campaign",)
    smtp_authentication: SmtpAuthentication | None = None
    allowed_ips: tuple[str, ...] = ()
    bcc: str | None = None
    archive: str | None = None
    established_ms: int | None = None  # since when the mailbox sends, if before it came to us


@dataclass(frozen=True, slots=True)
class Suspension:
    """`by` is "" while there is none."""

    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WarmupTally:
    """What became of the mails of one day while warming up."""

    day: str = ""
    sent: int = 0
    refused: int = 0
    received: int = 0  # at partners, wherever
    spam: int = 0  # of them, in Junk

    def plus(
        self, at_ms: int, *, sent: int = 0, refused: int = 0, received: int = 0, spam: int = 0
    ) -> "WarmupTally":
        """News from an earlier day changes nothing: its verdict was spoken."""
        day = day_of(at_ms)
        if day < self.day:
            return self
        known = self if day == self.day else WarmupTally(day)
        return WarmupTally(
            day,
            known.sent + sent,
            known.refused + refused,
            known.received + received,
            known.spam + spam,
        )


@dataclass(frozen=True, slots=True)
class Provisioning:
    """How far the mailbox of an internal sender is; `state` is "" for an external one."""

    state: Literal["", "requested", "mailbox_created", "ready", "failed"] = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Mails accepted by servers, for the day and the month (UTC) of the latest of them."""

    day: str = ""
    today: int = 0
    month: str = ""
    this_month: int = 0

    def on_day(self, now_ms: int) -> int:
        return self.today if self.day == day_of(now_ms) else 0

    def in_month(self, now_ms: int) -> int:
        return self.this_month if self.month == month_of(now_ms) else 0

    def plus_one(self, at_ms: int) -> "Counts":
        """One more, sent at `at_ms`; news from an earlier day or month changes nothing there."""
        day, month = day_of(at_ms), month_of(at_ms)
        today = 1 if day > self.day else self.today + (day == self.day)
        this_month = 1 if month > self.month else self.this_month + (month == self.month)
        return Counts(max(day, self.day), today, max(month, self.month), this_month)


@dataclass(frozen=True, slots=True)
class Sender:
    """`revision` counts the writes. Times are epoch milliseconds. Secrets are not part of it."""

    id: str
    revision: int
    profile: Profile
    smtp: MailServer
    imap: MailServer | None
    created_ms: int
    validated_ms: int
    secrets_ms: int  # when a password was set last
    smtp_code: str = ""  # why the last log-in failed, "" if it worked
    imap_code: str = ""
    health: int = FULL
    health_cause: str = ""  # whose matter the last loss of health was, see domain/blame.py
    streak: Streak = field(default_factory=Streak)
    suspension: Suspension = field(default_factory=Suspension)
    counts: Counts = field(default_factory=Counts)
    told_limit: int = 0  # the effective limit of the last snapshot
    limit_until_ms: int = 0  # until when sender.limit_reached was said to hold
    deleted_ms: int = 0
    grant: Grant = field(default_factory=Grant)
    smtp_certificate_ms: int = 0  # the end of the server's certificate, 0 if none was seen
    imap_certificate_ms: int = 0
    relay: RelayLogin = field(default_factory=RelayLogin)
    provisioning: Provisioning = field(default_factory=Provisioning)
    warmup: Warmup = field(default_factory=Warmup)
    warmup_tally: WarmupTally = field(default_factory=WarmupTally)
    warned: tuple[str, ...] = ()  # which deadlines were told, see domain/deadlines.py

    @property
    def judgement(self) -> Judgement:
        return judge(
            Standing(
                smtp_code=self.smtp_code,
                imap_code=self.imap_code,
                suspended_by=self.suspension.by,
                suspended_reason=self.suspension.reason,
                health=self.health,
                warmup_mode=self.profile.warmup_mode,
            )
        )

    @property
    def status(self) -> SenderStatus:
        if self.deleted_ms:
            return SenderStatus.RESTRICTED
        return self.judgement.status

    @property
    def reply_detection(self) -> bool:
        return self.imap is not None and not self.imap_code

    def allowance(self, now: datetime, rules: LimitRules) -> Allowance:
        now_ms = to_ms(now)
        since_ms = self.profile.established_ms
        age_ms = now_ms - (self.created_ms if since_ms is None else since_ms)
        volume = Volume(
            configured=self.profile.daily_limit,
            provider_maximum=PRESETS[self.profile.inbox_type].max_daily_limit,
            age=timedelta(milliseconds=age_ms),
            monthly_limit=self.profile.monthly_limit,
            sent_today=self.counts.on_day(now_ms),
            sent_this_month=self.counts.in_month(now_ms),
            warmup=self.warmup.volume if self.profile.warmup_mode else None,
        )
        return allowance(volume, rules)


def warmed(sender: Sender, now_ms: int) -> Sender:
    """With the warm-up's plan for today; without warm-up mode there is none."""
    if not sender.profile.warmup_mode:
        return replace(sender, warmup=Warmup(), warmup_tally=WarmupTally())
    tally, today = sender.warmup_tally, day_of(now_ms)
    judged = tally.day == sender.warmup.on and tally.day < today
    evidence = Evidence(
        tally.sent if judged else 0,
        tally.refused if judged else 0,
        tally.spam if judged else 0,
        in_cooldown=sender.streak.until_ms > now_ms,
    )
    return replace(sender, warmup=advance(sender.warmup, evidence, today))


def suspended(sender: Sender, by: str, reason: str) -> Sender:
    """An existing suspension stays as it is: the first reason holds."""
    return sender if sender.suspension.by else replace(sender, suspension=Suspension(by, reason))


def snapshot(sender: Sender) -> SenderSnapshot:
    """The sender as it is told to others; the effective limit is the one last computed."""
    profile = sender.profile
    return SenderSnapshot(
        sender_id=sender.id,
        revision=sender.revision,
        email_address=profile.email_address,
        display_name=profile.display_name,
        domain=domain_of(profile.email_address),
        kind=profile.kind,
        provider=profile.inbox_type.value,
        status=sender.status,
        health=sender.health,
        daily_limit=profile.daily_limit,
        effective_limit=sender.told_limit,
        monthly_limit=profile.monthly_limit,
        warmup_mode=profile.warmup_mode,
        reply_detection=sender.reply_detection,
        access_methods=profile.access_methods,
        tags=profile.tags,
        cooldown_until=from_ms(sender.streak.until_ms) if sender.streak.until_ms else None,
        suspended=bool(sender.suspension.by),
        deleted=bool(sender.deleted_ms),
        smtp=sender.smtp,
        imap=sender.imap,
        bcc=profile.bcc,
        archive=profile.archive,
    )
