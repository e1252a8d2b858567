"""CloudEvents 1.0 in binary mode over NATS headers: the envelope around an event's own fields."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Generic, TypeVar
from urllib.parse import quote, unquote

from pydantic import ValidationError

from postfleet.events import EVENTS
from postfleet.events.event import Event
from postfleet.instants import iso

E = TypeVar("E", bound=Event, covariant=True)

#: Characters that the NATS binding leaves as they are; all others are percent-encoded.
_PLAIN = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')
_QUOTED = ' "%'  # of what is printable
MAX_BODY_BYTES = 1_000_000


class Unreadable(ValueError):
    """The message is no event of ours; the text is the reason that goes to the dead letters."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event about to be said, with its id. A derived id makes saying it twice harmless."""

    event: Event
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    #: The body as somebody else wrote it, perhaps with fields that are newer than this code.
    raw: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def subject(self) -> str:
        return self.event.subject

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        # `model_dump_json` makes a text of these octets, and its caller octets again.
        to_json = self.event.__pydantic_serializer__.to_json
        return to_json(self.event, by_alias=True, exclude_none=True)

    def headers(self, service: str) -> dict[str, str]:
        return {
            "Nats-Msg-Id": self.id,
            "ce-specversion": "1.0",
            "ce-id": self.id,
            "ce-type": self.event.subject,
            "ce-source": f"/{service}",
            "ce-time": iso(self.event.occurred_at),
            "ce-subject": _quoted(self.event.aggregate_id),
            "content-type": "application/json",
        }


def _quoted(text: str) -> str:
    """Ids of ours have nothing to quote; addresses of people may."""
    plain = text.isascii() and text.isprintable() and not any(sign in text for sign in _QUOTED)
    return text if plain else quote(text, safe=_PLAIN)


@dataclass(frozen=True, slots=True)
class Received(Generic[E]):
    """An event as it arrived. `deliveries` counts from 1; `sequence` is its place in the stream."""

    event: E
    id: str
    source: str = ""
    deliveries: int = 1
    sequence: int = 0
    stored_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def derived_id(*parts: object) -> str:
    """An event id that follows from its cause: the same parts give the same id, on every machine."""
    return sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def parse(subject: str, headers: Mapping[str, str], body: bytes) -> Event:
    """The event in a message. Raises Unreadable with a reason that names what is wrong."""
    kind = headers.get("ce-type") or subject
    if kind != subject:
        raise Unreadable(f"an event of type {kind!r} on the subject {subject!r}")
    cls = EVENTS.get(kind)
    if cls is None:
        raise Unreadable(f"unknown event type {kind!r}")
    if len(body) > MAX_BODY_BYTES:
        raise Unreadable(f"the body has {len(body)} bytes, more than {MAX_BODY_BYTES}")
    try:
        return cls.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise Unreadable(f"{kind}: {place}: {first['msg']}") from error


def aggregate_of(headers: Mapping[str, str]) -> str:
    return unquote(headers.get("ce-subject", ""))
