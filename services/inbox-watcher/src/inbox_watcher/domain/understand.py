"""What a mail in a sender's mailbox is: one pure function over its bytes.

Kinds are tried from the most to the least certain: reports by their MIME type, then notices of mail
systems, then automatic replies, and what is left was written by a human or is of no concern.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

import re
from dataclasses import replace
from hashlib import sha256

from inbox_watcher.domain.auto_reply import auto_reason
from inbox_watcher.domain.body_text import body_text
from inbox_watcher.domain.delivery_tokens import reply_tokens, returned_tokens, warmup_token
from inbox_watcher.domain.header_fields import (
    Fields,
    address_of,
    message_ids_of,
    sent_on,
)
from inbox_watcher.domain.mime import Part, parse
from inbox_watcher.domain.noticed import as_notice
from inbox_watcher.domain.notices import is_challenge
from inbox_watcher.domain.reply_text import new_text
from inbox_watcher.domain.reported import as_complaint, as_dsn, as_mdn
from inbox_watcher.domain.return_date import return_date
from inbox_watcher.domain.ses_notices import as_ses_notice
from inbox_watcher.domain.understood import Kind, Understood, one_line

_ANSWER = re.compile(
    r"\s*(?:re|aw|antw|sv|vs|odp|rif|res|ref|ответ|回复|答复|回覆|返信|회신)\s*(?:\[\d+\])?\s*[:：]",
    re.IGNORECASE,
)
_BULK = ("list-unsubscribe", "list-id", "feedback-id", "x-campaign", "x-mailer-campaign")


def understand(raw: bytes, own: frozenset[str] = frozenset()) -> Understood:
    """Never raises, and ends quickly on any input. `own` are addresses of the mailbox's owner."""
    mail = parse(raw)
    fields = mail.fields
    ids = message_ids_of(fields.get("message-id"))
    base = Understood(
        kind=Kind.UNRELATED,
        why="",
        author=address_of(fields.get("from")),
        subject=one_line(fields.text("subject")),
        message_id=ids[0] if ids else "",
        key=_key(raw, fields),
        in_reply_to=tuple(message_ids_of(fields.get("in-reply-to"))),
        references=tuple(message_ids_of(fields.get("references"))),
        tokens=tuple(("reply", token) for token in reply_tokens(fields)),
        warmup=warmup_token(fields),
    )
    of_a_system = (
        as_complaint(base, mail)
        or as_dsn(base, mail)
        or as_mdn(base, mail)
        or as_ses_notice(base, mail)
        or as_notice(base, mail, own)
    )
    if of_a_system is not None:
        return replace(of_a_system, tokens=(*of_a_system.tokens, *returned_tokens(mail)))
    text = body_text(mail)
    return _as_automatic(base, mail, text) or _as_human(base, mail, text)


def _key(raw: bytes, fields: Fields) -> str:
    named = [fields.get(name) for name in ("message-id", "from", "date", "subject")]
    identity = "\x1f".join(named).encode() if named[0] else raw
    return sha256(identity).hexdigest()[:32]


def _as_automatic(base: Understood, mail: Part, text: str) -> Understood | None:
    reason = auto_reason(mail.fields, mail.fields.null_reverse_path, text[:500])
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
