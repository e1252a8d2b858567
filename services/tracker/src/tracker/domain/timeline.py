"""What a lead's timeline tells of an event."""

from dataclasses import dataclass, field

from postfleet.cloudevents import Received
from postfleet.events.event import Event
from postfleet.instants import to_ms

_DETAILS = (
    "delivery_id",
    "campaign_id",
    "step",
    "variant",
    "sender_id",
    "author",
    "message_id",
    "mail_subject",
    "reply_code",
    "enhanced_status",
    "reply_text",
    "category",
    "diagnostic",
    "reason",
    "verdict",
    "url",
    "method",
    "text",
)
_MAX_DETAIL = 2000  # characters; the whole text of a reply is in the inbox


@dataclass(frozen=True, slots=True)
class Entry:
    """`id` is the event's own, so that an event which comes twice is told once."""

    id: str
    address: str
    event: str
    at_ms: int
    details: dict[str, str | int] = field(default_factory=dict)


def entry_of(received: Received[Event]) -> Entry | None:
    """The entry for an event about a recipient; None for others."""
    event = received.event
    recipient = getattr(event, "recipient", None)
    if not isinstance(recipient, str):
        return None
    values = {name: getattr(event, name, None) for name in _DETAILS}
    details = {
        name: value if isinstance(value, int) else str(value)[:_MAX_DETAIL]
        for name, value in values.items()
        if value not in (None, "")
    }
    return Entry(received.id, recipient.lower(), event.subject, to_ms(event.occurred_at), details)
