"""What Amazon SES tells in JSON: an SNS topic that mails bounces and complaints to the sender.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

import json
from dataclasses import replace
from typing import Any

from inbox_watcher.domain.body_text import body_text
from inbox_watcher.domain.header_fields import address_of, message_ids_of
from inbox_watcher.domain.mime import Part
from inbox_watcher.domain.understood import MAX_DIAGNOSTIC, Kind, Recipient, Understood, one_line
from postfleet.smtp_reply import Severity, judge

MAX_JSON = 100_000  # characters
MAX_BRACKETS = 500  # bounds the depth
MAX_RECIPIENTS = 50
_MARKS = ('"notificationType"', '"eventType"')
_OF_SNS = ("x-amz-sns-message-id", "x-amz-sns-topic-arn")
_KINDS = {
    "bounce": ("bouncedRecipients", Kind.BOUNCE),
    "complaint": ("complainedRecipients", Kind.COMPLAINT),
    "deliveryDelay": ("delayedRecipients", Kind.DELAY),
}


def as_ses_notice(base: Understood, mail: Part) -> Understood | None:
    """None for anything but a notification that tells of a recipient."""
    if not (base.author.startswith(("no-reply@sns.", "noreply@sns.")) or _is_of_sns(mail)):
        return None
    told = _object_in(body_text(mail)[:MAX_JSON])
    for name, (list_name, kind) in _KINDS.items():
        part = _part(told, name)
        rows = part.get(list_name)
        found = [_recipient(row, part, kind) for row in _rows(rows) if row.get("emailAddress")]
        if found:
            return replace(
                base,
                kind=kind,
                why=f"SES notification {name}",
                original_message_id=_original_id(_part(told, "mail")),
                recipients=tuple(found),
            )
    return None


def _is_of_sns(mail: Part) -> bool:
    return any(name in mail.fields for name in _OF_SNS)


def _object_in(text: str) -> dict[str, Any]:
    start = text.find("{")
    if start < 0 or not any(mark in text for mark in _MARKS):
        return {}
    if text.count("{") + text.count("[") > MAX_BRACKETS:
        return {}
    try:
        found, _ = json.JSONDecoder(strict=False).raw_decode(text, start)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _part(told: dict[str, Any], name: str) -> dict[str, Any]:
    part = told.get(name)
    return part if isinstance(part, dict) else {}


def _rows(rows: Any) -> list[dict[str, Any]]:
    listed = rows[:MAX_RECIPIENTS] if isinstance(rows, list) else []
    return [row for row in listed if isinstance(row, dict)]


def _recipient(row: dict[str, Any], part: dict[str, Any], kind: Kind) -> Recipient:
    address = address_of(str(row["emailAddress"]))
    if kind is Kind.COMPLAINT:
        return Recipient(address)
    status, diagnostic = str(row.get("status", "")), str(row.get("diagnosticCode", ""))
    verdict = judge(status, diagnostic)
    severity, category = verdict.severity, verdict.category
    if not diagnostic and not status and part.get("bounceType") == "Permanent":
        severity, category = Severity.HARD, "unknown_user"
    return Recipient(
        address,
        address,
        status,
        severity if kind is Kind.BOUNCE else None,
        category,
        one_line(diagnostic[:MAX_DIAGNOSTIC]),
    )


def _original_id(mail: dict[str, Any]) -> str:
    """The Message-ID that we gave, where the topic includes the original headers."""
    headers = mail.get("commonHeaders")
    ids = message_ids_of(str(headers.get("messageId", ""))) if isinstance(headers, dict) else []
    return ids[0] if ids else ""
