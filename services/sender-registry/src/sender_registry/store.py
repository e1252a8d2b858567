"""The senders in MongoDB: one document each, with its sealed secrets and its outbox.

Every write is guarded by the revision it was decided on. Flat, with maps and numbers only: the
portable dialect.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from postfleet.addresses import canonical, domain_of
from postfleet.events import MailServer
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events
from sender_registry.domain.announcing import Change
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

#: protocol -> sealed password
Secrets = Mapping[str, str]


class AddressTaken(Exception):
    """A living sender has this address."""


class SenderStore:
    """The collection `senders`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(
            self._collection,
            "alive",
            "cooldown_until",
            "token_refresh_at",
            "domain",
            "relay_login",
            "provisioning",
            "warmup_mode",
            unique=("address_key",),
        )

    async def insert(self, change: Change, secrets: Secrets) -> None:
        """Store a new sender with its events. Raises AddressTaken."""
        sender = change.after
        document = {"_id": sender.id, **_document(sender), "secrets": dict(secrets)}
        try:
            await self._collection.insert_one(with_events(document, change.announcements))
        except DuplicateKeyError as error:
            raise AddressTaken(sender.profile.email_address) from error

    async def save(
        self,
        change: Change,
        *,
        secrets: Secrets | None = None,
        unsettled: Iterable[str] | None = None,
    ) -> bool:
        """Write if the sender is still at the revision that was read; False if it is not.

        `secrets` replaces all of them (an empty one wipes them); None leaves them.
        """
        if change.before is None:
            raise ValueError("a new sender is inserted")
        old, new = _document(change.before), _document(change.after)
        changes: dict[str, Any] = {key: new[key] for key in new if new[key] != old[key]}
        if secrets is not None:
            changes["secrets"] = dict(secrets)
        if unsettled is not None:
            changes["unsettled"] = list(unsettled)
        result = await self._collection.update_one(
            {"_id": change.before.id, "revision": change.before.revision},
            update_with_events({"$set": changes}, change.announcements),
        )
        return bool(result.matched_count)

    async def get(self, sender_id: str) -> Sender | None:
        """The living sender with this id."""
        document = await self._collection.find_one({"_id": sender_id, "alive": 1})
        return _sender(document) if document else None

    async def was_here(self, sender_id: str) -> bool:
        """Whether a sender had this id, living or deleted."""
        return await self._collection.find_one({"_id": sender_id}) is not None

    async def by_address(self, address: str) -> Sender | None:
        """The living sender with this address."""
        document = await self._collection.find_one({"address_key": address_key(address)})
        return _sender(document) if document else None

    async def secrets(self, sender_id: str) -> dict[str, str]:
        """Protocol -> sealed password."""
        document = await self._collection.find_one({"_id": sender_id, "alive": 1})
        return dict(document["secrets"]) if document else {}

    async def with_secrets(self, sender_id: str) -> tuple[Sender, dict[str, str]] | None:
        """The living sender and its sealed secrets, as of one moment."""
        document = await self._collection.find_one({"_id": sender_id, "alive": 1})
        return (_sender(document), dict(document["secrets"])) if document else None

    async def replace_secrets(self, sender_id: str, revision: int, secrets: Secrets) -> bool:
        """The same secrets, sealed again: no change of the sender, so no new revision."""
        result = await self._collection.update_one(
            {"_id": sender_id, "revision": revision, "alive": 1},
            {"$set": {"secrets": dict(secrets)}},
        )
        return bool(result.matched_count)

    async def with_unsettled(self, sender_id: str) -> tuple[Sender, list[str]] | None:
        """The living sender, and the keys of what its last counting write applied."""
        document = await self._collection.find_one({"_id": sender_id, "alive": 1})
        if document is None:
            return None
        return _sender(document), list(document.get("unsettled") or [])

    async def after(self, sender_id: str, limit: int) -> list[Sender]:
        """Up to `limit` living senders whose id follows, in the order of ids."""
        query = {"alive": 1, "_id": {"$gt": sender_id}}
        cursor = self._collection.find(query).sort("_id", 1).limit(limit)
        return [_sender(document) async for document in cursor]

    async def cooled_down(self, limit: int) -> list[Sender]:
        """Up to `limit` senders whose pause is over and not yet said to be."""
        query = {"cooldown_until": {"$gt": 0, "$lte": now_ms()}}
        return [_sender(document) async for document in self._collection.find(query).limit(limit)]

    async def tokens_due(self, limit: int) -> list[Sender]:
        """Up to `limit` senders whose access token is to be refreshed now."""
        query = {"token_refresh_at": {"$gt": 0, "$lte": now_ms()}}
        return [_sender(document) async for document in self._collection.find(query).limit(limit)]

    async def by_relay_login(self, login: str, hashed: str) -> Sender | None:
        """The living sender that was issued this log-in with a password of this hash."""
        if not login or not hashed:
            return None
        query = {"relay_login": login, "relay_hash": hashed, "alive": 1}
        document = await self._collection.find_one(query)
        return _sender(document) if document else None

    async def of_domain(self, domain: str, page: int) -> AsyncIterator[Sender]:
        """Every living sender of the domain, `page` at a time."""
        last = ""
        while True:
            query = {"domain": domain, "alive": 1, "_id": {"$gt": last}}
            cursor = self._collection.find(query).sort("_id", 1).limit(page)
            found = [_sender(document) async for document in cursor]
            for sender in found:
                yield sender
            if len(found) < page:
                return
            last = found[-1].id

    async def warming(self, limit: int) -> list[Sender]:
        """Up to `limit` living senders in warm-up mode, in the order of ids."""
        query = {"warmup_mode": 1, "alive": 1}
        cursor = self._collection.find(query).sort("_id", 1).limit(limit)
        return [_sender(document) async for document in cursor]

    async def being_provisioned(self, limit: int) -> list[Sender]:
        """Up to `limit` internal senders whose mailbox is not ready yet."""
        query = {"provisioning": {"$in": ["requested", "mailbox_created"]}}
        return [_sender(document) async for document in self._collection.find(query).limit(limit)]


def address_key(address: str) -> str:
    """What is unique among living senders: two spellings of one address are the same sender."""
    return f"address:{canonical(address)}"


def _document(sender: Sender) -> Document:
    profile = sender.profile
    return {
        "revision": sender.revision,
        "alive": 0 if sender.deleted_ms else 1,
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


def _sender(document: Document) -> Sender:
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
