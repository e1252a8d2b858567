"""A hit from an HTTP request."""

from collections.abc import Iterable

from postfleet.instants import now_ms
from postfleet.tokens import TokenContent
from tracker.domain.hits import KEPT_HEADERS, MAX_TEXT, Hit, HitKind

_KEPT = {name.encode(): name for name in KEPT_HEADERS}


def hit_from(
    client: str,
    method: str,
    headers: Iterable[tuple[bytes, bytes]],
    kind: HitKind,
    content: TokenContent,
    way: str = "",
) -> Hit:
    """The hit that a request is."""
    user_agent, kept = _headers(headers)
    return Hit(
        kind=kind,
        delivery_id=content.delivery_id,
        at_ms=now_ms(),
        link_id=content.link_id,
        ip=client[:64],
        user_agent=user_agent,
        method=method,
        way=way,
        headers=kept,
    )


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, dict[str, str]]:
    user_agent, kept = "", {}
    for name, value in headers:
        if name == b"user-agent":
            user_agent = value[:MAX_TEXT].decode("latin-1")
        elif name in _KEPT:
            kept[_KEPT[name]] = value[:MAX_TEXT].decode("latin-1")
    return user_agent, kept
