"""Gives the mail server the DKIM keys of verified domains, and takes new keys into use."""

import asyncio
import logging

from pymongo.errors import PyMongoError

from mail_provisioner.domain import dkim_config
from mail_provisioner.domain.config_lines import Taken
from mail_provisioner.domain.domains import Domain
from mail_provisioner.domain_store import DomainStore
from mail_provisioner.settings import SERVICE
from mail_provisioner.volume import ConfigVolume, VolumeBusy
from postfleet.secrets import CannotOpen, KeyRing
from postfleet.tasks import end

log = logging.getLogger(__name__)

_EVERY = 2.0  # seconds


def seal_key(ring: KeyRing, domain: str, selector: str, pem: str) -> str:
    return ring.seal(pem, service=SERVICE, record=domain, name=f"dkim {selector}")


def open_key(ring: KeyRing, domain: Domain) -> str:
    """The private key in use, as PEM. Raises CannotOpen."""
    name = f"dkim {domain.dkim_selector}"
    return ring.open(domain.sealed_dkim_key, service=SERVICE, record=domain.name, name=name)


class Signing:
    def __init__(self, store: DomainStore, volume: ConfigVolume, ring: KeyRing) -> None:
        self._store, self._volume, self._ring = store, volume, ring
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="signing")

    async def stop(self) -> None:
        await end(self._task)

    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        while True:
            try:
                await self.write_soon()
            except PyMongoError:
                log.warning("DKIM keys wait for the database")
            await asyncio.sleep(_EVERY)

    async def write_soon(self) -> None:
        """Write what is stale; what cannot be written now is tried again every few seconds."""
        try:
            await self.write_stale()
        except (OSError, VolumeBusy, Taken, CannotOpen) as error:
            log.warning("DKIM keys wait for the mail server's files: %s", error)

    async def write_stale(self) -> int:
        """Write the keys that the mail server does not have yet; returns how many.

        The key first, then the configuration that names it. A rerun changes nothing.
        """
        if not await self._store.stale_keys(1):
            return 0
        async with self._volume.locked():
            stale = await self._store.stale_keys()
            for domain in stale:
                await self._write_key(domain)
            selectors = await self._store.signing_selectors()
            await self._volume.edit(
                dkim_config.FILE, lambda text: dkim_config.replaced(text, selectors)
            )
            for domain in stale:
                await self._store.key_written(domain)
        return len(stale)

    async def _write_key(self, domain: Domain) -> None:
        pem = open_key(self._ring, domain)
        file = dkim_config.key_file(domain.name, domain.dkim_selector)
        await self._volume.edit(file, lambda _: pem)
        await self._volume.let_owner_of_directory_read(file)
