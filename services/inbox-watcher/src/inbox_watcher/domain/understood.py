"""What a mail is understood to be: the kinds, and what each mail tells."""

from dataclasses import dataclass
from enum import StrEnum

from postfleet.smtp_reply import Severity

MAX_DIAGNOSTIC = 1000


class Kind(StrEnum):
    REPLY = "reply"  # a human answered
    AUTO = "auto"  # a machine answered
    BOUNCE = "bounce"  # the mail was not delivered
    DELAY = "delay"  # it is late, and may yet arrive
    SUCCESS = "success"  # it was delivered or relayed
    MDN = "mdn"  # it was displayed or deleted
    COMPLAINT = "complaint"  # it was reported as abuse
    CHALLENGE = "challenge"  # somebody asks for a proof of humanity
    UNRELATED = "unrelated"
    SENT = "sent"  # it lies in Sent, and we did not send it; no mail that arrived is this


@dataclass(frozen=True, slots=True)
class Recipient:
    """What became of the mail to one address."""

    address: str
    final_address: str = ""
    status: str = ""
    severity: Severity | None = None
    category: str = ""
    diagnostic: str = ""
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class Understood:
    """The mail as we understand it. Message ids have no angle brackets; "" where there is none."""

    kind: Kind
    why: str  # the rule that decided
    author: str
    subject: str
    message_id: str
    key: str  # the same for the same mail in another folder or under another UID
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    original_message_id: str = ""
    recipients: tuple[Recipient, ...] = ()
    text: str = ""  # of a human: the new words; of a machine: what it said
    auto_reason: str = ""
    returns_on: str = ""  # the day (ISO 8601) on which the author is back, if a machine told
    personal: bool = False  # not bulk: it may be a reply although it names no mail
    tokens: tuple[tuple[str, str], ...] = ()  # (purpose, token): may be ours, may be anybody's
    warmup: str = ""  # the token of a warm-up mail, if it is one


def one_line(text: str) -> str:
    """Fit for a list: without line ends and other controls, bounded."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text.strip()[:500]
