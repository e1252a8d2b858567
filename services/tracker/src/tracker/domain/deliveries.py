"""What the tracker has to know of a delivery to place its hits."""

from dataclasses import dataclass

from postfleet.events.deliveries import EmailSent, EmailUnknown
from postfleet.instants import to_ms


@dataclass(frozen=True, slots=True)
class Delivery:
    """`sent_ms` is the time of the server's 250, or of the lost connection (RFC 1047)."""

    delivery_id: str
    sender_id: str
    recipient: str
    message_id: str
    sent_ms: int
    campaign_id: str | None = None
    step: int | None = None
    variant: str | None = None
    lead_id: str | None = None


def delivery_of(event: EmailSent | EmailUnknown) -> Delivery:
    return Delivery(
        delivery_id=event.delivery_id,
        sender_id=event.sender_id,
        recipient=event.recipient,
        message_id=event.message_id,
        sent_ms=to_ms(event.occurred_at),
        campaign_id=event.campaign_id,
        step=event.step,
        variant=event.variant,
        lead_id=event.lead_id,
    )
