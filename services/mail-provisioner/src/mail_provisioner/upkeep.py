"""Brings relays and blocks into the mail server's files, and tries again what did not succeed.

Writing an entry twice, or removing what is gone, changes nothing: a crash at any point is healed by
the next round.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from pymongo.errors import PyMongoError

from mail_provisioner.domain import tables
from mail_provisioner.domain.blocks import Block
from mail_provisioner.domain.config_lines import BrokenFile, Taken
from mail_provisioner.domain.relays import MAP_FILE, PASSWORD_FILE, EntryState, Relay
from mail_provisioner.entry_stores import EntryStore
from mail_provisioner.mail_files import RELOAD_FILE
from mail_provisioner.passwords import open_relay_password
from mail_provisioner.volume import ConfigVolume, VolumeBusy
from postfleet.instants import now_ms
from postfleet.secrets import KeyRing
from postfleet.tasks import end

log = logging.getLogger(__name__)

_EVERY = 5.0  # seconds


class Upkeep:
    def __init__(
        self,
        relays: EntryStore[Relay],
        blocks: EntryStore[Block],
        volume: ConfigVolume,
        ring: KeyRing,
    ) -> None:
        self._relays, self._blocks = relays, blocks
        self._volume, self._ring = volume, ring
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="upkeep")

    async def stop(self) -> None:
        await end(self._task)

    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(PyMongoError):  # the readiness check says it; try again
                for relay in await self._relays.pending():
                    await self.advance_relay(relay)
                for block in await self._blocks.pending():
                    await self.advance_block(block)
            await asyncio.sleep(_EVERY)

    async def advance_relay(self, relay: Relay) -> None:
        """Write or remove it; the reason is kept where that does not succeed."""

        async def write() -> None:
            if relay.username:
                password = open_relay_password(self._ring, relay)
                await self._put(PASSWORD_FILE, relay.key, f"{relay.username}:{password}")
            await self._put(MAP_FILE, relay.key, relay.map_value)

        async def remove() -> None:
            await self._drop(MAP_FILE, relay.key, relay.map_value)
            if relay.username:
                password = open_relay_password(self._ring, relay)
                await self._drop(PASSWORD_FILE, relay.key, f"{relay.username}:{password}")

        await self._advance(self._relays, relay.domain, relay.state, write, remove)

    async def advance_block(self, block: Block) -> None:
        """Write or remove it, and let Postfix read its tables again."""

        async def write() -> None:
            await self._put(block.file, block.entry, block.value)
            await self._reload()

        async def remove() -> None:
            await self._drop(block.file, block.entry, block.value)
            await self._reload()

        await self._advance(self._blocks, block.entry, block.state, write, remove)

    async def _advance(
        self,
        store: EntryStore[Relay] | EntryStore[Block],
        name: str,
        state: EntryState,
        write: Callable[[], Awaitable[None]],
        remove: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            async with self._volume.locked():
                current = await store.get(name)
                if current is None or current.state is not state:
                    return  # somebody else was faster
                await (write() if state is EntryState.WRITING else remove())
                if state is EntryState.WRITING:
                    await store.enter(name, EntryState.WRITTEN)
                else:
                    await store.forget(name)
        except Taken as error:
            await store.hold_up(name, "CHANGED_BY_HAND", str(error))
        except BrokenFile as error:
            await store.hold_up(name, "CONFIG_FILE_BROKEN", str(error))
        except (OSError, VolumeBusy) as error:
            log.warning("an entry waits for the mail server's files: %s", error)
            await store.hold_up(name, "CONFIG_NOT_WRITABLE", str(error))

    async def _put(self, file: str, key: str, value: str) -> None:
        await self._volume.edit(file, lambda text: tables.with_entry(file, text, key, value))

    async def _drop(self, file: str, key: str, value: str) -> None:
        await self._volume.edit(file, lambda text: tables.without_entry(file, text, key, (value,)))

    async def _reload(self) -> None:
        revision = now_ms()
        await self._volume.edit(RELOAD_FILE, lambda text: tables.with_revision(text, revision))
