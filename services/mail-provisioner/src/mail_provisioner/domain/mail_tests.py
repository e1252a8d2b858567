"""Test mails: what was sent to whom, and what the servers said about it since."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage, Message
from enum import StrEnum

MIN_RECIPIENTS = 2  # one provider may refuse this server's address, another may not


class Outcome(StrEnum):
    ACCEPTED = "accepted"  # our server took it; nothing else is known yet
    REFUSED = "refused"  # our server said no
    DELIVERED = "delivered"  # a DSN says so
    RELAYED = "relayed"  # handed to a server that sends no DSN: most of the world
    DELAYED = "delayed"
    FAILED = "failed"


_ACTIONS = {
    "delivered": Outcome.DELIVERED,
    "relayed": Outcome.RELAYED,
    "expanded": Outcome.DELIVERED,
    "delayed": Outcome.DELAYED,
    "failed": Outcome.FAILED,
}


@dataclass(frozen=True, slots=True)
class Result:
    outcome: Outcome
    detail: str  # the reply or the diagnostic, as the server wrote it


@dataclass(frozen=True, slots=True)
class MailTest:
    id: str
    domain: str
    author: str
    message_id: str
    sent_at: int  # epoch ms
    results: Mapping[str, Result]


def message(author: str, recipient: str, message_id: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = author, recipient
    mail["Subject"] = "Test of the mail server"
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        "This mail was sent by Postfleet to try the mail server out.\n"
        "If it is not in the inbox, look into the spam folder, and at its headers: they tell what "
        "SPF, DKIM and DMARC made of it.\n"
    )
    return mail


def reported(report: Message, message_id: str) -> dict[str, Result]:
    """What a DSN (RFC 3464) says about a test mail: recipient -> result; empty if it is not one."""
    if report.get_content_type() != "multipart/report" or message_id not in str(report):
        return {}
    found: dict[str, Result] = {}
    for part in report.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        for block in part.get_payload():
            if not isinstance(block, Message) or "Final-Recipient" not in block:
                continue
            recipient = str(block["Final-Recipient"]).partition(";")[2].strip().lower()
            original = str(block.get("Original-Recipient", "")).partition(";")[2].strip().lower()
            action = str(block.get("Action", "")).strip().lower()
            if outcome := _ACTIONS.get(action):
                said = " ".join(
                    str(block.get("Diagnostic-Code") or block.get("Status", "")).split()
                )
                found[original or recipient] = Result(outcome, said)
    return found
