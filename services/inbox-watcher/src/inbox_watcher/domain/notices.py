"""Delivery notices without a report: what old and odd mail systems write in plain words."""

import re
from dataclasses import dataclass

from inbox_watcher.domain.header_fields import Fields, addresses_of, message_ids_of
from inbox_watcher.domain.tables import notices

MAX_NOTICE = 20_000  # characters of a notice that are read
MAX_ADDRESSES = 20

_SUBJECT = re.compile(notices.BOUNCE_SUBJECTS, re.IGNORECASE)
_DELAY_SUBJECT = re.compile(notices.DELAY_SUBJECTS, re.IGNORECASE)
_FAILED = re.compile(notices.FAILURE_SENTENCES, re.IGNORECASE)
_DELAYED = re.compile(notices.DELAY_SENTENCES, re.IGNORECASE)
_COPY = re.compile(notices.RETURNED_COPY, re.IGNORECASE | re.MULTILINE)
_CHALLENGE = re.compile(notices.CHALLENGES, re.IGNORECASE)
_OUR_ID = re.compile(r"^message-id:\s*(<[^<>\s]{1,500}>)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Notice:
    delayed: bool
    recipients: tuple[str, ...]
    text: str  # the words about the failure, without the returned copy
    original_message_id: str


def looks_like_notice(author: str, null_reverse_path: bool, fields: Fields) -> bool:
    """Written by a mail system: its usual name, or the null reverse-path with a usual subject."""
    local = author.partition("@")[0]
    by_system = local.startswith(notices.BOUNCE_AUTHORS) or "x-failed-recipients" in fields
    subject = fields.text("subject")
    usual = bool(_SUBJECT.search(subject) or _DELAY_SUBJECT.search(subject))
    return by_system or (null_reverse_path and usual)


def read_notice(fields: Fields, text: str, own: frozenset[str]) -> Notice | None:
    """What the notice says, or None if its words tell of no failure. `own` are never recipients."""
    words = text[:MAX_NOTICE]
    copy = _COPY.search(words)
    said, returned = (words[: copy.start()], words[copy.start() :]) if copy else (words, "")
    subject = fields.text("subject")
    delayed = bool(_DELAYED.search(said) or _DELAY_SUBJECT.search(subject))
    failed = bool(_FAILED.search(said) or _SUBJECT.search(subject))
    if not (delayed or failed):
        return None
    addresses = addresses_of(fields.get("x-failed-recipients")) or addresses_of(said)
    author = fields.get("from").lower()
    recipients = [a for a in addresses if a not in own and a not in author][:MAX_ADDRESSES]
    ids = _OUR_ID.findall(returned)
    message_id = message_ids_of(ids[0]) if ids else []
    return Notice(delayed, tuple(recipients), said, message_id[0] if message_id else "")


def is_challenge(subject: str, text: str) -> bool:
    """The mail asks its sender to prove to be a human before it is delivered."""
    return bool(_CHALLENGE.search(f"{subject}\n{text[:4000]}"))
