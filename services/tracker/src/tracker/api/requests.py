"""A hit from an HTTP request."""

from collections.abc import Iterable

from postfleet.instants import now_ms
from postfleet.tokens import TokenContent
from tracker.api.heads import Fields, of_interest
from tracker.domain.hits import HitKind, Noted


def hit_of(
    client: str, method: str, fields: Fields, kind: HitKind, content: TokenContent, way: str = ""
) -> Noted:
    """The hit that a request is; of its `fields` it keeps what tells people and machines apart."""
    fields.pop("x-forwarded-for", None)
    return {
        "kind": kind,
        "delivery_id": content.delivery_id,
        "at_ms": now_ms(),
        "link_id": content.link_id,
        "ip": client[:64],
        "user_agent": fields.pop("user-agent", ""),
        "method": method,
        "way": way,
        "headers": fields,
    }


def hit_from(
    client: str,
    method: str,
    headers: Iterable[tuple[bytes, bytes]],
    kind: HitKind,
    content: TokenContent,
    way: str = "",
) -> Noted:
    """The same from a parser's fields."""
    return hit_of(client, method, of_interest(headers), kind, content, way)
