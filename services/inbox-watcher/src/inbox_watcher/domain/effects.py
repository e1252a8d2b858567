"""Which events follow from a mail that belongs to a delivery.

Ids are derived, so that the same mail seen twice, on two machines or in two folders, says the same
event; a bounce, a delay and a complaint are said once for a delivery, a reply once for a mail.
"""

from datetime import datetime
from typing import Any

from inbox_watcher.domain.matching import Match
from inbox_watcher.domain.understood import Kind, Recipient, Understood
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.deliveries import BounceHard, BounceSoft
from postfleet.events.inbox import ComplaintReceived, DeliveryDelayed, ReplyAutomatic, ReplyDetected
from postfleet.smtp_reply import Severity

MAX_EVENT_TEXT = 8000  # characters of a reply that ride on the event; all of it is in `inbound`
_NOBODY = Recipient("")


def announcements(
    mail: Understood, match: Match, inbound_id: str, received_at: datetime, now: datetime
) -> list[Announcement]:
    """The events to say; none for a kind that changes nothing."""
    common = _common(match, now)
    found = {"matched_by": match.matched_by, "confidence": match.confidence}
    seen = {**found, "inbound_id": inbound_id, "received_at": received_at}
    delivery = match.sent.delivery_id
    if mail.kind is Kind.REPLY:
        reply = ReplyDetected(
            **common, **seen, text=mail.text[:MAX_EVENT_TEXT], mail_subject=mail.subject
        )
        return [Announcement(reply, derived_id(ReplyDetected.subject, delivery, mail.key))]
    if mail.kind in (Kind.AUTO, Kind.CHALLENGE):
        reason = mail.auto_reason or mail.why
        automatic = ReplyAutomatic(
            **common,
            **seen,
            reason=reason,
            mail_subject=mail.subject,
            returns_on=mail.returns_on,
        )
        return [Announcement(automatic, derived_id(ReplyAutomatic.subject, delivery, mail.key))]
    if mail.kind is Kind.COMPLAINT:
        complaint = ComplaintReceived(**common, **seen)
        return [Announcement(complaint, derived_id(ComplaintReceived.subject, delivery))]
    told = _of_this_delivery(mail, match)
    failure = {"enhanced_status": told.status, "diagnostic": told.diagnostic}
    if mail.kind is Kind.DELAY:
        delay = DeliveryDelayed(**common, **seen, **failure)
        return [Announcement(delay, derived_id(DeliveryDelayed.subject, delivery))]
    if mail.kind is Kind.BOUNCE:
        cls = BounceHard if told.severity is Severity.HARD else BounceSoft
        bounce = cls(
            **common,
            **failure,
            **found,
            category=told.category,
            remote_mta=told.remote_mta,
            observed="dsn",
        )
        return [Announcement(bounce, derived_id(cls.subject, delivery, "dsn"))]
    return []


def _common(match: Match, now: datetime) -> dict[str, Any]:
    sent = match.sent
    return {
        "occurred_at": now,
        "delivery_id": sent.delivery_id,
        "campaign_id": sent.campaign_id,
        "step": sent.step,
        "variant": sent.variant,
        "lead_id": sent.lead_id,
        "sender_id": sent.sender_id,
        "recipient": sent.recipient,
        "message_id": sent.message_id,
        "warmup": sent.warmup,
    }


def _of_this_delivery(mail: Understood, match: Match) -> Recipient:
    """The report's entry for the address that we mailed; of a forwarded mail, the first."""
    mailed = match.sent.recipient.lower()
    for recipient in mail.recipients:
        if mailed in (recipient.address.lower(), recipient.final_address.lower()):
            return recipient
    return mail.recipients[0] if mail.recipients else _NOBODY
