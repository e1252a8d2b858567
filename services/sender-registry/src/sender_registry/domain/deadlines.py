"""What will end a sender's log-ins by itself: ages, dates and certificates, told ahead of time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from postfleet.instants import to_ms
from sender_registry.domain.presets import PRESETS
from sender_registry.domain.sender import Sender

_DAY_MS = 24 * 3600 * 1000
STEPS_DAYS = (30, 7, 1)  # told once at each
CERTIFICATE_STEPS_DAYS = (7, 1)  # most are renewed by machines a month ahead


class What(StrEnum):
    PASSWORD_AGE = "password_age"  # noqa: S105
    PASSWORD_LOG_INS_END = "password_log_ins_end"  # noqa: S105
    OAUTH_GRANT = "oauth_grant"
    SMTP_CERTIFICATE = "smtp_certificate"
    IMAP_CERTIFICATE = "imap_certificate"


@dataclass(frozen=True, slots=True)
class DeadlineRules:
    """`password_max_age`: app passwords older than this are to be replaced."""

    password_max_age: timedelta = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Deadline:
    what: What
    at_ms: int

    def key(self, now_ms: int) -> str | None:
        """Names the nearest step that was reached; None while there is time."""
        certificate = self.what in (What.SMTP_CERTIFICATE, What.IMAP_CERTIFICATE)
        steps = CERTIFICATE_STEPS_DAYS if certificate else STEPS_DAYS
        reached = [days for days in steps if self.at_ms - now_ms <= days * _DAY_MS]
        return f"{self.what}:{self.at_ms}:{min(reached)}" if reached else None


def deadlines(sender: Sender, rules: DeadlineRules) -> list[Deadline]:
    """All that are known, the nearest first."""
    return sorted(_known(sender, rules), key=lambda deadline: deadline.at_ms)


def warned(sender: Sender, rules: DeadlineRules, now_ms: int) -> Sender:
    """With the steps that are reached now; announcing tells those that are new."""
    found = deadlines(sender, rules)
    keys = {key for deadline in found if (key := deadline.key(now_ms))}
    standing = {f"{deadline.what}:{deadline.at_ms}" for deadline in found}
    kept = {key for key in sender.warned if key.rpartition(":")[0] in standing}
    return replace(sender, warned=tuple(sorted(keys | kept)))


def parse_key(key: str) -> Deadline:
    what, at_ms, _ = key.split(":")
    return Deadline(What(what), int(at_ms))


def certificates_near(sender: Sender, now_ms: int) -> bool:
    """Whether what we know of them should be looked at again before anything is told."""
    horizon_ms = now_ms + max(CERTIFICATE_STEPS_DAYS) * _DAY_MS
    ends = (sender.smtp_certificate_ms, sender.imap_certificate_ms)
    return any(0 < end <= horizon_ms for end in ends)


def _known(sender: Sender, rules: DeadlineRules) -> Iterator[Deadline]:
    if sender.smtp.auth_method == "password":
        if sender.profile.kind == "external":
            max_age_ms = rules.password_max_age // timedelta(milliseconds=1)
            yield Deadline(What.PASSWORD_AGE, sender.secrets_ms + max_age_ms)
        if end := PRESETS[sender.profile.inbox_type].password_end:
            at = datetime.combine(end.on, time(), UTC)
            yield Deadline(What.PASSWORD_LOG_INS_END, to_ms(at))
    if sender.grant.until_ms:
        yield Deadline(What.OAUTH_GRANT, sender.grant.until_ms)
    if sender.smtp_certificate_ms:
        yield Deadline(What.SMTP_CERTIFICATE, sender.smtp_certificate_ms)
    if sender.imap_certificate_ms:
        yield Deadline(What.IMAP_CERTIFICATE, sender.imap_certificate_ms)
