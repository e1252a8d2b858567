"""A request for a pixel, a tracked link or an unsubscribe address, as it came."""

from dataclasses import dataclass, field
from enum import StrEnum
from secrets import token_hex
from typing import TypedDict

import orjson
from pydantic import TypeAdapter, ValidationError

MAX_TEXT = 512  # characters kept of a user agent or header; longer ones are cut

#: The headers that tell people and machines apart; no other one is kept.
KEPT_HEADERS = ("accept", "accept-language", "purpose", "sec-purpose", "x-moz", "via", "from")


class HitKind(StrEnum):
    """What was asked for."""

    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"


class UnreadableHit(ValueError):
    """The message is no hit of ours; the text goes to the dead letters."""


@dataclass(frozen=True, slots=True)
class Hit:
    """`way` tells how an unsubscribe came: `one-click` (RFC 8058), or from the page: `page`, `series`."""

    kind: HitKind
    delivery_id: str
    at_ms: int
    link_id: str = ""
    ip: str = ""
    user_agent: str = ""
    method: str = "GET"
    way: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: token_hex(16))

    def body(self) -> bytes:
        return orjson.dumps(self)


class Noted(TypedDict):
    """A hit as its request is answered: the cheapest thing that can be written as one."""

    kind: HitKind
    delivery_id: str
    at_ms: int
    link_id: str
    ip: str
    user_agent: str
    method: str
    way: str
    headers: dict[str, str]


_adapter = TypeAdapter(Hit)


SUBJECT = "hit.batch"


def line_of(noted: Noted, hit_id: str) -> bytes:
    """The line that `read_hit` reads."""
    return orjson.dumps({**noted, "id": hit_id})


def read_hits(body: bytes) -> tuple[list[Hit], str]:
    """The hits in a message, a line each, and what is wrong with the first line that is none."""
    hits, wrong = [], ""
    for line in body.split(b"\n"):
        try:
            hits.append(read_hit(line))
        except UnreadableHit as error:
            wrong = wrong or str(error)
    return hits, wrong


def read_hit(body: bytes) -> Hit:
    """The hit in a message. Raises UnreadableHit."""
    try:
        return _adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise UnreadableHit(f"{place}: {first['msg']}") from error
