"""The life of one watched mailbox: log in, read what is new, wait, again, for as long as it is ours."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from inbox_watcher.arrivals import Arrivals
from inbox_watcher.copies import Copies
from inbox_watcher.domain.mailbox import (
    Cursor,
    Mailbox,
    from_now_on,
    history_limit,
    start_of,
)
from inbox_watcher.evidence import Evidence
from inbox_watcher.imap import FolderState, ImapConnection
from inbox_watcher.imap_answers import Fetched
from inbox_watcher.imap_protocol import ImapFailure, ImapLimits
from inbox_watcher.imap_session import LoginRefused, Server
from inbox_watcher.mailbox_names import INBOX, Folder, folders_to_read, sent_folder
from inbox_watcher.mailbox_store import Look
from inbox_watcher.pace import Pace
from inbox_watcher.question_store import Question
from inbox_watcher.settings import Settings
from postfleet import tracing
from postfleet.events.senders import SmtpSecurity
from postfleet.instants import now_ms
from postfleet.outages import Unavailable
from postfleet.rpc import RequestRefused
from postfleet.secrets import CannotOpen
from postfleet.tls import client_context

log = logging.getLogger(__name__)

_REOPEN_SECONDS = 300.0  # INBOX is opened again without news: a server may forget to tell
_UID_WINDOW = 5000  # UIDs in one SEARCH: its answer is one line
_FETCH_TOGETHER = 20  # messages in one FETCH
_GIVE_UP_AFTER = 5  # sessions that ended at the same message: it is recorded and passed by

#: sender id -> (username, password or access token)
Credentials = Callable[[str], Awaitable[tuple[str, str]]]
#: sender id, folder, cursor -> whether the mailbox is still ours
SaveCursor = Callable[[str, str, Cursor], Awaitable[bool]]


class LeaseLost(Exception):
    """Another replica watches this mailbox now."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all watches of a replica share."""

    settings: Settings
    arrivals: Arrivals
    copies: Copies
    evidence: Evidence
    credentials: Credentials
    save_cursor: SaveCursor
    pace: Pace


@dataclass(slots=True)
class Watch:
    """One mailbox. `look` is what there is to tell of it."""

    mailbox: Mailbox
    tools: Tools
    look: Look = field(default_factory=lambda: Look(0, "connecting", ""))
    _cursors: dict[str, Cursor] = field(default_factory=dict)
    _failures: int = 0  # sessions in a row that read nothing
    _stuck_at: tuple[str, int] = ("", 0)  # folder and UID where the last session ended
    _stuck: int = 0
    _asked: dict[str, Question] = field(default_factory=dict)
    _connection: ImapConnection | None = None

    def ask(self, question: Question) -> None:
        """Look for this mail in the Sent folder soon; asking twice is asking once."""
        self._asked[question.id] = question
        if self._connection is not None:
            self._connection.interrupt()

    async def run(self) -> None:
        """Watch until cancelled, or until the lease is lost; trouble is retried with growing pauses."""
        self._cursors = dict(self.mailbox.cursors)
        while True:
            try:
                await self._session()
            except (ImapFailure, LoginRefused, Unavailable, RequestRefused, CannotOpen) as error:
                self._note(type(error).__name__, str(error))
            except PyMongoError as error:
                self._note("Database", str(error))
            except LeaseLost:
                return
            self._failures += 1
            await asyncio.sleep(self._pause())

    def _note(self, kind: str, text: str) -> None:
        self.look = Look(0, "failing", f"{kind}: {text}")
        level = logging.WARNING if self._failures < 3 else logging.DEBUG
        log.log(level, "mailbox of %s: %s: %s", self.mailbox.sender_id, kind, text)

    def _pause(self) -> float:
        settings = self.tools.settings
        pause: float = settings.retry_seconds * 2.0 ** min(self._failures - 1, 10)
        spread = random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)
        return min(pause, settings.retry_seconds_max) * spread

    async def _session(self) -> None:
        username, secret = await self.tools.credentials(self.mailbox.sender_id)
        settings = self.tools.settings
        limits = ImapLimits(
            connect_seconds=settings.connect_seconds,
            command_seconds=settings.command_seconds,
            literal_bytes=settings.fetch_bytes + 1024,
        )
        connection = await ImapConnection.connect(_server(self.mailbox, settings), limits)
        try:
            await connection.login(username, secret, self.mailbox.login.auth_method)
            others, sent = self._wanted(await connection.folders())
            self._connection = connection
            await self._watch(connection, others, sent)
        finally:
            self._connection = None
            connection.close()

    async def _watch(
        self, connection: ImapConnection, others: list[Folder], sent: Folder | None
    ) -> None:
        """Read INBOX on news, the others once in the time that one waits for news."""
        settings = self.tools.settings
        news, opened, looked = True, -math.inf, -math.inf
        while True:
            pause = self.tools.pace.seconds if connection.can_idle else settings.poll_seconds
            if news or time.monotonic() - opened > _REOPEN_SECONDS:
                opened = time.monotonic()
                await self._read(connection, INBOX)
            if time.monotonic() >= looked + 0.9 * pause:  # a timer may be early
                looked = time.monotonic()
                await self._read_others(connection, others)
            self.look = Look(now_ms(), "watching", "")
            self._failures = 0
            if self._asked:
                sent = sent or sent_folder(await connection.folders())
                await self._look_for_copies(connection, sent)
                news = True  # INBOX is read again, and open again
                continue
            news = await connection.wait_for_news(max(0.0, looked + pause - time.monotonic()))

    def _wanted(self, folders: list[Folder]) -> tuple[list[Folder], Folder | None]:
        """What is read besides INBOX; and the folder of sent mail, read or not."""
        settings, sent = self.tools.settings, sent_folder(folders)
        _, *others = folders_to_read(folders, settings.more_folders)  # the first is INBOX
        return [*others, *([sent] if sent and settings.watch_sent else [])], sent

    async def _look_for_copies(self, connection: ImapConnection, sent: Folder | None) -> None:
        evidence = self.tools.evidence
        asked, self._asked = self._asked, {}
        questions = await evidence.begin(asked.values())
        if questions and sent is not None:
            await connection.examine(sent)
            await evidence.answer(questions, connection)

    async def _read_others(self, connection: ImapConnection, folders: list[Folder]) -> None:
        """Those that have changed; INBOX is the open one again at the end."""
        for folder, state in zip(folders, await connection.statuses(folders), strict=True):
            if state is not None and self._is_new(folder, state):
                await self._read(connection, folder)
                await self._read(connection, INBOX)

    def _is_new(self, folder: Folder, state: FolderState) -> bool:
        cursor = self._start(folder, state)
        return folder.name not in self._cursors or cursor.uid < state.uid_next - 1

    def _start(self, folder: Folder, state: FolderState) -> Cursor:
        known = self._cursors.get(folder.name)
        if folder.sent:
            return from_now_on(known, state.uid_validity, state.uid_next)
        return start_of(known, state.uid_validity)

    async def _read(self, connection: ImapConnection, folder: Folder) -> None:
        about = {"postfleet.sender_id": self.mailbox.sender_id, "postfleet.folder": folder.use}
        with tracing.span("read folder", **about):
            await self._read_news(connection, folder)

    async def _read_news(self, connection: ImapConnection, folder: Folder) -> None:
        state = await connection.examine(folder)
        cursor = self._start(folder, state)
        since = history_limit(self.mailbox.registered_at)
        while cursor.uid < state.uid_next - 1:
            last = min(cursor.uid + _UID_WINDOW, state.uid_next - 1)
            uids = await connection.search(cursor.uid + 1, last, since)
            while uids:
                size = 1 if self._stuck else _FETCH_TOGETHER
                chunk, uids = uids[:size], uids[size:]
                mails = await self._fetch(connection, folder, chunk)
                warmup = await self._take(folder, state.uid_validity, mails)
                await self._save(folder, Cursor(state.uid_validity, chunk[-1]))
                if warmup:  # after the cursor: no trouble with them may stop the watching
                    await connection.tend(folder, warmup)
                    state = await connection.examine(folder)
            cursor = Cursor(state.uid_validity, last)
            await self._save(folder, cursor)
        if folder.name not in self._cursors:
            await self._save(folder, cursor)

    async def _take(self, folder: Folder, uid_validity: int, mails: list[Fetched]) -> list[int]:
        """Durable on return; the UIDs of new warm-up mails."""
        if folder.sent:
            await self.tools.copies.take(self.mailbox, folder.name, uid_validity, mails)
            return []
        arrivals = self.tools.arrivals
        return await arrivals.take(self.mailbox, folder.name, uid_validity, mails)

    async def _fetch(
        self, connection: ImapConnection, folder: Folder, uids: list[int]
    ) -> list[Fetched]:
        """Fetch; a message at which session after session ends is given up, and told as unreadable."""
        if self._stuck >= _GIVE_UP_AFTER and self._stuck_at == (folder.name, uids[0]):
            self._stuck = 0
            return [Fetched(uid, None, 0, None) for uid in uids]
        try:
            fetched = await connection.fetch(uids, self.tools.settings.fetch_bytes)
        except ImapFailure:
            place = (folder.name, uids[0])
            self._stuck = self._stuck + 1 if self._stuck_at == place else 1
            self._stuck_at = place
            raise
        if self._stuck_at == (folder.name, uids[0]):
            self._stuck = 0
        return fetched

    async def _save(self, folder: Folder, cursor: Cursor) -> None:
        if self._cursors.get(folder.name) == cursor:
            return
        if not await self.tools.save_cursor(self.mailbox.sender_id, folder.name, cursor):
            raise LeaseLost
        self._cursors[folder.name] = cursor


def _server(mailbox: Mailbox, settings: Settings) -> Server:
    login = mailbox.login
    if login.security is SmtpSecurity.IMPLICIT:
        return Server(login.host, login.port, client_context(settings.tls_ca_file))
    if login.security is SmtpSecurity.NONE and settings.allow_plain_imap:
        return Server(login.host, login.port, None)
    raise LoginRefused(f"IMAP with security {login.security.value}: use implicit TLS (port 993)")
