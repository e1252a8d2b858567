"""Whether a mail in the sender's Sent folder is one that the platform sent."""

from datetime import datetime

from inbox_watcher.domain.delivery_tokens import delivery_token, warmup_token
from inbox_watcher.domain.header_fields import Fields, addresses_of, message_ids_of
from inbox_watcher.domain.understood import Kind, Recipient, Understood
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.inbox import WatcherUnexpected
from postfleet.tokens import Purpose, TokenKeys

MAX_RECIPIENTS = 20


def bears_our_token(fields: Fields, keys: TokenKeys) -> bool:
    """Nobody else can make one: whatever became of the Message-ID, we sent it."""
    tokens = ((Purpose.DELIVERY, delivery_token(fields)), (Purpose.WARMUP, warmup_token(fields)))
    return any(token and keys.read(purpose, token) for purpose, token in tokens)


def as_copy(mail: Understood, fields: Fields) -> Understood:
    """The mail as one that was sent: to whom it went, and no effect of its own."""
    to = ",".join(fields.get(name) for name in ("to", "cc", "bcc"))
    return Understood(
        kind=Kind.SENT,
        why="lies in the Sent folder",
        author=mail.author,
        subject=mail.subject,
        message_id=mail.message_id,
        key=mail.key,
        in_reply_to=tuple(message_ids_of(fields.get("in-reply-to"))),
        recipients=tuple(Recipient(address) for address in addresses_of(to)[:MAX_RECIPIENTS]),
    )


def unexpected(
    mail: Understood, sender_id: str, inbound_id: str, received_at: datetime, now: datetime
) -> Announcement:
    """The event about a mail that stayed unknown."""
    event = WatcherUnexpected(
        occurred_at=now,
        sender_id=sender_id,
        inbound_id=inbound_id,
        message_id=mail.message_id,
        recipients=tuple(recipient.address for recipient in mail.recipients),
        mail_subject=mail.subject,
        in_reply_to=next(iter(mail.in_reply_to), ""),
        received_at=received_at,
    )
    return Announcement(event, derived_id(WatcherUnexpected.subject, sender_id, mail.key))
