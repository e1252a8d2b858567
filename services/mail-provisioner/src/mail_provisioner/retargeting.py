"""Other targets for an alias, a group or a catch-all: one line replaced where it stands.

The database knows what is about to be written, so that a line written just before a crash is still
known as ours. A rerun ends the same.
"""

from mail_provisioner.announcements import retargeted
from mail_provisioner.domain.addresses import Address, State
from mail_provisioner.domain.config_lines import BrokenFile, Taken
from mail_provisioner.mail_files import MailFiles
from mail_provisioner.store import AddressStore
from mail_provisioner.volume import ConfigVolume, VolumeBusy
from postfleet.outbox import OutboxRelay
from postfleet.problems import Problem


class Retargeting:
    def __init__(
        self, store: AddressStore, relay: OutboxRelay, volume: ConfigVolume, files: MailFiles
    ) -> None:
        self._store, self._relay, self._volume = store, relay, volume
        self._files = files

    async def change(self, address: Address, targets: tuple[str, ...]) -> Address:
        """The address with its new targets, written and announced. Raises Problem."""
        try:
            async with self._volume.locked():
                current = await self._store.get(address.address) or address
                if current.state is not State.WRITTEN:
                    raise Problem(409, "NOT_WRITTEN", f"{address.address} is {current.state}")
                if current.targets != targets:
                    await self._write(current, targets)
        except Taken as error:
            raise Problem(409, "CHANGED_BY_HAND", str(error)) from error
        except BrokenFile as error:
            raise Problem(409, "CONFIG_FILE_BROKEN", str(error)) from error
        except (OSError, VolumeBusy) as error:
            raise Problem(503, "CONFIG_NOT_WRITABLE", f"nothing was changed: {error}") from error
        self._relay.wake()
        return await self._store.get(address.address) or address

    async def _write(self, current: Address, targets: tuple[str, ...]) -> None:
        name, known_as = current.address, (current.targets, current.intended)
        if not await self._store.intend(current, targets):
            raise Problem(409, "CHANGED_MEANWHILE", f"{name} was changed by somebody else")
        await self._files.retarget(name, known_as, targets)
        await self._store.retarget(current, targets, retargeted(current, targets))
