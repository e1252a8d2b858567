"""Whether a machine answered (RFC 3834), and what shows it. Signs are in `tables/auto_replies.py`."""

import re

from inbox_watcher.domain.header_fields import Fields
from inbox_watcher.domain.tables import auto_replies
from postfleet.phrases import lowered, phrases

_FIELDS = {name: re.compile(p, re.IGNORECASE) for name, p in auto_replies.FIELDS.items()}
_HINTS = {name: re.compile(p, re.IGNORECASE) for name, p in auto_replies.HINTS.items()}
_SUBJECT = re.compile(rf"\W{{0,3}}(?:{'|'.join(auto_replies.SUBJECTS)})", re.IGNORECASE)
_WEAK_SUBJECT = re.compile(rf"\W{{0,3}}(?:{'|'.join(auto_replies.WEAK_SUBJECTS)})", re.IGNORECASE)
_FIRST_WORDS = re.compile(rf"\W{{0,10}}{auto_replies.FIRST_WORDS}", re.IGNORECASE)
_RECEIPT_SUBJECT = phrases(auto_replies.RECEIPT_SUBJECTS)
_RECEIPT = phrases(auto_replies.RECEIPT_SENTENCES)
_LIST_FIELDS = ("list-id", "list-post", "mailing-list")


def auto_reason(fields: Fields, null_reverse_path: bool, text: str = "") -> str:
    """What shows that a machine answered, or "" for a human. List mail from humans is human."""
    for name, pattern in _FIELDS.items():
        for value in fields.all(name):
            if pattern.search(value):
                return f"{name}: {value[:80]}"
    if any(name in fields for name in _LIST_FIELDS):
        return ""
    subject = fields.text("subject")
    hint = _hint(fields)
    if _SUBJECT.match(subject) or (hint and _WEAK_SUBJECT.match(subject)):
        return f"subject {subject[:80]!r}{hint}"
    words = _FIRST_WORDS.match(text)
    if words:
        return f"first words {words[0].strip()[:80]!r}"
    receipt = _RECEIPT_SUBJECT.search(lowered(subject)) and _RECEIPT.search(lowered(text))
    if receipt:
        return f"a help desk's receipt: {receipt[0].strip()[:80]!r}"
    if null_reverse_path:
        return "null reverse-path (RFC 3834 §4)"
    return ""


def is_automatic_subject(subject: str) -> bool:
    """The subject is one that only automatic replies have."""
    return bool(_SUBJECT.match(subject))


def _hint(fields: Fields) -> str:
    for name, pattern in _HINTS.items():
        if pattern.search(fields.get(name)):
            return f" and {name}"
    return ""
