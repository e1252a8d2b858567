"""Brings the mail server's files to what the database wants, one address and one step at a time.

Each step looks at the state again inside the volume's lock, writes the files, then the state. A
crash in between leaves the step to be run again, which changes nothing that is already right.
"""

import asyncio
import contextlib
import logging

from pymongo.errors import PyMongoError

from mail_provisioner.announcements import created, deleted, failed
from mail_provisioner.domain.addresses import Address, Kind, State, retry_delay_ms
from mail_provisioner.domain.config_lines import BrokenFile, Taken
from mail_provisioner.login import LoginRefused, MailServerUnreachable, TryLogin
from mail_provisioner.mail_files import MailFiles
from mail_provisioner.passwords import open_password
from mail_provisioner.store import AddressStore
from mail_provisioner.volume import ConfigVolume, VolumeBusy
from postfleet.instants import now_ms
from postfleet.outbox import OutboxRelay
from postfleet.secrets import CannotOpen, KeyRing
from postfleet.tasks import end

log = logging.getLogger(__name__)

STEP_LEASE_MS = 5_000  # then another may run the step too: harmless, the volume's lock decides
_LOOK_EVERY = 1.0  # seconds
_FORGET_EVERY_MS = 60_000
_SECRET_KEPT_MS = 3600 * 1000  # after it was fetched: an answer may get lost


class Provisioner:
    """`trial` tries a log-in, or is None where no mail server is named."""

    def __init__(
        self,
        store: AddressStore,
        relay: OutboxRelay,
        volume: ConfigVolume,
        files: MailFiles,
        ring: KeyRing,
        trial: TryLogin | None,
        login_delay_ms: int,
    ) -> None:
        self._store, self._relay, self._volume = store, relay, volume
        self._files = files
        self._ring, self._trial, self._login_delay_ms = ring, trial, login_delay_ms
        self._steps: dict[str, asyncio.Task[None]] = {}  # the newest of each address
        self._forgot_at = 0
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    # -- life cycle ------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="provisioner")

    async def stop(self) -> None:
        """End after the steps that run: a file is never left without its state."""
        await end(self._task)
        if self._steps:
            await asyncio.wait(self._steps.values())

    async def advance_soon(self, address: str, within: float) -> None:
        """Run the next step, and wait for it at most `within` seconds; it goes on after that."""
        step = asyncio.create_task(
            self._step_after(self._steps.get(address), address), name=f"step {address}"
        )
        self._steps[address] = step
        step.add_done_callback(lambda done: self._forget_step(address, done))
        done, _ = await asyncio.wait({step}, timeout=within)
        for finished in done:
            finished.result()

    def _forget_step(self, address: str, step: asyncio.Task[None]) -> None:
        if self._steps.get(address) is step:
            del self._steps[address]

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._due.wait()
            self._due.clear()
            try:
                due = await self._look()
            except PyMongoError as error:
                log.warning("provisioning is tried again soon: %s", error)
                continue
            for address in due:
                if address not in self._steps:
                    await self._advance_due(address)

    async def _look(self) -> list[str]:
        moment = now_ms()
        if moment - self._forgot_at > _FORGET_EVERY_MS:
            await self._store.forget_fetched(moment - _SECRET_KEPT_MS)
            self._forgot_at = moment
        return await self._store.claim_due(moment, moment + STEP_LEASE_MS)

    async def _advance_due(self, address: str) -> None:
        try:
            await self.advance_soon(address, within=STEP_LEASE_MS / 1000)
        except Exception:  # one address must not keep the others waiting; its lease brings it back
            log.exception("a step failed; it is run again in %d s", STEP_LEASE_MS // 1000)

    # -- steps -----------------------------------------------------------------------------------

    async def _step_after(self, previous: asyncio.Task[None] | None, address: str) -> None:
        if previous:
            await asyncio.wait({previous})
        await self._step(address)

    async def _step(self, address: str) -> None:
        known = await self._store.get(address)
        match known:
            case Address(state=State.REQUESTED | State.DELETING):
                await self._attempt(known)
            case Address(state=State.WRITTEN, kind=Kind.MAILBOX):
                await self._try_login(known)
        self._relay.wake()

    async def _attempt(self, address: Address) -> None:
        """Write the files, or say why not: for good, or for now."""
        try:
            async with self._volume.locked():
                current = await self._store.get(address.address)
                if current is None or not current.same_step(address):
                    return
                if current.state is State.REQUESTED:
                    await self._write(current)
                else:
                    await self._remove(current)
        except Taken as error:
            await self._fail(address, "ADDRESS_IN_USE", str(error))
        except BrokenFile as error:
            await self._hold_up(address, "CONFIG_FILE_BROKEN", str(error), at_once=True)
        except (OSError, VolumeBusy) as error:
            await self._hold_up(address, "CONFIG_NOT_WRITABLE", str(error))

    async def _write(self, address: Address) -> None:
        if address.kind is Kind.MAILBOX:
            await self._files.write_mailbox(address)
        else:
            await self._files.write_alias(address)
        probed = address.kind is Kind.MAILBOX and self._trial is not None
        next_at = now_ms() + self._login_delay_ms if probed else 0
        events = () if probed else (created(address),)
        await self._store.enter(address, State.WRITTEN, *events, next_at=next_at)
        if probed:
            asyncio.get_running_loop().call_later(
                self._login_delay_ms / 1000 + 0.002, self._due.set
            )

    async def _remove(self, address: Address) -> None:
        await self._files.erase(address)
        await self._store.enter(address, State.DELETED, deleted(address))

    async def _try_login(self, address: Address) -> None:
        if self._trial is None:  # a mail server was named when it was written, but is no more
            await self._store.announce(address, created(address))
            return
        try:
            await self._trial(address.address, open_password(self._ring, address))
        except CannotOpen as error:
            await self._hold_up(address, "SECRET_UNREADABLE", str(error), at_once=True)
        except LoginRefused as error:
            await self._hold_up(address, "LOGIN_REFUSED", str(error))
        except MailServerUnreachable as error:
            await self._hold_up(address, "MAIL_SERVER_UNREACHABLE", str(error))
        else:
            await self._store.enter(address, State.LIVE, created(address))

    # -- when a step does not succeed ------------------------------------------------------------

    async def _hold_up(
        self, address: Address, code: str, reason: str, *, at_once: bool = False
    ) -> None:
        """Try again later; give up a creation after its time (or at once), never a deletion."""
        log.warning("%s held up: %s", address.kind, code)
        moment = now_ms()
        given_up = at_once or moment >= address.give_up_at
        if given_up and address.state is not State.DELETING:
            await self._fail(address, code, reason)
            return
        delay = retry_delay_ms(address.attempts)
        await self._store.postpone(address, moment + delay, (code, reason))

    async def _fail(self, address: Address, code: str, reason: str) -> None:
        try:
            async with self._volume.locked():
                current = await self._store.get(address.address)
                if current is None or not current.same_step(address):
                    return
                await self._files.erase(current)
        except (BrokenFile, OSError, VolumeBusy) as error:
            log.warning("%s could not be cleaned up: %s", address.kind, error)
        events = (failed(address, code, reason),) if address.kind is Kind.MAILBOX else ()
        await self._store.enter(address, State.FAILED, *events, error=(code, reason))
