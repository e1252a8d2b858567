"""What the mail server reads about addresses, in one of two forms.

`PlainFiles` are docker-mailserver's own: right for some 200 mailboxes. `TableFiles` are finished tables
that Dovecot and Postfix read as they are: right for thousands. Every method is for use inside the
volume's lock, may be run twice, and raises Taken, BrokenFile, OSError or VolumeBusy.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from mail_provisioner import passwords
from mail_provisioner.domain import accounts, aliases, masquerading, tables, user_tables
from mail_provisioner.domain.addresses import Address, Kind
from mail_provisioner.domain.config_lines import Taken
from mail_provisioner.domain.masquerading import Masquerading
from mail_provisioner.volume import ConfigVolume
from postfleet.instants import now_ms

RELOAD_FILE = "postfix-regexp.cf"  # watched by docker-mailserver, and cheap to handle

Targets = tuple[str, ...]
Change = Callable[[str], str]


class MailFiles(Protocol):
    async def write_mailbox(self, address: Address) -> None: ...

    async def write_alias(self, address: Address) -> None: ...

    async def erase(self, address: Address) -> None:
        """Take the address out. One that we never wrote is gone only if it looks as we would have
        written it (a crash may have come between): another belongs to somebody else.
        """

    async def retarget(self, name: str, known_as: Iterable[Targets], targets: Targets) -> None: ...

    async def masquerade(self, domain: str, wanted: Masquerading) -> None:
        """Let each mailbox of the domain send under any name of it, or under its own only."""


class PlainFiles:
    def __init__(self, volume: ConfigVolume) -> None:
        self._volume = volume

    async def write_mailbox(self, address: Address) -> None:
        name, hash_ = address.address, address.password_hash
        known = accounts.with_account(await self._volume.read(accounts.FILE), name, hash_)
        aliases.check_free_for_mailbox(await self._volume.read(aliases.FILE), name)
        everybody = accounts.addresses(known)
        await self._volume.edit(aliases.FILE, lambda text: aliases.with_identities(text, everybody))
        await self._volume.edit(
            accounts.FILE, lambda text: accounts.with_account(text, name, hash_)
        )
        await self._keep_masquerading(address.domain)

    async def write_alias(self, address: Address) -> None:
        mailboxes = accounts.addresses(await self._volume.read(accounts.FILE))
        if address.address in mailboxes:
            raise Taken(f"{accounts.FILE} has a mailbox {address.address}")

        def change(text: str) -> str:
            known = aliases.with_alias(text, address.address, address.targets)
            return aliases.with_identities(known, mailboxes)

        await self._volume.edit(aliases.FILE, change)

    async def erase(self, address: Address) -> None:
        name, written = address.address, address.written_at > 0
        if address.kind is not Kind.MAILBOX:
            targets = () if written else address.targets
            await self._volume.edit(
                aliases.FILE, lambda text: aliases.without_alias(text, name, targets)
            )
            return
        hash_ = "" if written else address.password_hash
        await self._volume.edit(
            accounts.FILE, lambda text: accounts.without_account(text, name, hash_)
        )
        if name not in accounts.addresses(await self._volume.read(accounts.FILE)):
            await self._volume.edit(aliases.FILE, lambda text: aliases.without_identity(text, name))
        await self._keep_masquerading(address.domain)

    async def masquerade(self, domain: str, wanted: Masquerading) -> None:
        known = accounts.addresses(await self._volume.read(accounts.FILE))
        await _masquerade(self._volume, domain, wanted, known)

    async def _keep_masquerading(self, domain: str) -> None:
        if masquerading.allows(await self._volume.read(masquerading.FILE), domain):
            await self.masquerade(domain, Masquerading.ON)

    async def retarget(self, name: str, known_as: Iterable[Targets], targets: Targets) -> None:
        await self._volume.edit(
            aliases.FILE, lambda text: aliases.with_targets(text, name, known_as, targets)
        )


class TableFiles:
    """`system_address`: docker-mailserver ends itself while its own file names no account at all."""

    def __init__(self, volume: ConfigVolume, system_address: str) -> None:
        self._volume, self._system_address = volume, system_address

    async def write_mailbox(self, address: Address) -> None:
        name, hash_ = address.address, address.password_hash
        known = await self._volume.read(user_tables.ALIASES)
        if user_tables.line_of(known, f"{name} ") not in ("", f"{name} {name}"):
            raise Taken(f"{user_tables.ALIASES} has an alias {name}")
        if user_tables.line_of(known, f"@{address.domain} "):
            await self._edit_table(
                user_tables.ALIASES, lambda text: aliases.with_identities(text, [name])
            )
        users = user_tables.USERS
        await self._volume.edit(users, lambda text: user_tables.with_user(text, name, hash_))
        line = user_tables.mailbox_line(name)
        await self._edit_table(
            user_tables.MAILBOXES, lambda text: user_tables.with_entry(text, name, line)
        )
        await self._serve(address.domain)
        await self._keep_masquerading(address.domain)
        await self._reload()

    async def write_alias(self, address: Address) -> None:
        name = address.address
        users = await self._volume.read(user_tables.USERS)
        if user_tables.line_of(users, f"{name}:"):
            raise Taken(f"{user_tables.USERS} has a mailbox {name}")
        members = _users_of(users, name) if address.kind is Kind.CATCH_ALL else []

        def change(text: str) -> str:
            return aliases.with_identities(aliases.with_alias(text, name, address.targets), members)

        await self._edit_table(user_tables.ALIASES, change)
        await self._serve(address.domain)
        await self._reload()

    async def erase(self, address: Address) -> None:
        name, written = address.address, address.written_at > 0
        if address.kind is not Kind.MAILBOX:
            targets = () if written else address.targets
            await self._edit_table(
                user_tables.ALIASES, lambda text: aliases.without_alias(text, name, targets)
            )
        else:
            await self._erase_mailbox(
                name, "" if written else user_tables.user_line(name, address.password_hash)
            )
            await self._keep_masquerading(address.domain)
        await self._reload()

    async def masquerade(self, domain: str, wanted: Masquerading) -> None:
        users = _users_of(await self._volume.read(user_tables.USERS), f"@{domain}")
        await _masquerade(self._volume, domain, wanted, users)

    async def _keep_masquerading(self, domain: str) -> None:
        if masquerading.allows(await self._volume.read(masquerading.FILE), domain):
            await self.masquerade(domain, Masquerading.ON)

    async def retarget(self, name: str, known_as: Iterable[Targets], targets: Targets) -> None:
        await self._edit_table(
            user_tables.ALIASES, lambda text: aliases.with_targets(text, name, known_as, targets)
        )
        await self._reload()

    async def _erase_mailbox(self, name: str, only: str) -> None:
        users = user_tables.USERS
        await self._volume.edit(
            users, lambda text: user_tables.without_line(text, f"{name}:", only)
        )
        if user_tables.line_of(await self._volume.read(users), f"{name}:"):
            return
        for table in (user_tables.MAILBOXES, user_tables.ALIASES):
            only = f"{name} {name}" if table == user_tables.ALIASES else ""
            await self._drop(table, name, only)

    async def _drop(self, table: str, key: str, only: str) -> None:
        await self._edit_table(table, lambda text: user_tables.without_line(text, f"{key} ", only))

    async def _serve(self, domain: str) -> None:
        line = f"{domain} OK"
        await self._edit_table(
            user_tables.DOMAINS, lambda text: user_tables.with_entry(text, domain, line)
        )
        if not any(accounts.accounts(await self._volume.read(accounts.FILE))):
            hash_ = await asyncio.to_thread(passwords.hashed, passwords.new_password())
            await self._volume.edit(
                accounts.FILE,
                lambda text: accounts.with_account(text, self._system_address, hash_),
            )

    async def _edit_table(self, name: str, change: Change) -> None:
        await self._volume.edit(name, change, dated_back=True)

    async def _reload(self) -> None:
        revision = now_ms()
        await self._volume.edit(RELOAD_FILE, lambda text: tables.with_revision(text, revision))


async def _masquerade(
    volume: ConfigVolume, domain: str, wanted: Masquerading, mailboxes: Iterable[str]
) -> None:
    """Write the domain's line, and let Postfix read it."""
    logins = sorted(name for name in mailboxes if name.endswith(f"@{domain}"))

    def change(text: str) -> str:
        if wanted is Masquerading.OFF:
            return masquerading.without(text, domain)
        return masquerading.with_logins(text, domain, logins)

    await volume.edit(masquerading.FILE, change)
    revision = now_ms()
    await volume.edit(RELOAD_FILE, lambda text: tables.with_revision(text, revision))


def _users_of(users: str, catch_all: str) -> list[str]:
    """Every mailbox that a catch-all `@one.test` would swallow."""
    names = (line.partition(":")[0] for line in users.split("\n"))
    return [name for name in names if name.endswith(catch_all)]
