"""What a mail in a sender's mailbox is: one pure function over its bytes.

Kinds are tried from the most to the least certain: reports by their MIME type, then notices of mail
systems, then automatic replies, and what is left was written by a human or is of no concern.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from inbox_watcher.domain.auto_reply import auto_reason
from inbox_watcher.domain.delivery_tokens import reply_tokens, returned_tokens, warmup_token
from inbox_watcher.domain.header_fields import (
    Fields,
    address_of,
    addresses_of,
    message_ids_of,
    sent_on,
)
from inbox_watcher.domain.html_text import text_of_html
from inbox_watcher.domain.mime import Part, parse
from inbox_watcher.domain.notices import Notice, is_challenge, looks_like_notice, read_notice
from inbox_watcher.domain.reply_text import new_text
from inbox_watcher.domain.reports import (
    AbuseReport,
    RecipientReport,
    abuse_report,
    disposition_report,
    recipient_reports,
    returned_fields,
    returned_message_id,
)
from inbox_watcher.domain.return_date import return_date
from postfleet.smtp_reply import Severity, judge, status_in

MAX_DIAGNOSTIC = 1000
MAX_WORDS = 1200
_ANSWER = re.compile(
    r"\s*(?:re|aw|antw|sv|vs|odp|rif|res|ref|ответ|回复|答复|回覆|返信|회신)\s*(?:\[\d+\])?\s*[:：]",
    re.IGNORECASE,
)
_BULK = ("list-unsubscribe", "list-id", "feedback-id", "x-campaign", "x-mailer-campaign")
_COMPLAINTS = ("abuse", "fraud", "virus", "other", "opt-out", "miscategorized")


class Kind(StrEnum):
    REPLY = "reply"  # a human answered
    AUTO = "auto"  # a machine answered
    BOUNCE = "bounce"  # the mail was not delivered
    DELAY = "delay"  # it is late, and may yet arrive
    SUCCESS = "success"  # it was delivered or relayed
    MDN = "mdn"  # it was displayed or deleted
    COMPLAINT = "complaint"  # it was reported as abuse
    CHALLENGE = "challenge"  # somebody asks for a proof of humanity
    UNRELATED = "unrelated"


@dataclass(frozen=True, slots=True)
class Recipient:
    """What became of the mail to one address."""

    address: str
    final_address: str = ""
    status: str = ""
    severity: Severity | None = None
    category: str = ""
    diagnostic: str = ""
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class Understood:
    """The mail as we understand it. Message ids have no angle brackets; "" where there is none."""

    kind: Kind
    why: str  # the rule that decided
    author: str
    subject: str
    message_id: str
    key: str  # the same for the same mail in another folder or under another UID
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    original_message_id: str = ""
    recipients: tuple[Recipient, ...] = ()
    text: str = ""  # of a human: the new words; of a machine: what it said
    auto_reason: str = ""
    returns_on: str = ""  # the day (ISO 8601) on which the author is back, if a machine told
    personal: bool = False  # not bulk: it may be a reply although it names no mail
    tokens: tuple[tuple[str, str], ...] = ()  # (purpose, token): may be ours, may be anybody's
    warmup: str = ""  # the token of a warm-up mail, if it is one


def understand(raw: bytes, own: frozenset[str] = frozenset()) -> Understood:
    """Never raises, and ends quickly on any input. `own` are addresses of the mailbox's owner."""
    mail = parse(raw)
    fields = mail.fields
    ids = message_ids_of(fields.get("message-id"))
    base = Understood(
        kind=Kind.UNRELATED,
        why="",
        author=address_of(fields.get("from")),
        subject=_one_line(fields.text("subject")),
        message_id=ids[0] if ids else "",
        key=_key(raw, fields),
        in_reply_to=tuple(message_ids_of(fields.get("in-reply-to"))),
        references=tuple(message_ids_of(fields.get("references"))),
        tokens=tuple(("reply", token) for token in reply_tokens(fields)),
        warmup=warmup_token(fields),
    )
    of_a_system = (
        _as_complaint(base, mail, abuse_report(mail))
        or _as_dsn(base, mail)
        or _as_mdn(base, mail)
        or _as_notice(base, mail, own)
    )
    if of_a_system is not None:
        return replace(of_a_system, tokens=(*of_a_system.tokens, *returned_tokens(mail)))
    text = body_text(mail)
    return _as_automatic(base, mail, text) or _as_human(base, mail, text)


def _key(raw: bytes, fields: Fields) -> str:
    named = [fields.get(name) for name in ("message-id", "from", "date", "subject")]
    identity = "\x1f".join(named).encode() if named[0] else raw
    return sha256(identity).hexdigest()[:32]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:500]


def null_reverse_path(fields: Fields) -> bool:
    return fields.get("return-path").replace(" ", "") == "<>"


def body_text(mail: Part) -> str:
    """The text of the first readable part: plain if there is one, else what the HTML shows."""
    html = ""
    for part in mail.walk():
        if part.fields.get("content-disposition").lower().startswith("attachment"):
            continue
        if part.content_type == "text/plain" and not part.parts and part.text().strip():
            return part.text()
        if part.content_type == "text/html" and not html:
            html = part.text()
    return text_of_html(html) if html else ""


def _as_complaint(base: Understood, mail: Part, report: AbuseReport | None) -> Understood | None:
    if report is None:
        return None
    returned = returned_fields(mail)
    addresses = report.original_recipients or (
        (address_of(returned.get("to")),) if returned else ()
    )
    return replace(
        base,
        kind=Kind.COMPLAINT if report.feedback_type in _COMPLAINTS else Kind.UNRELATED,
        why=f"feedback report {report.feedback_type}",
        original_message_id=returned_message_id(mail),
        recipients=tuple(Recipient(address) for address in addresses if address),
    )


def _as_dsn(base: Understood, mail: Part) -> Understood | None:
    reports = recipient_reports(mail)
    if not reports:
        return None
    kind = _dsn_kind({report.action for report in reports})
    told = [r for r in reports if _dsn_kind({r.action}) is kind]
    words = body_text(mail)
    return replace(
        base,
        kind=kind,
        why=f"delivery-status action {told[0].action}",
        original_message_id=returned_message_id(mail),
        recipients=tuple(_reported(report, kind, words, mail) for report in told),
    )


def _dsn_kind(actions: set[str]) -> Kind:
    if "failed" in actions:
        return Kind.BOUNCE
    if "delayed" in actions:
        return Kind.DELAY
    if actions & {"delivered", "relayed", "expanded"}:
        return Kind.SUCCESS
    return Kind.BOUNCE  # an action nobody defined: sent only when something went wrong


def _reported(report: RecipientReport, kind: Kind, words: str, mail: Part) -> Recipient:
    vague = not report.diagnostic_code and (not report.status or report.status.endswith(".0.0"))
    text = words if vague else report.diagnostic_code
    failure = judge(report.status, text) if kind in (Kind.BOUNCE, Kind.DELAY) else None
    return Recipient(
        address=report.address or _only_addressee(mail),
        final_address=report.final_recipient,
        status=_better_status(report.status, text),
        severity=failure.severity if failure and kind is Kind.BOUNCE else None,
        category=failure.category if failure else "",
        diagnostic=_one_line(text[:MAX_DIAGNOSTIC]),
        remote_mta=report.remote_mta,
    )


def _only_addressee(mail: Part) -> str:
    """Of a report that names no address: to whom the returned mail went, if that was one."""
    returned = returned_fields(mail)
    addresses = addresses_of(returned.get("to")) if returned else []
    return addresses[0] if len(addresses) == 1 else ""


def _better_status(status: str, text: str) -> str:
    """The text's own status where the field has none, or only x.0.0."""
    return (status_in(text) or status) if not status or status.endswith(".0.0") else status


def _as_mdn(base: Understood, mail: Part) -> Understood | None:
    report = disposition_report(mail)
    if report is None:
        return None
    original = report.original_message_id or returned_message_id(mail)
    address = report.final_recipient or base.author
    return replace(
        base,
        kind=Kind.MDN,
        why=f"disposition {report.disposition[:80]}",
        original_message_id=original,
        recipients=(Recipient(address),) if address else (),
    )


def _as_notice(base: Understood, mail: Part, own: frozenset[str]) -> Understood | None:
    fields = mail.fields
    report = mail.content_type == "multipart/report" or _is_status_report(mail)
    if not looks_like_notice(base.author, null_reverse_path(fields), fields, report):
        return None
    notice = read_notice(fields, _all_text(mail), own | _addressees(fields))
    if notice is None:
        return None
    kind = _OUTCOMES[notice.outcome]
    return replace(
        base,
        kind=kind,
        why=f"notice of a mail system without a report: {notice.outcome}",
        original_message_id=returned_message_id(mail) or notice.original_message_id,
        recipients=_noticed(notice, kind) or _returned_recipients(mail, kind),
    )


_OUTCOMES = {"failed": Kind.BOUNCE, "delayed": Kind.DELAY, "succeeded": Kind.SUCCESS}


def _is_status_report(mail: Part) -> bool:
    return any(part.content_type.endswith("delivery-status") for part in mail.walk())


def _addressees(fields: Fields) -> frozenset[str]:
    """To whom the notice went: the sender of the mail that it is about, never its recipient."""
    names = ("to", "delivered-to", "envelope-to", "x-original-to", "x-delivered-to")
    return frozenset(a for name in names for a in addresses_of(fields.get(name)[:2000]))


def _all_text(mail: Part) -> str:
    """The words of a notice: some mail systems spread them over several parts."""
    texts = [
        part.text()
        for part in mail.walk()
        if part.content_type in ("text/plain", "message/delivery-status") and not part.parts
    ]
    return "\n".join(texts[:4]) if any(map(str.strip, texts)) else body_text(mail)


def _noticed(notice: Notice, kind: Kind) -> tuple[Recipient, ...]:
    return tuple(_told(one.address, one.text, kind) for one in notice.recipients)


def _returned_recipients(mail: Part, kind: Kind) -> tuple[Recipient, ...]:
    """Where the notice names nobody: to whom the returned mail went, if that was one."""
    address = _only_addressee(mail)
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
        _one_line(text[:MAX_DIAGNOSTIC]),
    )


_DIAGNOSTIC = re.compile(
    r"^.{0,300}?(?:(?<![\w.])[45]\d\d[ -]|#?\b[45]\.\d{1,3}\.\d{1,3}\b).{0,600}", re.MULTILINE
)


def diagnostic_in(words: str) -> str:
    """The lines that carry a code, with the line after each; without one, all the words."""
    found = [match[0] for match in _DIAGNOSTIC.finditer(words)][:5]
    if not found:
        return words[-MAX_WORDS:]
    last = words.find(found[-1]) + len(found[-1])
    following = [line for line in words[last : last + 400].split("\n")[1:3] if line.strip()]
    return "\n".join(found + following)


def _as_automatic(base: Understood, mail: Part, text: str) -> Understood | None:
    reason = auto_reason(mail.fields, null_reverse_path(mail.fields), text[:500])
    if is_challenge(base.subject, text) and not any(name in mail.fields for name in _BULK):
        return replace(base, kind=Kind.CHALLENGE, why="asks for a proof of humanity", text=text)
    if not reason:
        return None
    said = new_text(text)
    back = return_date(f"{base.subject}\n{said}", sent_on(mail.fields))
    return replace(
        base,
        kind=Kind.AUTO,
        why=reason,
        auto_reason=reason,
        text=said,
        returns_on=back.isoformat() if back else "",
    )


def _as_human(base: Understood, mail: Part, text: str) -> Understood:
    names_a_mail = bool(base.in_reply_to or base.references)
    if names_a_mail or _ANSWER.match(base.subject):
        why = "names the mail it answers" if names_a_mail else "the subject is an answer's"
        return replace(base, kind=Kind.REPLY, why=why, text=new_text(text), personal=True)
    if any(name in mail.fields for name in _BULK):
        return replace(base, why="bulk mail")
    return replace(base, why="a new mail, no answer", text=new_text(text), personal=True)
