"""What comes back to a sender: replies, automatic replies, delivery status notifications."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from postfleet_sandbox.behaviours import Behaviour
from postfleet_sandbox.reading import Letter


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who answers whom. `chance` in [0, 1) picks style and words; `key` makes the Message-ID."""

    recipient: str
    sender: str
    key: str
    chance: float


ANSWERS = (
    "Thanks for reaching out. Could you send me some more details?",
    "Interesting! I have time on Thursday afternoon, does that suit you?",
    "Not for us at the moment, maybe ask again next quarter.",
    "Who told you about us? I'd like to see a price list.",
    "Yes please, let's talk. My number is in the signature.",
)
ABSENCES = (
    ("Automatic reply: {}", "I am out of the office until Monday with limited access to e-mail."),
    ("Out of Office: {}", "Thank you for your message. I am on vacation and back on the 12th."),
    ("Abwesenheitsnotiz: {}", "Ich bin derzeit nicht im Haus und lese Ihre Nachricht später."),
)


def _top_posted(answer: str, name: str, letter: Letter) -> str:
    return f"{answer}\n\nBest,\n{name}\n\n{_attribution(letter)}\n{_quoted(letter)}"


def _with_signature(answer: str, name: str, letter: Letter) -> str:
    contact = f"-- \n{name}\nHead of Operations\n+44 20 7946 0100\nhttps://example.com"
    return f"Hello,\n\n{answer}\n\n{contact}\n\n{_attribution(letter)}\n{_quoted(letter)}"


def _bottom_posted(answer: str, name: str, letter: Letter) -> str:
    return f"{_attribution(letter)}\n{_quoted(letter)}\n\n{answer}\n\n{name}"


def _outlook(answer: str, name: str, letter: Letter) -> str:
    head = f"From: {letter.answer_to}\nSent: {letter.date}\nSubject: {letter.subject}"
    return f"{answer}\n\n{name}\n\n-----Original Message-----\n{head}\n\n{letter.text}"


def _from_a_phone(answer: str, name: str, letter: Letter) -> str:
    return f"{answer}\n\nSent from my iPhone\n\n> {_attribution(letter)}\n>\n{_quoted(letter)}"


STYLES: tuple[Callable[[str, str, Letter], str], ...] = (
    _top_posted,
    _with_signature,
    _bottom_posted,
    _outlook,
    _from_a_phone,
)


def reply(letter: Letter, envelope: Envelope) -> bytes:
    """Return a person's answer (RFC 5322 §3.6.4)."""
    name = _name_of(envelope.recipient)
    answer = ANSWERS[int(envelope.chance * 997) % len(ANSWERS)]
    style = STYLES[int(envelope.chance * len(STYLES))]
    message = _addressed(letter, envelope, formataddr((name, envelope.recipient)))
    message["Subject"] = letter.subject if _is_reply(letter) else f"Re: {letter.subject}"
    message.set_content(style(answer, name, letter))
    return _delivered(message, envelope.recipient, envelope)


def automatic_reply(letter: Letter, envelope: Envelope) -> bytes:
    """Return a vacation notice (RFC 3834)."""
    subject, text = ABSENCES[int(envelope.chance * len(ABSENCES))]
    name = _name_of(envelope.recipient)
    message = _addressed(letter, envelope, formataddr((name, envelope.recipient)))
    message["Subject"] = subject.format(letter.subject)
    message["Auto-Submitted"] = "auto-replied"
    message["X-Auto-Response-Suppress"] = "All"
    message["Precedence"] = "bulk"
    message.set_content(f"{text}\n\n{name}")
    return _delivered(message, "", envelope)


_DSN_WORDS: Mapping[str, tuple[str, str]] = {
    "failed": ("Undelivered Mail Returned to Sender", "could not be delivered"),
    "delayed": ("Delayed Mail (still being retried)", "could not yet be delivered"),
}


def dsn(letter: Letter, envelope: Envelope, behaviour: Behaviour) -> bytes:
    """Return a delivery status notification as Postfix writes it (RFC 3464)."""
    subject, happened = _DSN_WORDS[behaviour.dsn_action]
    host = f"mx.{envelope.recipient.rpartition('@')[2]}"
    boundary = f"{envelope.key}.{host}"
    date = format_datetime(datetime.now(UTC))
    head = (
        f"Return-Path: <>\nReceived: by {host} (Postfix); {date}\nDate: {date}\n"
        f"From: MAILER-DAEMON@{host} (Mail Delivery System)\nSubject: {subject}\n"
        f"To: {envelope.sender}\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status;\n"
        f' boundary="{boundary}"\nMessage-Id: <{envelope.key}@{host}>\n'
    )
    text = (
        "Content-Description: Notification\nContent-Type: text/plain; charset=us-ascii\n\n"
        f"This is the mail system at host {host}.\n\nI'm sorry to have to inform you that your "
        f"message {happened} to one or more\nrecipients. It's attached below.\n\n"
        f"<{envelope.recipient}>: host {host}[127.0.0.1] said: {behaviour.dsn_diagnostic}\n"
    )
    report = (
        "Content-Description: Delivery report\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; {host}\nX-Postfix-Sender: rfc822; {envelope.sender}\n"
        f"Arrival-Date: {date}\n\nFinal-Recipient: rfc822; {envelope.recipient}\n"
        f"Original-Recipient: rfc822;{envelope.recipient}\nAction: {behaviour.dsn_action}\n"
        f"Status: {behaviour.dsn_status}\nRemote-MTA: dns; {host}\n"
        f"Diagnostic-Code: smtp; {behaviour.dsn_diagnostic}\n"
    )
    returned = (
        "Content-Description: Undelivered Message Headers\nContent-Type: text/rfc822-headers\n\n"
    )
    parts = [part.replace("\n", "\r\n").encode() for part in (head, text, report, returned)]
    parts[-1] += letter.header
    limit = f"\r\n--{boundary}".encode()
    return (limit + b"\r\n").join(parts) + limit + b"--\r\n"


def _addressed(letter: Letter, envelope: Envelope, author: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{envelope.key}@{envelope.recipient.rpartition('@')[2]}>"
    message["From"] = author
    message["To"] = letter.answer_to or envelope.sender
    if letter.message_id:
        message["In-Reply-To"] = letter.message_id
        message["References"] = f"{letter.references} {letter.message_id}".strip()
    return message


def _delivered(message: EmailMessage, reverse_path: str, envelope: Envelope) -> bytes:
    """Put the fields of the final delivery in front (RFC 5321 §4.4)."""
    date = format_datetime(datetime.now(UTC))
    trace = (
        f"Return-Path: <{reverse_path}>\r\nDelivered-To: {envelope.sender}\r\n"
        f"Received: from mx.people.test by imap.sandbox.test; {date}\r\n"
    )
    return trace.encode() + message.as_bytes()


def _name_of(address: str) -> str:
    words = address.partition("@")[0].split("+")[-1].replace("_", ".").split(".")
    return " ".join(word.strip("0123456789").capitalize() for word in words).strip() or "A Person"


def _is_reply(letter: Letter) -> bool:
    return letter.subject.lower().startswith("re:")


def _attribution(letter: Letter) -> str:
    return f"On {letter.date}, <{letter.answer_to}> wrote:"


def _quoted(letter: Letter) -> str:
    return "\n".join(f"> {line}" for line in letter.text.splitlines())
