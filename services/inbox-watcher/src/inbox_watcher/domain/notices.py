"""Delivery notices without a report: what old and odd mail systems write in plain words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inbox_watcher.domain.auto_reply import is_automatic_subject
from inbox_watcher.domain.header_fields import Fields, addresses_of, decode_words, message_ids_of
from inbox_watcher.domain.tables import notices
from postfleet.phrases import lowered, phrases

MAX_NOTICE = 20_000  # characters of a notice that are read …
MAX_SAID = 4000  # … and of its own words, before the copy of our mail
MAX_CHALLENGE = 2000  # characters in which a challenge asks for what it wants
MAX_ADDRESSES = 20

# Of texts in small letters:
_SUBJECT = phrases(notices.BOUNCE_SUBJECTS)
_DELAY_SUBJECT = phrases(notices.DELAY_SUBJECTS)
_NAME = phrases(rf"\W*(?:{notices.BOUNCE_NAMES})\b")
_FAILED = phrases(notices.FAILURE_SENTENCES)
_ANSWERED_BY = phrases(notices.SERVER_ANSWERS)
_DELAYED = phrases(notices.DELAY_SENTENCES)
_FINAL = phrases(notices.FINAL_SENTENCES)
_SUCCEEDED = phrases(notices.SUCCESS_SENTENCES)
_COPY = phrases(f"\n(?:{notices.RETURNED_COPY})", re.MULTILINE)  # not on the first line
_CHALLENGE = phrases(notices.CHALLENGES)
_TEMPLATE = phrases(notices.TEMPLATES, re.MULTILINE)
# Of texts as they are:
_OUR_ID = re.compile(r"^[> \t]*message-id:\s*(<[^<>\s]{1,500}>)", re.IGNORECASE | re.MULTILINE)
_OUR_TO = re.compile(r"^[> \t]*to:[ \t]*([^\n]{1,500})", re.IGNORECASE | re.MULTILINE)
_ANSWERED = re.compile(r"\s*(?:re|fwd?|aw|wg|tr|sv|vs|rv|enc|i|odp|ynt)\s*:", re.IGNORECASE)
_ADDRESS = r"<?(?:mailto:|rfc822;\s?)?([\w.!#$%&'*+/=?^`{|}~-]{1,200}@[\w.-]{1,255})>?"
_MARK = phrases(rf"\b(?:{notices.RECIPIENT_MARKS})\b")
_AFTER_MARK = re.compile(rf"[ \t]*[:\uff1a]?[ \t\"'*]*\n?[ \t\"'*]*{_ADDRESS}", re.IGNORECASE)
#: Where a notice names the recipients, the surest place first; and last, behind such a mark.
_PLACES = [
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"^[ \t]*(?:final|original)-recipient:[^\n;]{{0,20}};?[ \t]*{_ADDRESS}",
        rf"^[ \t>*-]{{0,8}}<{_ADDRESS[2:]}[ \t]*(?:\([^\n)]{{0,200}}\))?[ \t]*:",
        rf"^[ \t>*-]{{0,8}}{_ADDRESS}[ \t]*(?::|\.\.\.|$|\(|"
        r"(?:on|am|le|el|il|op|den|em|w dniu) [\w,. ]{0,9}\d)",
    )
]


@dataclass(frozen=True, slots=True)
class NoticeRecipient:
    address: str
    text: str  # what the notice says about this address


@dataclass(frozen=True, slots=True)
class Notice:
    outcome: str  # failed, delayed or succeeded
    recipients: tuple[NoticeRecipient, ...]
    original_message_id: str
    marked: (
        bool  # it returns our mail, or has the address in angle brackets, as only mail systems do
    )


def looks_like_notice(author: str, null_reverse_path: bool, fields: Fields, report: bool) -> bool:
    """Written by a mail system: by its name, its usual subject, the null reverse-path, its form."""
    local = author.partition("@")[0]
    name = lowered(decode_words(fields.get("from")).partition("<")[0])
    subject = fields.text("subject")
    usual = has_usual_subject(fields)
    answers = "in-reply-to" in fields
    named = bool(_NAME.match(name)) and (null_reverse_path or (usual and not answers))
    by_name = local.startswith(notices.BOUNCE_AUTHORS) or named
    if report or "x-failed-recipients" in fields:
        return True
    if _ANSWERED.match(subject) and not null_reverse_path:
        return False  # a human writes about a notice
    if is_automatic_subject(subject):
        return False  # somebody is away, and the mail that they did not read was about a notice
    nobody = not author or null_reverse_path
    return by_name or (usual and nobody)


def may_be_notice(author: str, fields: Fields, text: str) -> bool:
    """Written by a robot, as a notice is: to be believed if it tells of an address what failed.

    Some mail systems write as `no-reply`, others under the subject of our mail.
    """
    local = author.partition("@")[0]
    if "in-reply-to" in fields or "list-unsubscribe" in fields:
        return False
    if local.startswith(notices.BOUNCE_AUTHORS) and _TEMPLATE.search(lowered(text[:MAX_SAID])):
        return True
    return local.startswith(notices.ROBOTS + notices.BOUNCE_AUTHORS) and has_usual_subject(fields)


def has_usual_subject(fields: Fields) -> bool:
    """The subject is one of those that notices have."""
    subject = lowered(fields.text("subject"))
    return bool(_SUBJECT.search(subject) or _DELAY_SUBJECT.search(subject))


def read_notice(fields: Fields, text: str, own: frozenset[str]) -> Notice | None:
    """What the notice says, or None if its words tell of no outcome. `own` are never recipients."""
    words = text[:MAX_NOTICE]
    copy = _COPY.search(lowered(words))
    said, returned = (words[: copy.start() + 1], words[copy.start() + 1 :]) if copy else (words, "")
    said = said[:MAX_SAID]
    outcome = _outcome(lowered(fields.text("subject")), lowered(said))
    if not outcome:
        return None
    message_id = _our_id(returned or words)
    others = own | set(addresses_of(fields.get("from")))
    found = _recipients(fields, said, returned, others)
    low = lowered(said)
    marked = bool(returned or message_id or any(f"<{one.address}>" in low for one in found))
    return Notice(outcome, found, message_id, marked)


def _our_id(copy: str) -> str:
    named = _OUR_ID.search(copy) if "message-id:" in lowered(copy) else None
    ids = message_ids_of(named[1]) if named else []
    return ids[0] if ids else ""


def _outcome(subject: str, said: str) -> str:
    delayed = bool(_DELAYED.search(said) or _DELAY_SUBJECT.search(subject))
    failed = bool(_FAILED.search(said) or _SUBJECT.search(subject))
    if delayed and not _FINAL.search(said):
        return "delayed"
    if _SUCCEEDED.search(said) and not _FAILED.search(said):
        return "succeeded"
    return "failed" if failed or delayed or _ANSWERED_BY.search(said) else ""


def _recipients(
    fields: Fields, said: str, returned: str, others: frozenset[str] | set[str]
) -> tuple[NoticeRecipient, ...]:
    """Each address with the words about it: those from its place to the next one's."""
    named = addresses_of(fields.get("x-failed-recipients"))
    places = _placed(said, others)
    if named:
        places = [(said.lower().find(address), address) for address in named]
    if not places:
        loose = [a for a in addresses_of(said) if _may_be(a, others)]
        places = [(said.lower().find(address), address) for address in loose[:1]]
    if not places:
        field = _OUR_TO.search(returned)
        loose = [a for a in addresses_of(field[1] if field else "") if _may_be(a, others)]
        return tuple(NoticeRecipient(address, said) for address in loose[:MAX_ADDRESSES])
    places = sorted(places)[:MAX_ADDRESSES]
    if len(places) == 1:
        return (NoticeRecipient(places[0][1], said),)
    ends = [start for start, _ in places[1:]] + [len(said)]
    return tuple(
        NoticeRecipient(address, said[max(start, 0) : end] or said)
        for (start, address), end in zip(places, ends, strict=True)
    )


def _placed(said: str, others: frozenset[str] | set[str]) -> list[tuple[int, str]]:
    for places in (*(pattern.finditer(said) for pattern in _PLACES), _marked_places(said)):
        found: dict[str, int] = {}
        for match in places:
            address = match[1].rstrip(".").lower()
            if _may_be(address, others):
                found.setdefault(address, match.start())
        if found:
            return [(start, address) for address, start in found.items()]
    return []


def _marked_places(said: str) -> Iterator[re.Match[str]]:
    for mark in _MARK.finditer(lowered(said)):
        if place := _AFTER_MARK.match(said, mark.end()):
            yield place


def _may_be(address: str, others: frozenset[str] | set[str]) -> bool:
    return address not in others and not address.startswith(notices.NOT_A_RECIPIENT)


def is_challenge(subject: str, text: str) -> bool:
    """The mail asks its sender to prove to be a human before it is delivered."""
    return bool(_CHALLENGE.search(lowered(f"{subject}\n{text[:MAX_CHALLENGE]}")))
