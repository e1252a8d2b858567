"""A sender as a MongoDB document and back: flat, with maps and numbers only (the portable dialect)."""

from postfleet.addresses import canonical, domain_of
from postfleet.events.senders import MailServer
from postfleet.mongo import Document
from sender_registry.domain.cooldown import Streak
from sender_registry.domain.oauth import Grant
from sender_registry.domain.presets import InboxType
from sender_registry.domain.relay import RelayLogin
from sender_registry.domain.sender import (
    Counts,
    Profile,
    Provisioning,
    Sender,
    Suspension,
    WarmupTally,
)
from sender_registry.domain.warmup import Course, Warmup


def address_key(address: str) -> str:
    """What is unique among living senders: two spellings of one address are the same sender."""
    return f"address:{canonical(address)}"


def to_document(sender: Sender) -> Document:
    profile = sender.profile
    return {
        "revision": sender.revision,
        "alive": 0 if sender.deleted_ms else 1,
        "list_key": "" if sender.deleted_ms else sender.id,  # "" comes after no id: never listed
        # A tombstone frees its address: the unique key then is its own id.
        "address_key": f"deleted:{sender.id}"
        if sender.deleted_ms
        else address_key(profile.email_address),
        "email_address": profile.email_address,
        "display_name": profile.display_name,
        "name": profile.name,
        "description": profile.description,
        "tags": list(profile.tags),
        "kind": profile.kind,
        "inbox_type": profile.inbox_type.value,
        "daily_limit": profile.daily_limit,
        "monthly_limit": profile.monthly_limit,
        "warmup_mode": int(profile.warmup_mode),
        "access_methods": list(profile.access_methods),
        "smtp_authentication": profile.smtp_authentication,
        "allowed_ips": list(profile.allowed_ips),
        "bcc": profile.bcc,
        "archive": profile.archive,
        "established_at": profile.established_ms,
        "smtp": sender.smtp.model_dump(mode="json"),
        "imap": sender.imap.model_dump(mode="json") if sender.imap else None,
        "created_at": sender.created_ms,
        "validated_at": sender.validated_ms,
        "secrets_at": sender.secrets_ms,
        "smtp_code": sender.smtp_code,
        "imap_code": sender.imap_code,
        "health": sender.health,
        "health_cause": sender.health_cause,
        "error_streak": sender.streak.errors,
        "cooldown_until": sender.streak.until_ms,
        "suspended_by": sender.suspension.by,
        "suspended_reason": sender.suspension.reason,
        "sent_day": sender.counts.day,
        "sent_today": sender.counts.today,
        "sent_month": sender.counts.month,
        "sent_this_month": sender.counts.this_month,
        "told_limit": sender.told_limit,
        "limit_until": sender.limit_until_ms,
        "deleted_at": sender.deleted_ms,
        "grant_provider": sender.grant.provider,
        "grant_until": sender.grant.until_ms,
        "token_until": sender.grant.token_until_ms,
        "token_refresh_at": 0 if sender.deleted_ms else sender.grant.refresh_at_ms,
        "smtp_certificate_until": sender.smtp_certificate_ms,
        "imap_certificate_until": sender.imap_certificate_ms,
        "warned": list(sender.warned),
        "warmup_day": sender.warmup.day,
        "warmup_volume": sender.warmup.volume,
        "warmup_course": sender.warmup.course.value,
        "warmup_on": sender.warmup.on,
        "warmup_tally_day": sender.warmup_tally.day,
        "warmup_sent": sender.warmup_tally.sent,
        "warmup_refused": sender.warmup_tally.refused,
        "warmup_received": sender.warmup_tally.received,
        "warmup_spam": sender.warmup_tally.spam,
        "domain": domain_of(profile.email_address),
        "relay_login": sender.relay.login,
        "relay_hash": "" if sender.deleted_ms else sender.relay.hash,
        "provisioning": "" if sender.deleted_ms else sender.provisioning.state,
        "provisioning_detail": sender.provisioning.detail,
    }


def _profile(document: Document) -> Profile:
    return Profile(
        email_address=document["email_address"],
        display_name=document["display_name"],
        name=document["name"],
        description=document["description"],
        tags=tuple(document["tags"]),
        kind=document["kind"],
        inbox_type=InboxType(document["inbox_type"]),
        daily_limit=document["daily_limit"],
        monthly_limit=document["monthly_limit"],
        warmup_mode=bool(document["warmup_mode"]),
        access_methods=tuple(document["access_methods"]),
        smtp_authentication=document["smtp_authentication"],
        allowed_ips=tuple(document["allowed_ips"]),
        bcc=document["bcc"],
        archive=document["archive"],
        established_ms=document["established_at"],
    )


def to_sender(document: Document) -> Sender:
    imap = document["imap"]
    return Sender(
        id=document["_id"],
        revision=document["revision"],
        profile=_profile(document),
        smtp=MailServer.model_validate(document["smtp"]),
        imap=MailServer.model_validate(imap) if imap else None,
        created_ms=document["created_at"],
        validated_ms=document["validated_at"],
        secrets_ms=document["secrets_at"],
        smtp_code=document["smtp_code"],
        imap_code=document["imap_code"],
        health=document["health"],
        health_cause=document.get("health_cause", ""),
        streak=Streak(document["error_streak"], document["cooldown_until"]),
        suspension=Suspension(document["suspended_by"], document["suspended_reason"]),
        counts=Counts(
            document["sent_day"],
            document["sent_today"],
            document["sent_month"],
            document["sent_this_month"],
        ),
        told_limit=document["told_limit"],
        limit_until_ms=document["limit_until"],
        deleted_ms=document["deleted_at"],
        grant=_grant(document),
        smtp_certificate_ms=document.get("smtp_certificate_until", 0),
        imap_certificate_ms=document.get("imap_certificate_until", 0),
        warned=tuple(document.get("warned", ())),
        relay=RelayLogin(document.get("relay_login", ""), document.get("relay_hash", "")),
        warmup=Warmup(
            document.get("warmup_day", 0),
            document.get("warmup_volume", 0),
            Course(document.get("warmup_course", "growing")),
            document.get("warmup_on", ""),
        ),
        warmup_tally=WarmupTally(
            document.get("warmup_tally_day", ""),
            document.get("warmup_sent", 0),
            document.get("warmup_refused", 0),
            document.get("warmup_received", 0),
            document.get("warmup_spam", 0),
        ),
        provisioning=Provisioning(
            document.get("provisioning", ""), document.get("provisioning_detail", "")
        ),
    )


def _grant(document: Document) -> Grant:
    return Grant(
        document.get("grant_provider", ""),
        document.get("token_until", 0),
        document.get("grant_until", 0),
        document.get("token_refresh_at", 0),
    )
