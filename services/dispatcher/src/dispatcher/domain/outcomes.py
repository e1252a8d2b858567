"""What a server's reply, or the loss of the connection, means for a delivery.

The categories are data, read from the enhanced status (RFC 3463, IANA registry) first, then from
the reply code (RFC 5321 §4.2.3), the phase and the text.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from postfleet.smtp import SmtpReply


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    POSTPONED = "postponed"  # nothing was tried; planned again at its time


class Phase(StrEnum):
    """How far the conversation was."""

    CONNECT = "connect"  # TCP, greeting, EHLO, STARTTLS
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    FINAL = "final"  # after the final dot


class Fault(StrEnum):
    """On whose side the cause lies; sender and connection faults count towards a cooldown (C9)."""

    RECIPIENT = "recipient"
    SENDER = "sender"
    CONNECTION = "connection"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Meaning:
    category: str
    fault: Fault


_BY_STATUS = {
    # RFC 3463 §3.2 to §3.8, without the class digit
    "1.0": Meaning("recipient_invalid", Fault.RECIPIENT),
    "1.1": Meaning("recipient_invalid", Fault.RECIPIENT),
    "1.2": Meaning("domain_invalid", Fault.RECIPIENT),
    "1.3": Meaning("recipient_invalid", Fault.RECIPIENT),
    "1.6": Meaning("recipient_moved", Fault.RECIPIENT),
    "1.8": Meaning("sender_address", Fault.SENDER),
    "1.10": Meaning("domain_invalid", Fault.RECIPIENT),  # RFC 7505
    "2.1": Meaning("mailbox_disabled", Fault.RECIPIENT),
    "2.2": Meaning("mailbox_full", Fault.RECIPIENT),
    "2.3": Meaning("message_too_large", Fault.CONTENT),
    "3.2": Meaning("system_busy", Fault.RECIPIENT),
    "3.4": Meaning("message_too_large", Fault.CONTENT),
    "4.1": Meaning("network", Fault.RECIPIENT),
    "4.4": Meaning("domain_invalid", Fault.RECIPIENT),
    "4.7": Meaning("expired", Fault.RECIPIENT),
    "5.3": Meaning("too_many_recipients", Fault.SENDER),
    "6.0": Meaning("content", Fault.CONTENT),
    "7.0": Meaning("policy", Fault.SENDER),
    "7.1": Meaning("policy", Fault.SENDER),
    "7.8": Meaning("auth", Fault.SENDER),
    "7.9": Meaning("auth", Fault.SENDER),
    "7.23": Meaning("sender_authentication", Fault.SENDER),
    "7.25": Meaning("sender_authentication", Fault.SENDER),
    "7.26": Meaning("sender_authentication", Fault.SENDER),
    "7.28": Meaning("rate_limited", Fault.SENDER),
}
_BY_TEXT = tuple(
    (re.compile(pattern, re.I), Meaning(category, fault))
    for pattern, category, fault in (
        (r"gr[ea]y-?list", "greylisted", Fault.RECIPIENT),
        (r"rate limit|too many (messages|connections|mails)", "rate_limited", Fault.SENDER),
        (r"over ?quota|quota exceeded|mailbox (is )?full", "mailbox_full", Fault.RECIPIENT),
        (r"(user|recipient|mailbox|address) unknown", "recipient_invalid", Fault.RECIPIENT),
        (r"no such (user|mailbox|recipient)|does not exist", "recipient_invalid", Fault.RECIPIENT),
        (r"mailbox (not found|unavailable)", "recipient_invalid", Fault.RECIPIENT),
        (r"\bspam\b|\bvirus\b", "content", Fault.CONTENT),
    )
)
_BY_CODE = {
    421: Meaning("system_busy", Fault.CONNECTION),
    450: Meaning("mailbox_unavailable", Fault.RECIPIENT),
    452: Meaning("system_busy", Fault.RECIPIENT),
    530: Meaning("auth", Fault.SENDER),
    535: Meaning("auth", Fault.SENDER),
    550: Meaning("recipient_invalid", Fault.RECIPIENT),
    551: Meaning("recipient_moved", Fault.RECIPIENT),
    552: Meaning("message_too_large", Fault.CONTENT),
    553: Meaning("recipient_invalid", Fault.RECIPIENT),
}
_BY_PHASE = {
    Phase.CONNECT: Meaning("connection", Fault.CONNECTION),
    Phase.AUTH: Meaning("auth", Fault.SENDER),
    Phase.MAIL: Meaning("sender_refused", Fault.SENDER),
    Phase.RCPT: Meaning("recipient_refused", Fault.RECIPIENT),
    Phase.DATA: Meaning("content", Fault.CONTENT),
    Phase.FINAL: Meaning("content", Fault.CONTENT),
}

#: transient categories that people would call a soft bounce; the others are the way of the net
SOFT_BOUNCES = frozenset(
    {"mailbox_full", "mailbox_disabled", "rate_limited", "mailbox_unavailable"}
)


def meaning(reply: SmtpReply | None, phase: Phase) -> Meaning:
    """What a negative reply (None: the connection failed) says, and about whom."""
    if reply is None:
        return Meaning("connection", Fault.CONNECTION)
    for pattern, found in _BY_TEXT:
        if pattern.search(reply.text):
            return found
    by_status = _BY_STATUS.get(reply.enhanced_status[2:])
    if by_status:
        return by_status
    if phase is Phase.RCPT or reply.code == 421:
        by_code = _BY_CODE.get(reply.code)
        if by_code:
            return by_code
    return _BY_PHASE[phase]


_LONGEST_DELAY_SECONDS = 4 * 3600.0


def retry_delay_seconds(
    attempt: int, base_seconds: float, window_seconds: float, jitter: float
) -> float | None:
    """How long after attempt `attempt` the next one goes; None when the window would be over.

    Doubles each time up to four hours; `jitter`, in [0, 1), moves it by up to a quarter.
    """
    delays = [_delay(n, base_seconds) for n in range(1, attempt + 1)]
    if sum(delays) > window_seconds:
        return None
    return delays[-1] * (0.75 + jitter / 2)


def _delay(attempt: int, base_seconds: float) -> float:
    return float(min(base_seconds * 2 ** min(attempt - 1, 64), _LONGEST_DELAY_SECONDS))
