"""Webhooks: what an endpoint is, when a message is tried again, when an endpoint is given up."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import orjson

from postfleet.cloudevents import Received
from postfleet.events.event import Event
from postfleet.instants import iso

#: Minutes between the tries of one message: 24 hours in all.
_DELAYS_MINUTES = (0.1, 0.5, 2, 10, 30, 60, 120, 240, 360, 617)
GIVE_UP = timedelta(hours=24)  # an endpoint that took nothing for so long
_GONE = 410


class EndpointState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class MessageState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"  # the last try is over


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`events` are subjects; none means all of them. `secret` is sealed."""

    id: str
    url: str
    secret: str
    created_ms: int
    events: tuple[str, ...] = ()
    description: str = ""
    state: EndpointState = EndpointState.ACTIVE
    failing_ms: int = 0  # when the first try failed that no success followed
    reason: str = ""

    def wants(self, subject: str) -> bool:
        return not self.events or subject in self.events


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One event for one endpoint. Those with one `key` are delivered in the order of the stream."""

    id: str
    endpoint: str
    event_id: str
    subject: str
    key: str
    body: str
    order: int
    attempt: int = 0
    due_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 where there was none; then `error` says why."""

    status: int
    error: str = ""

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        return self.status == _GONE


def message_for(endpoint: Endpoint, received: Received[Event]) -> WebhookMessage:
    """The payload of the Standard Webhooks specification: type, timestamp, data."""
    event = received.event
    payload: dict[str, Any] = {
        "type": event.subject,
        "timestamp": iso(event.occurred_at),
        "data": event.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return WebhookMessage(
        id=f"{endpoint.id}:{received.id}",
        endpoint=endpoint.id,
        event_id=received.id,
        subject=event.subject,
        key=event.aggregate_id,
        body=orjson.dumps(payload).decode(),
        order=received.sequence,
    )


def next_try_ms(attempt: int, now_ms: int, chance: float) -> int | None:
    """When the try after this one (from 1) is due, ±10 % by `chance` (0 to 1); None: never."""
    if attempt > len(_DELAYS_MINUTES):
        return None
    delay_ms = _DELAYS_MINUTES[attempt - 1] * 60_000
    return now_ms + int(delay_ms * (0.9 + 0.2 * chance))


def heads(waiting: list[WebhookMessage], now_ms: int) -> list[WebhookMessage]:
    """Of each key the oldest message, if it is due: nothing overtakes what is tried again."""
    first: dict[str, WebhookMessage] = {}
    for message in waiting:
        first.setdefault(message.key, message)
    return [message for message in first.values() if message.due_ms <= now_ms]


def given_up(endpoint: Endpoint, answer: Answer, now_ms: int) -> str:
    """Why the endpoint is sent nothing any more after this answer; "" if it is."""
    if answer.gone:
        return "the endpoint says that it is gone (410)"
    failing = endpoint.failing_ms and now_ms - endpoint.failing_ms
    if not answer.taken and failing >= GIVE_UP.total_seconds() * 1000:
        return f"nothing was delivered for 24 hours; last: {answer.error or answer.status}"
    return ""
