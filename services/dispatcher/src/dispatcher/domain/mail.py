"""A mail of its own, of no campaign: what it is made of, and when its sender may not send it."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import MessageError
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256

from dispatcher.domain.attachments import Enclosed
from dispatcher.domain.eligibility import Exclusion, in_cooldown
from postfleet.addresses import check_text
from postfleet.events.senders import SenderSnapshot, SenderStatus

_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FIELD_NAME = re.compile(r"[A-Za-z0-9-]{1,76}")
#: What callers may add; everything else is ours to write, or changes who seems to have written.
_ALLOWED_FIELDS = re.compile(
    r"x-(?!postfleet-).+|list-[a-z-]+|in-reply-to|references|auto-submitted|precedence|importance"
    r"|priority|sensitivity|organization|keywords|comments|feedback-id|thread-topic|thread-index"
)


class CannotCompose(ValueError):
    """`field` is what is wrong with it, as the caller named it; the text says the remedy."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Mail:
    """One content for one or more deliveries. `id` is that of the first delivery.

    `message_id` is the one it came with, or "" where each delivery gets its own. With `to_each`
    the content has no To field: each delivery names its own recipient only, and the last `copies`
    of them (to the sender's BCC and archive addresses) name all the others.
    """

    id: str
    sender_id: str
    category: str
    deliveries: tuple[tuple[str, str], ...]  # id, recipient
    created_at: int
    due_at: int
    expires_at: int  # not sent after this
    subject: str = ""
    message_id: str = ""
    to_each: bool = True
    copies: int = 0
    via: str = "api"
    digest: str = ""  # of the request that made it
    template: str = ""  # `welcome:3`, the third version of what it was made from

    def to(self, delivery: str) -> str:
        """The To field of one delivery; "" where the content has it."""
        if not self.to_each:
            return ""
        people = self.deliveries[: len(self.deliveries) - self.copies]
        for id_, recipient in people:
            if id_ == delivery:
                return recipient
        return ",\r\n ".join(recipient for _, recipient in people)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a mail is composed from; every text is final."""

    author: str
    display_name: str
    subject: str
    text: str = ""
    html: str = ""
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Enclosed] = ()


def new_id() -> str:
    """32 hexadecimal digits, the last 8 of them 0: they count the deliveries."""
    return secrets.token_hex(12) + "0" * 8


def delivery_of(message: str, number: int) -> str:
    """The id of its n-th delivery; the first has the id of the message."""
    return f"{message[:24]}{number:08x}"


def message_of(delivery: str) -> str:
    """The id of the mail that a delivery would belong to."""
    return delivery_of(delivery, 0)


def deliveries(
    message: str, recipients: Sequence[str], sender: SenderSnapshot
) -> tuple[tuple[tuple[str, str], ...], int]:
    """One for each recipient, then the copies that the sender's settings ask for, and their number."""
    copies = [address for address in (sender.bcc, sender.archive) if address]
    everybody = [*recipients, *copies]
    made = tuple((delivery_of(message, n), address) for n, address in enumerate(everybody))
    return made, len(copies)


def keyed_id(caller: str, key: str) -> str:
    """The id of what a caller makes under an Idempotency-Key: the same at every repetition."""
    return sha256(f"message\x1f{caller}\x1f{key}".encode()).hexdigest()[:24] + "0" * 8


def barred(sender: SenderSnapshot, now_ms: int) -> Exclusion | None:
    """The first rule that keeps this sender from mails of their own now.

    Warming up and access methods are about campaigns; limits are reserved when a mail goes.
    """
    rules = (
        ("deleted", sender.deleted, "the sender was deleted"),
        ("suspended", sender.suspended, "an operator suspended it"),
        (
            "restricted",
            sender.status is SenderStatus.RESTRICTED,
            f"its status is {sender.status}",
        ),
        ("cooldown", in_cooldown(sender, now_ms), f"it cools down until {sender.cooldown_until}"),
    )
    for rule, applies, detail in rules:
        if applies:
            return Exclusion(sender.sender_id, rule, detail)
    return None


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises CannotCompose for a field that callers may not set, and for a value that breaks out."""
    for name, value in headers.items():
        where = f"headers.{name[:80]}"
        if not _FIELD_NAME.fullmatch(name) or not _ALLOWED_FIELDS.fullmatch(name.lower()):
            raise CannotCompose(
                where, "not a field that can be set; X-… and List-… can, for instance"
            )
        try:
            check_text(value, max_octets=998 - len(name) - 2)
        except ValueError as error:
            raise CannotCompose(where, str(error)) from error
    if len({name.lower() for name in headers}) != len(headers):
        raise CannotCompose("headers", "a field is there twice")


def compose(parts: Parts, date: datetime) -> bytes:
    """The mail without To and Message-ID. Raises CannotCompose."""
    check_headers(parts.headers)
    lines = [
        f"Date: {format_datetime(date)}",
        f"From: {_author(parts)}",
        _header("Subject", parts.subject, "subject"),
    ]
    if parts.reply_to:
        lines.append(f"Reply-To: {parts.reply_to}")
    lines += [_header(name, value, f"headers.{name}") for name, value in parts.headers.items()]
    return ("\r\n".join(lines) + "\r\n").encode() + _body(parts)


def addressed(content: bytes, message_id: str, to: str) -> bytes:
    """The content with the fields of one delivery before it; "" for what it has already."""
    before = f"Message-ID: {message_id}\r\n" if message_id else ""
    before += f"To: {to}\r\n" if to else ""
    return before.encode() + content


def _author(parts: Parts) -> str:
    if not parts.display_name:
        return f"<{parts.author}>"
    name = parts.display_name
    try:
        check_text(name, max_octets=256)
    except ValueError as error:
        raise CannotCompose("from", f"the sender's display name: {error}") from error
    if name.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{parts.author}>'
    return f"{Header(name, 'utf-8').encode(linesep=chr(13) + chr(10))} <{parts.author}>"


def _header(name: str, value: str, where: str) -> str:
    try:
        check_text(value)
    except ValueError as error:
        raise CannotCompose(where, str(error)) from error
    if value.isascii() and len(value) < 900 and "=?" not in value:  # RFC 2047 §2
        return f"{name}: {value}"
    return f"{name}: {Header(value, 'utf-8', header_name=name).encode(linesep=chr(13) + chr(10))}"


def _body(parts: Parts) -> bytes:
    """Quoted-printable texts and base64 attachments: nothing for a server to rewrite."""
    mail = EmailMessage(policy=SMTP)
    first, *more = [
        (subtype, _NOT_TEXT.sub("", body))
        for subtype, body in (("plain", parts.text), ("html", parts.html))
        if body
    ]
    try:
        mail.set_content(first[1], subtype=first[0], cte="quoted-printable")
        for subtype, body in more:
            mail.add_alternative(body, subtype=subtype, cte="quoted-printable")
        for one in parts.attachments:
            kind, _, subtype = one.file.content_type.partition("/")
            mail.add_attachment(one.content, kind, subtype, filename=one.file.name)
        return mail.as_bytes()
    except (MessageError, UnicodeError) as error:
        raise CannotCompose("text", str(error)) from error
