"""Senders and events to try rules on."""

from datetime import UTC, datetime, timedelta
from typing import Any

from postfleet.cloudevents import Received
from postfleet.events.deliveries import (
    BounceHard,
    BounceSoft,
    EmailDeferred,
    EmailFailed,
    EmailSent,
    EmailUnknown,
)
from postfleet.events.event import Event
from postfleet.events.inbox import ComplaintReceived
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.instants import to_ms
from sender_registry.domain.sender import Profile, Sender

NOW = datetime(2026, 11, 21, 15, tzinfo=UTC)
NOW_MS = to_ms(NOW)
LONG_AGO_MS = to_ms(NOW - timedelta(days=400))


def sender(**changes: Any) -> Sender:
    profile = Profile("ann@one.test", daily_limit=50, established_ms=LONG_AGO_MS)
    values: dict[str, Any] = {
        "id": "s1",
        "revision": 1,
        "profile": profile,
        "smtp": MailServer(
            host="mail.one.test", port=587, security=SmtpSecurity.STARTTLS, username="ann"
        ),
        "imap": None,
        "created_ms": LONG_AGO_MS,
        "validated_ms": LONG_AGO_MS,
        "secrets_ms": LONG_AGO_MS,
        "told_limit": 50,
        **changes,
    }
    return Sender(**values)


def common(sender_id: str, delivery: str, at: datetime) -> dict[str, Any]:
    return {
        "occurred_at": at,
        "delivery_id": delivery,
        "sender_id": sender_id,
        "recipient": "bob@two.test",
        "message_id": f"<{delivery}@one.test>",
    }


def sent(delivery: str = "d1", sender_id: str = "s1", at: datetime = NOW, **more: Any) -> EmailSent:
    return EmailSent(**common(sender_id, delivery, at), reply_code=250, **more)


def hard(
    delivery: str = "d1", sender_id: str = "s1", at: datetime = NOW, **more: Any
) -> BounceHard:
    return BounceHard(**common(sender_id, delivery, at), **{"observed": "smtp", **more})


def soft(
    delivery: str = "d1", sender_id: str = "s1", at: datetime = NOW, **more: Any
) -> BounceSoft:
    return BounceSoft(**common(sender_id, delivery, at), **{"observed": "smtp", **more})


def failed(
    delivery: str = "d1", sender_id: str = "s1", at: datetime = NOW, **more: Any
) -> EmailFailed:
    return EmailFailed(**common(sender_id, delivery, at), **more)


def deferred(
    delivery: str = "d1", sender_id: str = "s1", at: datetime = NOW, **more: Any
) -> EmailDeferred:
    return EmailDeferred(**common(sender_id, delivery, at), retry_at=at, **more)


def unknown(delivery: str = "d1", sender_id: str = "s1", at: datetime = NOW) -> EmailUnknown:
    return EmailUnknown(**common(sender_id, delivery, at))


def complaint(delivery: str = "d1", sender_id: str = "s1", at: datetime = NOW) -> ComplaintReceived:
    return ComplaintReceived(**common(sender_id, delivery, at))


def received(*events: Event) -> list[Received[Event]]:
    return [Received(event, f"e{number}") for number, event in enumerate(events)]
