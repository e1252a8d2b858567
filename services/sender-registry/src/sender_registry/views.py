"""What callers are shown of a sender. No secret is among it."""

from datetime import datetime
from typing import Any

from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.instants import from_ms, iso, to_ms
from sender_registry.domain.limits import LimitRules
from sender_registry.domain.presets import PRESETS
from sender_registry.domain.security import warnings
from sender_registry.domain.sender import Sender
from sender_registry.domain.validation import Check
from sender_registry.validating import Validation

Json = dict[str, Any]


def sender_view(sender: Sender, now: datetime, rules: LimitRules) -> Json:
    profile, judgement, now_ms = sender.profile, sender.judgement, to_ms(now)
    allowance = sender.allowance(now, rules)
    suspension = sender.suspension
    return {
        "id": sender.id,
        "email_address": profile.email_address,
        "display_name": profile.display_name,
        "name": profile.name,
        "description": profile.description,
        "tags": list(profile.tags),
        "kind": profile.kind,
        "inbox_type": profile.inbox_type.value,
        "status": judgement.status.value,
        "status_reason": judgement.reason or None,
        "status_code": judgement.code or None,
        "health": sender.health,
        "health_cause": sender.health_cause or None,
        "daily_limit": profile.daily_limit,
        "monthly_limit": profile.monthly_limit,
        "effective_limit": allowance.effective,
        "binding_limit": allowance.binding.value,
        "sent_today": sender.counts.on_day(now_ms),
        "sent_this_month": sender.counts.in_month(now_ms),
        "cooldown_until": _time(sender.streak.until_ms),
        "reply_detection": sender.reply_detection,
        "warmup_mode": profile.warmup_mode,
        "warmup": _warmup(sender),
        "access_methods": list(profile.access_methods),
        "smtp_authentication": profile.smtp_authentication,
        "allowed_ips": list(profile.allowed_ips),
        "bcc": profile.bcc,
        "archive": profile.archive,
        **_server("smtp", sender.smtp),
        "smtp_use_tls": sender.smtp.security is not SmtpSecurity.NONE,
        **_server("imap", sender.imap),
        "imap_use_ssl": sender.imap.security is not SmtpSecurity.NONE if sender.imap else None,
        "suspended": {"by": suspension.by, "reason": suspension.reason} if suspension.by else None,
        "validation": {
            "smtp": _known(sender.smtp_code),
            "imap": _known(sender.imap_code) if sender.imap else None,
            "at": _time(sender.validated_ms),
        },
        "warnings": _warnings(sender),
        "auth_method": sender.smtp.auth_method,
        "oauth": _grant(sender),
        "relay_login": sender.relay.login or None,
        "provisioning": _provisioning(sender),
        "established_at": _time(profile.established_ms or sender.created_ms),
        "created_at": _time(sender.created_ms),
        "revision": sender.revision,
    }


def validated_view(
    sender: Sender, validation: Validation, now: datetime, rules: LimitRules
) -> Json:
    """A sender just after a test of its log-ins."""
    preset = PRESETS[sender.profile.inbox_type]
    return {
        **sender_view(sender, now, rules),
        "validation": validation_view(validation),
        "hint": preset.hint,
        "guide": list(preset.guide),
    }


def _warnings(sender: Sender) -> list[str]:
    imap = sender.imap.security if sender.imap else None
    found = list(warnings(sender.smtp.port, sender.smtp.security, imap))
    end = PRESETS[sender.profile.inbox_type].password_end
    if end and sender.smtp.auth_method == "password":
        found.append(f"{end.on.isoformat()}: {end.what}")
    return found


def validation_view(validation: Validation) -> Json:
    imap = validation.imap
    return {"smtp": _check(validation.smtp), "imap": _check(imap) if imap else None}


def _check(check: Check) -> Json:
    return {
        "ok": check.ok,
        "code": check.code,
        "detail": check.detail,
        "ms": check.ms,
        "steps": dict(check.steps),
    }


def _known(code: str) -> Json:
    return {"ok": not code, "code": code or None}


def _server(protocol: str, server: MailServer | None) -> Json:
    return {
        f"{protocol}_host": server.host if server else None,
        f"{protocol}_port": server.port if server else None,
        f"{protocol}_username": server.username if server else None,
        f"{protocol}_security": server.security.value if server else None,
    }


def _warmup(sender: Sender) -> Json | None:
    if not sender.profile.warmup_mode:
        return None
    plan, tally = sender.warmup, sender.warmup_tally
    return {
        "day": plan.day,
        "volume": plan.volume,
        "course": plan.course.value,
        "latest": {
            "date": tally.day or None,
            "sent": tally.sent,
            "refused": tally.refused,
            "received": tally.received,
            "in_junk": tally.spam,
        },
    }


def _provisioning(sender: Sender) -> Json | None:
    found = sender.provisioning
    return {"state": found.state, "detail": found.detail or None} if found.state else None


def _grant(sender: Sender) -> Json | None:
    grant = sender.grant
    if not grant.provider:
        return None
    return {"provider": grant.provider, "token_until": _time(grant.token_until_ms)}


def _time(milliseconds: int) -> str | None:
    return iso(from_ms(milliseconds)) if milliseconds else None
