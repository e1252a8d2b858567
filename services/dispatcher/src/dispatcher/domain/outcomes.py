"""What a server's reply, or the loss of the connection, means for a delivery, and about whom.

What the words, statuses and codes mean is `postfleet.smtp_reply`'s: the same for replies and DSNs.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from postfleet.smtp import SmtpReply
from postfleet.smtp_reply import Severity, classify
from postfleet.smtp_reply_texts import CATEGORIES


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


#: before there is a recipient, a refusal is about the sender or the connection
ABOUT_THE_SENDER = frozenset({Phase.CONNECT, Phase.AUTH, Phase.MAIL})


class Fault(StrEnum):
    """On whose side the cause lies; sender and connection faults count towards a cooldown (C9)."""

    RECIPIENT = "recipient"
    SENDER = "sender"
    CONNECTION = "connection"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Meaning:
    category: str  # one of smtp_reply_texts.CATEGORIES, or `auth`: the log-in was refused
    fault: Fault


_FAULTS = {
    **dict.fromkeys(("connection", "encryption", "protocol"), Fault.CONNECTION),
    **dict.fromkeys(("spam", "virus", "content", "too_large"), Fault.CONTENT),
    **dict.fromkeys(
        (
            "auth",
            "authentication",
            "policy",
            "rate_limited",
            "relaying",
            "reputation",
            "reverse_dns",
            "sender_rejected",
        ),
        Fault.SENDER,
    ),
}  # all others are the recipient's
_PHASES = {Phase.FINAL: "dot"}
#: What a refused log-in may be beside a wrong password (RFC 4954 §6).
_NOT_THE_PASSWORD = frozenset(
    {"rate_limited", "encryption", "connection", "system_problem", "temporary", "protocol"}
)
#: These tell less than the phase in which the server hung up (RFC 5321 §3.8).
_VAGUE = frozenset({"temporary", "system_problem", "other", "connection", "policy"})
#: Somebody else's mails, or everybody's, are too many for this recipient.
_RECIPIENT_IS_FLOODED = re.compile(r"receiving mail (?:at a rate|too quickly)|[45]\.2\.12?1\b")

#: Errors before any reply, by the exception's name and text (OpenSSL's and the resolver's words).
_BROKEN = (
    (re.compile(r"ssl|tls|certificate|handshake", re.IGNORECASE), "encryption"),
    (re.compile(r"gaierror|getaddrinfo|name or service|nodename", re.IGNORECASE), "dns"),
)


def meaning(reply: SmtpReply | None, phase: Phase, text: str = "") -> Meaning:
    """What a negative reply says, and about whom. None: the connection failed, as `text` tells."""
    if reply is None:
        found = (category for pattern, category in _BROKEN if pattern.search(text))
        return Meaning(next(found, "connection"), Fault.CONNECTION)
    category = classify(reply, _PHASES.get(phase, phase.value)).category
    if phase is Phase.AUTH and category not in _NOT_THE_PASSWORD:
        return Meaning("auth", Fault.SENDER)
    if category in _VAGUE and (reply.code == 421 or phase is Phase.CONNECT):
        return Meaning("connection", Fault.CONNECTION)
    return Meaning(category, _fault(category, reply, phase))


def _fault(category: str, reply: SmtpReply, phase: Phase) -> Fault:
    fault = _FAULTS.get(category, Fault.RECIPIENT)
    if category == "rate_limited" and _RECIPIENT_IS_FLOODED.search(reply.text):
        return Fault.RECIPIENT
    if phase in ABOUT_THE_SENDER and fault is Fault.RECIPIENT:
        return Fault.SENDER
    return fault


def severity(category: str) -> Severity:
    """How a category is usually meant; one that only older versions knew is a rule's."""
    return Severity(CATEGORIES.get(category, (Severity.POLICY.value, ""))[0])


#: transient categories that people would call a soft bounce; the others are the way of the net
SOFT_BOUNCES = frozenset(
    {"mailbox_full", "mailbox_problem", "disabled", "unknown_user", "rate_limited"}
)
