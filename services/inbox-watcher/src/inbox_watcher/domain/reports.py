"""What a report says: DSN (RFC 3464), abuse report (RFC 5965), MDN (RFC 8098)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inbox_watcher.domain.header_fields import (
    Fields,
    address_of,
    addresses_of,
    message_ids_of,
    parse_fields,
)
from inbox_watcher.domain.mime import Part

MAX_RECIPIENTS = 100
_JMRP = "x-hmxmroriginalrecipient"
_ACTIONS = {"2": "delivered", "4": "delayed", "5": "failed"}
_XTEXT = (("+2B", "+"), ("+3D", "="))  # RFC 3461 §4: what gateways forget to decode
_FINAL = re.compile(r"^final-recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """One per-recipient group of a DSN; "" where a field is missing."""

    final_recipient: str
    original_recipient: str
    action: str  # failed, delayed, delivered, relayed or expanded
    status: str
    diagnostic_code: str
    remote_mta: str

    @property
    def address(self) -> str:
        """The address that we mailed, as far as the report knows."""
        return self.original_recipient or self.final_recipient


def recipient_reports(mail: Part) -> tuple[RecipientReport, ...]:
    """The recipients of the delivery-status parts of this mail, not of mails enclosed in it."""
    found: list[RecipientReport] = []
    for part in mail.walk():
        if part.content_type in ("message/delivery-status", "message/global-delivery-status"):
            for block in _groups(_report_text(part)):
                report = _recipient(parse_fields(block.strip("\n").encode()))
                if report is not None and len(found) < MAX_RECIPIENTS:
                    found.append(report)
    return tuple(found)


def _groups(text: str) -> Iterator[str]:
    """The blocks between empty lines; where a sloppy reporter left those out, by the recipients."""
    for block in re.split(r"\n[ \t]*\n", text):
        if len(_FINAL.findall(block)) < 2:
            yield block
            continue
        start = 0
        for found in list(_FINAL.finditer(block))[1:]:
            yield block[start : found.start()]
            start = found.start()
        yield block[start:]


def _report_text(part: Part) -> str:
    return part.text().strip("\n")


def _recipient(fields: Fields) -> RecipientReport | None:
    status = _STATUS.search(fields.get("status"))
    action = fields.get("action").split("(")[0].strip().lower()
    if not action and status:  # some gateways leave it out
        action = _ACTIONS[status[0][0]]
    if not action or not ("final-recipient" in fields or "original-recipient" in fields):
        return None
    return RecipientReport(
        final_recipient=_typed_address(fields.get("final-recipient")),
        original_recipient=_typed_address(fields.get("original-recipient")),
        action=action,
        status=status[0] if status else "",
        diagnostic_code=_untyped(fields.text("diagnostic-code")),
        remote_mta=_untyped(fields.get("remote-mta")),
    )


def _untyped(value: str) -> str:
    """`smtp; 550 no` -> `550 no`."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and " " not in kind.strip() else value.strip()


def _typed_address(value: str) -> str:
    plain = _untyped(value).replace("+AEA-", "@")  # UTF-7, by some gateways
    for encoded, character in _XTEXT:
        plain = plain.replace(encoded, character)
    return address_of(plain)


def returned_fields(mail: Part) -> Fields | None:
    """The header of the mail that a report is about: message/rfc822 or text/rfc822-headers."""
    for part in mail.walk():
        if part.content_type in ("message/rfc822", "message/global") and part.parts:
            return part.parts[0].fields
        if part.content_type in ("text/rfc822-headers", "message/global-headers"):
            return parse_fields(part.text().lstrip("\n").encode())
    return None


def only_addressee(mail: Part) -> str:
    """Of a report that names no address: to whom the returned mail went, if that was one."""
    returned = returned_fields(mail)
    addresses = addresses_of(returned.get("to")) if returned else []
    return addresses[0] if len(addresses) == 1 else ""


def returned_message_id(mail: Part) -> str:
    """The Message-ID of the returned mail, without brackets, or ""."""
    fields = returned_fields(mail)
    ids = message_ids_of(fields.get("message-id")) if fields else []
    return ids[0] if ids else _reported_message_id(mail)


def _reported_message_id(mail: Part) -> str:
    """Gmail and others name our mail in the report where they do not return it."""
    for part in mail.walk():
        if part.content_type.endswith("delivery-status"):
            fields = parse_fields(_report_text(part).encode())
            for name in ("x-original-message-id", "original-message-id"):
                if ids := message_ids_of(fields.get(name)):
                    return ids[0]
    return ""


@dataclass(frozen=True, slots=True)
class AbuseReport:
    feedback_type: str  # abuse, fraud, virus, other, not-spam, auth-failure, …
    original_recipients: tuple[str, ...]


def abuse_report(mail: Part) -> AbuseReport | None:
    for part in mail.walk():
        if part.content_type == "message/feedback-report":
            fields = parse_fields(_report_text(part).encode())
            recipients = [address_of(v) for v in fields.all("original-rcpt-to")[:MAX_RECIPIENTS]]
            kind = fields.get("feedback-type").strip().lower() or "abuse"
            return AbuseReport(kind, tuple(filter(None, recipients)))
    return _junk_mail_report(mail)


def _junk_mail_report(mail: Part) -> AbuseReport | None:
    """Microsoft's JMRP: the mail itself enclosed, its recipient in a field of the report."""
    if _JMRP not in mail.fields:
        return None
    recipient = address_of(mail.fields.get(_JMRP))
    return AbuseReport("abuse", (recipient,) if recipient else ())


@dataclass(frozen=True, slots=True)
class DispositionReport:
    disposition: str
    original_message_id: str
    final_recipient: str


def disposition_report(mail: Part) -> DispositionReport | None:
    for part in mail.walk():
        if part.content_type in (
            "message/disposition-notification",
            "message/global-disposition-notification",
        ):
            fields = parse_fields(_report_text(part).encode())
            ids = message_ids_of(fields.get("original-message-id"))
            return DispositionReport(
                fields.get("disposition").strip().lower(),
                ids[0] if ids else "",
                _typed_address(fields.get("final-recipient")),
            )
    return None
