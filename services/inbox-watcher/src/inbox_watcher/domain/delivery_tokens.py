"""Tokens of ours that a mail brings back: they name its delivery whatever became of its Message-ID.

Only found here, not yet believed: whoever holds the keys reads them (`postfleet.tokens`).
"""

import re

from inbox_watcher.domain.header_fields import Fields
from inbox_watcher.domain.mime import Part
from inbox_watcher.domain.reports import returned_fields

MAX_TOKENS = 5
_ADDRESSED = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "x-forwarded-to")
_REPLY = re.compile(r"\+([a-z2-7]{40})@", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{44}")
_WARMUP = re.compile(r"[A-Za-z0-9_-]{46}")
_UNSUBSCRIBE = re.compile(r"/u/([A-Za-z0-9_-]{44})>")


def reply_tokens(fields: Fields) -> tuple[str, ...]:
    """Behind the + of the addresses that an answer went to."""
    found = (t for name in _ADDRESSED for v in fields.all(name) for t in _REPLY.findall(v))
    return tuple(dict.fromkeys(found))[:MAX_TOKENS]


def warmup_token(fields: Fields) -> str:
    """In the field of a warm-up mail; "" where there is none."""
    found = _WARMUP.fullmatch(fields.get("x-postfleet-warmup").strip())
    return found[0] if found else ""


def delivery_token(fields: Fields) -> str:
    """In the field that every mail of ours has; "" where there is none."""
    found = _TOKEN.fullmatch(fields.get("x-postfleet-delivery").strip())
    return found[0] if found else ""


def returned_tokens(mail: Part) -> tuple[tuple[str, str], ...]:
    """(purpose, token) of the mail that a report encloses: in our own field, and to unsubscribe."""
    fields = returned_fields(mail)
    if fields is None:
        return ()
    own = delivery_token(fields)
    optout = _UNSUBSCRIBE.search(fields.get("list-unsubscribe"))
    found = [("delivery", own)] if own else []
    return (*found, *([("unsubscribe", optout[1])] if optout else []))
