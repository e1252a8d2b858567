"""What a report makes of the mail that it is about: complaint, DSN, MDN."""

import re
from dataclasses import replace

from inbox_watcher.domain.body_text import body_text
from inbox_watcher.domain.header_fields import address_of
from inbox_watcher.domain.mime import Part
from inbox_watcher.domain.reports import (
    RecipientReport,
    abuse_report,
    disposition_report,
    only_addressee,
    recipient_reports,
    returned_fields,
    returned_message_id,
)
from inbox_watcher.domain.understood import MAX_DIAGNOSTIC, Kind, Recipient, Understood, one_line
from postfleet.smtp_reply import judge, status_in

_ANY_ADDRESS = re.compile(r"^[^\n]{0,80}[\w+.-]@[\w-]{1,63}\.", re.MULTILINE)
_COMPLAINTS = ("abuse", "fraud", "virus", "other", "opt-out", "miscategorized")


def as_complaint(base: Understood, mail: Part) -> Understood | None:
    report = abuse_report(mail)
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


def as_dsn(base: Understood, mail: Part) -> Understood | None:
    reports = recipient_reports(mail)
    if not reports:
        return None
    kind = _dsn_kind({report.action for report in reports})
    told = [r for r in reports if _dsn_kind({r.action}) is kind]
    words = body_text(mail)
    named = {r.address: r for r in (_reported(report, kind, words, mail) for report in told)}
    return replace(
        base,
        kind=kind,
        why=f"delivery-status action {told[0].action}",
        original_message_id=returned_message_id(mail),
        recipients=tuple(named.values()),
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
    text = _words_about(report.address, words) if vague else report.diagnostic_code
    failure = judge(report.status, text) if kind in (Kind.BOUNCE, Kind.DELAY) else None
    return Recipient(
        address=report.address or only_addressee(mail),
        final_address=report.final_recipient,
        status=_better_status(report.status, text),
        severity=failure.severity if failure and kind is Kind.BOUNCE else None,
        category=failure.category if failure else "",
        diagnostic=one_line(text[:MAX_DIAGNOSTIC]),
        remote_mta=report.remote_mta,
    )


def _words_about(address: str, words: str) -> str:
    """OpenSMTPD and others say why in plain words alone, below or behind each address."""
    start = words.lower().find(address) if address else -1
    if start < 0:
        return words
    line_end = words.find("\n", start)
    following = _ANY_ADDRESS.search(words, line_end) if line_end >= 0 else None
    return words[start : following.start() if following else len(words)]


def _better_status(status: str, text: str) -> str:
    """The text's own status where the field has none, or only x.0.0."""
    return (status_in(text) or status) if not status or status.endswith(".0.0") else status


def as_mdn(base: Understood, mail: Part) -> Understood | None:
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
