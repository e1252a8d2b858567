"""What a notice in plain words makes of the mail that it is about."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from inbox_watcher.domain.body_text import all_text, body_text
from inbox_watcher.domain.header_fields import Fields, addresses_of
from inbox_watcher.domain.mime import Part
from inbox_watcher.domain.notices import (
    Notice,
    has_usual_subject,
    looks_like_notice,
    may_be_notice,
    read_notice,
)
from inbox_watcher.domain.reports import only_addressee, returned_message_id
from inbox_watcher.domain.understood import MAX_DIAGNOSTIC, Kind, Recipient, Understood, one_line
from postfleet.smtp_reply import judge, status_in

MAX_WORDS = 1200


def as_notice(base: Understood, mail: Part, own: frozenset[str]) -> Understood | None:
    fields = mail.fields
    report = mail.content_type == "multipart/report" or _is_status_report(mail)
    words = all_text(mail)
    sure = looks_like_notice(base.author, fields.null_reverse_path, fields, report)
    if not sure and not may_be_notice(base.author, fields, words):
        return None
    notice = read_notice(fields, words, own | _addressees(fields))
    if notice is None:
        return None
    kind = _OUTCOMES[notice.outcome]
    original = returned_message_id(mail) or notice.original_message_id
    recipients = _noticed(notice, kind) or _returned_recipients(mail, kind)
    if not (original or recipients or has_usual_subject(fields)):
        return None  # a postmaster who writes about mail, and about none of ours
    certain = sure or ((original or notice.marked) and not _vague(recipients))
    if not certain:
        return None  # a robot that writes of something else
    return replace(
        base,
        kind=kind,
        why=f"notice of a mail system without a report: {notice.outcome}",
        original_message_id=original,
        recipients=recipients,
    )


def _vague(recipients: tuple[Recipient, ...]) -> bool:
    return all(one.category in ("", "other") for one in recipients)


_OUTCOMES = {"failed": Kind.BOUNCE, "delayed": Kind.DELAY, "succeeded": Kind.SUCCESS}


def _is_status_report(mail: Part) -> bool:
    return any(part.content_type.endswith("delivery-status") for part in mail.walk())


def _addressees(fields: Fields) -> frozenset[str]:
    """To whom the notice went: the sender of the mail that it is about, never its recipient."""
    names = ("to", "delivered-to", "envelope-to", "x-original-to", "x-delivered-to")
    return frozenset(a for name in names for a in addresses_of(fields.get(name)[:2000]))


def _noticed(notice: Notice, kind: Kind) -> tuple[Recipient, ...]:
    return tuple(_told(one.address, one.text, kind) for one in notice.recipients)


def _returned_recipients(mail: Part, kind: Kind) -> tuple[Recipient, ...]:
    """Where the notice names nobody: to whom the returned mail went, if that was one."""
    address = only_addressee(mail)
    return (_told(address, body_text(mail), kind),) if address else ()


def _told(address: str, words: str, kind: Kind) -> Recipient:
    text = diagnostic_in(words)
    failure = judge(status_in(text), text) if kind is not Kind.SUCCESS else None
    return Recipient(
        address,
        address,
        status_in(text),
        failure.severity if failure and kind is Kind.BOUNCE else None,
        failure.category if failure else "",
        one_line(text[:MAX_DIAGNOSTIC]),
    )


_ANY_CODE = re.compile(
    r"[45](?:(?<![\w.][45])\d\d[ -]|(?<=\b[45])\.\d{1,3}\.\d{1,3}\b)"  # basic or enhanced
)
_MAX_BEFORE, _MAX_AFTER = 300, 600  # characters of its line


def diagnostic_in(words: str) -> str:
    """The lines that carry a code, with the line after each; without one, all the words."""
    found = list(islice(_lines_with_codes(words), 5))
    if not found:
        return words[-MAX_WORDS:]
    last = words.find(found[-1]) + len(found[-1])
    following = [line for line in words[last : last + 400].split("\n")[1:3] if line.strip()]
    return "\n".join(found + following)


def _lines_with_codes(words: str) -> Iterator[str]:
    read = 0
    for code in _ANY_CODE.finditer(words):
        start = words.rfind("\n", 0, code.start()) + 1
        if start >= read and code.start() - start <= _MAX_BEFORE:
            read = code.end()
            yield words[start : read + _MAX_AFTER].partition("\n")[0]
