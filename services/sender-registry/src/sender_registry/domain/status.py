"""Whether a sender may send: three public words, and why not."""

from dataclasses import dataclass

from postfleet.events.senders import SenderStatus
from sender_registry.domain.health import MINIMUM_FOR_CAMPAIGNS

PROVISIONING = "PROVISIONING"
MAILBOX_FAILED = "MAILBOX_FAILED"
MAILBOX_DELETED = "MAILBOX_DELETED"

#: codes of our own mailboxes, in the place of a log-in's
_REASONS = {
    PROVISIONING: "its mailbox is being made",
    MAILBOX_FAILED: "its mailbox could not be made",
    MAILBOX_DELETED: "its mailbox was deleted",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the status follows from. Codes are "" where nothing is wrong."""

    smtp_code: str
    imap_code: str
    suspended_by: str
    suspended_reason: str
    health: int
    warmup_mode: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    status: SenderStatus
    reason: str = ""
    code: str = ""


def judge(standing: Standing) -> Judgement:
    """Restricted, with the first reason that holds; else warming up; else ready."""
    if standing.suspended_by:
        reason = f"suspended by {standing.suspended_by}: {standing.suspended_reason}".rstrip(": ")
        return Judgement(SenderStatus.RESTRICTED, reason, "SUSPENDED")
    if standing.smtp_code in _REASONS:
        code = standing.smtp_code
        return Judgement(SenderStatus.RESTRICTED, _REASONS[code], code)
    for protocol, code in (("SMTP", standing.smtp_code), ("IMAP", standing.imap_code)):
        if code:
            return Judgement(SenderStatus.RESTRICTED, f"the {protocol} log-in fails", code)
    if standing.health < MINIMUM_FOR_CAMPAIGNS:
        reason = f"health {standing.health} is below {MINIMUM_FOR_CAMPAIGNS}"
        return Judgement(SenderStatus.RESTRICTED, reason, "LOW_HEALTH")
    return Judgement(SenderStatus.WARMUP if standing.warmup_mode else SenderStatus.READY)
