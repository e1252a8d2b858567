"""MongoDB: accounts at DNS providers, their credentials sealed; and which of them holds a domain."""

from collections.abc import AsyncIterator

import orjson
from pymongo.errors import DuplicateKeyError

from mail_provisioner.dns import DnsUnavailable
from mail_provisioner.dns_apis import Account
from mail_provisioner.dns_providers import ProviderMissing, ProviderZones
from mail_provisioner.dns_update import DynamicUpdates, ZoneRefused
from mail_provisioner.settings import SERVICE
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, all_by_id, page_by_id
from postfleet.secrets import CannotOpen, KeyRing

_MAX_ACCOUNTS = 100  # read, and kept open, at once
_FIELD = "dns credentials"

Writer = DynamicUpdates | ProviderZones


class DnsAccounts:
    """`urls`: provider -> where its API is, if not at its own place."""

    def __init__(self, collection: Collection, ring: KeyRing, urls: dict[str, str]) -> None:
        self._collection, self._ring, self._urls = collection, ring, urls
        self._zones: dict[str, ProviderZones] = {}  # by name and sealed text: others are stale

    async def add(self, name: str, provider: str, credentials: dict[str, str]) -> bool:
        """False if there is one of that name."""
        sealed = self._ring.seal(
            orjson.dumps(credentials).decode(), service=SERVICE, record=name, name=_FIELD
        )
        document = {"_id": name, "provider": provider, "sealed": sealed, "created_at": now_ms()}
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def page(self, after: str, limit: int) -> list[Document]:
        """Up to `limit` of those that follow `after`, in the order of their names."""
        return await page_by_id(self._collection, after, limit)

    def all(self) -> AsyncIterator[Document]:
        return all_by_id(self._collection, _MAX_ACCOUNTS)

    async def get(self, name: str) -> Document | None:
        document: Document | None = await self._collection.find_one({"_id": name})
        return document

    async def remove(self, name: str) -> None:
        await self._collection.delete_one({"_id": name})

    def zones(self, document: Document) -> ProviderZones:
        """Raises CannotOpen."""
        name, sealed = document["_id"], document["sealed"]
        key = f"{name} {sealed}"
        if key not in self._zones:
            if len(self._zones) > _MAX_ACCOUNTS:
                self._zones.clear()
            opened = self._ring.open(sealed, service=SERVICE, record=name, name=_FIELD)
            self._zones[key] = self.reached(name, document["provider"], orjson.loads(opened))
        return self._zones[key]

    def reached(self, name: str, provider: str, credentials: dict[str, str]) -> ProviderZones:
        """An account that need not be stored."""
        return ProviderZones(Account(name, provider, credentials, self._urls.get(provider, "")))


class DnsWriters:
    """Who can change a domain's records: an account that has its zone, else our name server."""

    def __init__(self, accounts: DnsAccounts, updates: DynamicUpdates | None) -> None:
        self._accounts, self._updates = accounts, updates

    async def of(self, domain: str) -> Writer | None:
        """None if the records are published by hand.

        Raises DnsUnavailable or ZoneRefused if the account that could tell does not answer.
        """
        failed: Exception | None = None
        async for document in self._accounts.all():
            try:
                zones = self._accounts.zones(document)
                if await zones.holds(domain):
                    return zones
            except (DnsUnavailable, ZoneRefused) as error:
                failed = error
            except (CannotOpen, ProviderMissing) as error:
                failed = ZoneRefused(f"the account {document['_id']!r}: {error}")
        if failed and self._updates is None:
            raise failed
        return self._updates
