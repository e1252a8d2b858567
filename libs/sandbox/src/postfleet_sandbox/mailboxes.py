"""Mailboxes that IMAP shows: pymap's in-memory ones, each with a journal that outlives us.

A journal is a file of JSON lines: a head with UIDVALIDITY, then what was added, flagged, removed.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

from pymap.backend.dict.mailbox import (
    MailboxData,
    Message,
    _ContentCache,
    _ThreadCache,
)
from pymap.backend.mailbox import MailboxSetInterface
from pymap.concurrent import Event
from pymap.flags import FlagOp
from pymap.interfaces.message import CachedMessage
from pymap.listtree import ListTree
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement, Flag, ObjectId
from pymap.selected import SelectedMailbox

SPECIAL_USE = {"Sent": b"Sent", "Drafts": b"Drafts", "Junk": b"Junk", "Trash": b"Trash"}
DELIMITER = "/"


class JournaledMailbox(MailboxData):
    """One folder of one account."""

    _path: Path
    _keys: set[str]  # of deliveries, so that one resumed after a kill does not add a second mail

    @classmethod
    async def load(cls, path: Path) -> Self:
        """Open the folder whose journal is `path`; make it if there is none."""
        mailbox = cls(_ContentCache(), _ThreadCache())
        mailbox._path = path
        mailbox._keys = set()
        mailbox._max_uid = 0
        await mailbox._replay()
        return mailbox

    async def update_selected(
        self, selected: SelectedMailbox, *, wait_on: Event | None = None
    ) -> SelectedMailbox:
        """pymap's IDLE waits first: what came since the folder was opened is told at once instead."""
        told = selected.mod_sequence
        behind = told is not None and told < self._mod_sequences.highest
        return await super().update_selected(selected, wait_on=None if behind else wait_on)

    async def deliver(self, content: bytes, key: str) -> None:
        """Add a new mail, unless one was delivered under the same key before."""
        if key not in self._keys:
            message = await super().append(AppendMessage(content, datetime.now(UTC)), recent=True)
            await self._journal_message(message, key)

    async def append(self, append_msg: AppendMessage, *, recent: bool = False) -> Message:
        """APPEND."""
        message = await super().append(append_msg, recent=recent)
        await self._journal_message(message)
        return message

    async def copy(self, uid: int, destination: MailboxData, *, recent: bool = False) -> int | None:
        """COPY."""
        copied = await super().copy(uid, destination, recent=recent)
        await self._journal_arrival(copied, destination)
        return copied

    async def move(self, uid: int, destination: MailboxData, *, recent: bool = False) -> int | None:
        """MOVE."""
        moved = await super().move(uid, destination, recent=recent)
        if moved is not None:
            await self._journal_arrival(moved, destination)
            self._journal({"remove": [uid]})
        return moved

    async def update(
        self, uid: int, cached_msg: CachedMessage, flag_set: frozenset[Flag], mode: FlagOp
    ) -> Message:
        """STORE."""
        message = await super().update(uid, cached_msg, flag_set, mode)
        self._journal({"flag": uid, "flags": _flag_names(message.permanent_flags)})
        return message

    async def delete(self, uids: Iterable[int]) -> None:
        """EXPUNGE."""
        removed = list(uids)
        await super().delete(removed)
        self._journal({"remove": removed})

    def discard(self) -> None:
        """Remove the journal: the folder is deleted."""
        self._path.unlink(missing_ok=True)

    def rename(self, path: Path) -> None:
        """Move the journal."""
        self._path.rename(path)
        self._path = path

    async def _journal_arrival(self, uid: int | None, destination: MailboxData) -> None:
        if uid is not None and isinstance(destination, JournaledMailbox):
            await destination._journal_message(destination._messages[uid])

    async def _journal_message(self, message: Message, key: str = "") -> None:
        if key:
            self._keys.add(key)
        loaded = await message.load_content(FetchRequirement.CONTENT)
        self._journal(
            {
                "add": message.uid,
                "at": message.internal_date.timestamp(),
                "flags": _flag_names(message.permanent_flags),
                "key": key,
                "content": bytes(loaded).decode("latin-1"),
            }
        )

    def _journal(self, line: dict[str, Any]) -> None:
        with self._path.open("a") as journal:
            journal.write(json.dumps(line) + "\n")

    def _begin(self) -> None:
        """Write the head of a new journal."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            self._journal({"uid_validity": self.uid_validity})

    async def _replay(self) -> None:
        self._begin()
        with self._path.open() as journal:
            self._uid_validity = json.loads(journal.readline())["uid_validity"]
            for line in journal:
                if line.endswith("\n"):
                    await self._apply(json.loads(line))

    async def _apply(self, line: dict[str, Any]) -> None:
        if "add" in line:
            when = datetime.fromtimestamp(line["at"], UTC)
            self._max_uid = line["add"] - 1
            content = line["content"].encode("latin-1")
            await super().append(AppendMessage(content, when, _flags(line["flags"])))
            self._keys.add(line["key"])
        elif "flag" in line:
            if message := self._messages.get(line["flag"]):
                message.permanent_flags = _flags(line["flags"])
        else:
            await super().delete(line["remove"])


class Folders(MailboxSetInterface[JournaledMailbox]):
    """All folders of one account."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folders: dict[str, JournaledMailbox] = {}
        self._subscribed: set[str] = {"INBOX", *SPECIAL_USE}

    async def load(self) -> None:
        """Read the journals, and make the folders that every provider has."""
        on_disk = [unquote(path.stem) for path in self._directory.glob("*.jsonl")]
        for name in dict.fromkeys(["INBOX", *SPECIAL_USE, *on_disk]):
            self._folders[name] = await JournaledMailbox.load(self._path(name))

    @property
    def delimiter(self) -> str:
        return DELIMITER

    async def set_subscribed(self, name: str, subscribed: bool) -> None:
        """Remember a subscription until the sandbox stops."""
        if subscribed:
            self._subscribed.add(name)
        else:
            self._subscribed.discard(name)

    async def list_subscribed(self) -> ListTree:
        """Return the subscribed folders."""
        return ListTree(DELIMITER).update(*(n for n in self._folders if n in self._subscribed))

    async def list_mailboxes(self) -> ListTree:
        """Return all folders."""
        return ListTree(DELIMITER).update(*self._folders)

    async def get_mailbox(self, name: str) -> JournaledMailbox:
        """Return a folder; KeyError if there is none."""
        return self._folders["INBOX" if name.upper() == "INBOX" else name]

    async def add_mailbox(self, name: str) -> ObjectId:
        """Make a folder; ValueError if there is one."""
        if name in self._folders:
            raise ValueError(name)
        self._folders[name] = await JournaledMailbox.load(self._path(name))
        return self._folders[name].mailbox_id

    async def delete_mailbox(self, name: str) -> None:
        """Remove a folder and its mails; KeyError if there is none."""
        self._folders.pop(name).discard()

    async def rename_mailbox(self, before: str, after: str) -> None:
        """Rename a folder; KeyError and ValueError as above."""
        if after in self._folders:
            raise ValueError(after)
        folder = self._folders.pop(before)
        folder.rename(self._path(after))
        self._folders[after] = folder

    def _path(self, name: str) -> Path:
        return self._directory / f"{quote(name, safe='')}.jsonl"


class MailStore:
    """The folders of all accounts, read from disk when they are first needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._by_address: dict[str, Folders] = {}

    async def folders(self, address: str) -> Folders:
        """Return the folders of an account."""
        if address not in self._by_address:
            folders = Folders(self._directory / quote(address, safe="@+"))
            await folders.load()
            self._by_address.setdefault(address, folders)
        return self._by_address[address]

    async def deliver(self, address: str, content: bytes, key: str, folder: str = "INBOX") -> None:
        """Put a mail into a folder; a second delivery under the same key does nothing."""
        folders = await self.folders(address)
        await (await folders.get_mailbox(folder)).deliver(content, key)


def _flag_names(flags: Iterable[Flag]) -> list[str]:
    return sorted(bytes(flag).decode() for flag in flags)


def _flags(names: Iterable[str]) -> frozenset[Flag]:
    return frozenset(Flag(name.encode()) for name in names)
