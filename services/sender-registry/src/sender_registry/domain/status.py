"""Whether a sender may send: three public words, and why not."""

from dataclasses import dataclass

from postfleet.events import SenderStatus
from sender_registry.domain.health import MINIMUM_FOR_CAMPAIGNS


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
    for protocol, code in (("SMTP", standing.smtp_code), ("IMAP", standing.imap_code)):
        if code:
            return Judgement(SenderStatus.RESTRICTED, f"the {protocol} log-in fails", code)
    if standing.health < MINIMUM_FOR_CAMPAIGNS:
        reason = f"health {standing.health} is below {MINIMUM_FOR_CAMPAIGNS}"
        return Judgement(SenderStatus.RESTRICTED, reason, "LOW_HEALTH")
    return Judgement(SenderStatus.WARMUP if standing.warmup_mode else SenderStatus.READY)
