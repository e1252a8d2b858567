"""MongoDB: domains and their DNS, documents in the portable dialect in, domain values out."""

from collections.abc import AsyncIterator, Mapping

from pymongo.errors import DuplicateKeyError

from mail_provisioner.domain.domains import Domain, DomainState, Key, MailUse
from mail_provisioner.domain.masquerading import Masquerading
from mail_provisioner.domain.mta_sts import MtaSts
from mail_provisioner.domain.records import DmarcPolicy
from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Document, all_by_id, ensure_indexes, page_by_id
from postfleet.outbox import update_with_events, with_events


def _domain(document: Document) -> Domain:
    return Domain(
        name=document["_id"],
        state=DomainState(document["state"]),
        token=document["token"],
        dkim_selector=document["dkim_selector"],
        dkim_public_key=document["dkim_public_key"],
        sealed_dkim_key=document["sealed_dkim_key"],
        dmarc_policy=DmarcPolicy(document["dmarc_policy"]),
        dmarc_pct=document.get("dmarc_pct"),
        created_at=document["created_at"],
        verified_at=document["verified_at"],
        mail=MailUse(document.get("mail", MailUse.FULL)),
        mta_sts=MtaSts(document.get("mta_sts", MtaSts.OFF)),
        masquerading=Masquerading(document.get("masquerading", Masquerading.OFF)),
        published=document.get("published") or {},
        checks=document.get("checks") or {},
        checked_at=document.get("checked_at", 0),
        next_key=_key(document, "next"),
        old_key=_key(document, "old"),
    )


def _key(document: Document, which: str) -> Key | None:
    selector = document.get(f"{which}_selector", "")
    if not selector:
        return None
    return Key(
        selector,
        document[f"{which}_public_key"],
        document.get(f"sealed_{which}_key", ""),
        document.get("retired_at", 0) if which == "old" else 0,
    )


def _domain_document(domain: Domain) -> Document:
    fields = {
        "_id": domain.name,
        "state": domain.state.value,
        "token": domain.token,
        "dkim_selector": domain.dkim_selector,
        "dkim_public_key": domain.dkim_public_key,
        "sealed_dkim_key": domain.sealed_dkim_key,
        "dmarc_policy": domain.dmarc_policy.value,
        "created_at": domain.created_at,
        "verified_at": domain.verified_at,
        "mail": domain.mail.value,
        "mta_sts": domain.mta_sts.value,
        "published": dict(domain.published),
        "checks": dict(domain.checks),
        "checked_at": domain.checked_at,
        "key_stale": 0,
    }
    return fields if domain.dmarc_pct is None else {**fields, "dmarc_pct": domain.dmarc_pct}


class DomainStore:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def prepare(self) -> None:
        await ensure_indexes(self._collection, "state", "checked_at", "key_stale")

    async def add(self, domain: Domain, *events: Announcement) -> bool:
        """False if the domain is there already."""
        try:
            await self._collection.insert_one(with_events(_domain_document(domain), events))
        except DuplicateKeyError:
            return False
        return True

    async def get(self, name: str) -> Domain | None:
        document = await self._collection.find_one({"_id": name})
        return _domain(document) if document else None

    async def page(self, after: str, limit: int) -> list[Domain]:
        return [_domain(document) for document in await page_by_id(self._collection, after, limit)]

    async def all(self) -> AsyncIterator[Domain]:
        """Every domain, a page at a time."""
        async for document in all_by_id(self._collection):
            yield _domain(document)

    async def verify(self, name: str, at: int, *events: Announcement) -> bool:
        """False if it was verified before; then nothing is announced again."""
        change = {"$set": {"state": DomainState.VERIFIED.value, "verified_at": at, "key_stale": 1}}
        result = await self._collection.update_one(
            {"_id": name, "state": DomainState.UNVERIFIED.value}, update_with_events(change, events)
        )
        return bool(result.modified_count)

    async def change(
        self,
        name: str,
        *,
        mail: MailUse | None = None,
        mta_sts: MtaSts | None = None,
        masquerading: Masquerading | None = None,
        dmarc: tuple[DmarcPolicy, int | None] | None = None,
    ) -> None:
        """Change what the operator may decide; what is not given stays."""
        changes: Document = {}
        removed: Document = {}
        if mail:
            changes["mail"] = mail.value
        if masquerading:
            changes["masquerading"] = masquerading.value
        if mta_sts:
            changes["mta_sts"] = mta_sts.value
        if dmarc:
            changes["dmarc_policy"] = dmarc[0].value
            if dmarc[1] is None:
                removed["dmarc_pct"] = ""
            else:
                changes["dmarc_pct"] = dmarc[1]
        update = {key: fields for key, fields in (("$set", changes), ("$unset", removed)) if fields}
        if update:
            await self._collection.update_one({"_id": name}, update)

    async def remember_published(self, name: str, published: Mapping[str, str]) -> None:
        """What we put in the DNS, by purpose."""
        changes = {f"published.{purpose}": value for purpose, value in published.items()}
        if changes:
            await self._collection.update_one({"_id": name}, {"$set": changes})

    async def due_for_checks(self, before: int, limit: int) -> list[Domain]:
        """Verified domains that were last looked at before, the longest ago first."""
        query = {"state": DomainState.VERIFIED.value, "checked_at": {"$lt": before}}
        found = self._collection.find(query).sort("checked_at", 1).limit(limit)
        return [_domain(document) async for document in found]

    async def claim_check(self, domain: Domain, at: int) -> bool:
        """Whether we are the one who looks now, and nobody else."""
        result = await self._collection.update_one(
            {"_id": domain.name, "checked_at": domain.checked_at}, {"$set": {"checked_at": at}}
        )
        return bool(result.modified_count)

    async def enter_checks(
        self, name: str, at: int, checks: Mapping[str, str], *events: Announcement
    ) -> None:
        """The outcome of the look that was claimed at `at`, and what it means."""
        await self._collection.update_one(
            {"_id": name, "checked_at": at},
            update_with_events({"$set": {"checks": dict(checks)}}, events),
        )

    # -- DKIM keys -------------------------------------------------------------------------------

    async def stale_keys(self, limit: int = 100) -> list[Domain]:
        """Domains whose key in use the mail server does not have yet."""
        found = self._collection.find({"key_stale": 1}).limit(limit)
        return [_domain(document) async for document in found]

    async def key_written(self, domain: Domain) -> None:
        await self._collection.update_one(
            {"_id": domain.name, "dkim_selector": domain.dkim_selector}, {"$set": {"key_stale": 0}}
        )

    async def signing_selectors(self) -> dict[str, str]:
        """The selector in use of every verified domain."""
        return {
            domain.name: domain.dkim_selector
            async for domain in self.all()
            if domain.state is DomainState.VERIFIED
        }

    async def add_next_key(self, domain: Domain, key: Key) -> bool:
        """False if there is one that waits already."""
        result = await self._collection.update_one(
            {"_id": domain.name, "next_selector": {"$in": [None, ""]}},
            {
                "$set": {
                    "next_selector": key.selector,
                    "next_public_key": key.public,
                    "sealed_next_key": key.sealed,
                }
            },
        )
        return bool(result.modified_count)

    async def use_next_key(self, domain: Domain, key: Key, at: int) -> bool:
        """Sign with the new key from now on, and keep the old one's record."""
        result = await self._collection.update_one(
            {"_id": domain.name, "next_selector": key.selector},
            {
                "$set": {
                    "dkim_selector": key.selector,
                    "dkim_public_key": key.public,
                    "sealed_dkim_key": key.sealed,
                    "old_selector": domain.dkim_selector,
                    "old_public_key": domain.dkim_public_key,
                    "retired_at": at,
                    "next_selector": "",
                    "next_public_key": "",
                    "sealed_next_key": "",
                    "key_stale": 1,
                    "published.dkim": domain.published.get("dkim-next", ""),
                    "published.dkim-old": domain.published.get("dkim", ""),
                    "published.dkim-next": "",
                }
            },
        )
        return bool(result.modified_count)
