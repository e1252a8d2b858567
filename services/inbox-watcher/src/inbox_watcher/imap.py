"""One IMAP connection: the only code that knows aioimaplib.

Every wait has a deadline and ends when the connection does. After a timeout the connection is
dropped, because aioimaplib cannot use it any more. Messages are fetched with BODY.PEEK, bounded, at
most 200 UIDs at a time. Flags are changed of warm-up mails only.
"""

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from aioimaplib.aioimaplib import (  # type: ignore[import-untyped]
    AioImapException,
    Command,
    FetchCommand,
    Response,
    quoted,
)

from inbox_watcher.imap_answers import Fetched, fetched_message, grouped, joined
from inbox_watcher.imap_protocol import GuardedProtocol, Idle, ImapFailure, ImapLimits
from inbox_watcher.mailbox_names import INBOX, Folder, folder_of
from postfleet.echoes import without

logging.getLogger("aioimaplib").setLevel(logging.WARNING)  # at DEBUG it can log the password

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_UIDS = 200
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT) (\d{1,10})\]", re.IGNORECASE)
_STATUS_ITEM = re.compile(rb"\b(UIDVALIDITY|UIDNEXT) (\d{1,10})", re.IGNORECASE)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class LoginRefused(Exception):
    """The server does not accept the credentials (or we do not accept its way to ask)."""


@dataclass(frozen=True, slots=True)
class Server:
    """`context` is None only where the operator allowed a connection without TLS."""

    host: str
    port: int
    context: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class FolderState:
    uid_validity: int
    uid_next: int


class ImapConnection:
    """Use `connect`; then `close` in any case."""

    def __init__(
        self, protocol: GuardedProtocol, transport: asyncio.BaseTransport, limits: ImapLimits
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        self._limits = limits
        self.can_idle = False

    @classmethod
    async def connect(cls, server: Server, limits: ImapLimits) -> "ImapConnection":
        """TLS from the first byte, certificate checked. Raises ImapFailure."""
        loop = asyncio.get_running_loop()
        protocol = GuardedProtocol(loop, limits)
        options: dict[str, Any] = {}
        if server.context is not None:
            options = {"ssl": server.context, "ssl_handshake_timeout": limits.connect_seconds}
        try:
            async with asyncio.timeout(limits.connect_seconds):
                transport, _ = await loop.create_connection(
                    lambda: protocol, server.host, server.port, **options
                )
        except (OSError, TimeoutError) as error:
            raise ImapFailure(f"cannot connect: {str(error) or 'no answer'}") from error
        connection = cls(protocol, transport, limits)
        try:
            await connection._within(protocol.greeted.wait())
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self._protocol.fail("closed")

    # -- commands --------------------------------------------------------------------------------

    async def login(self, username: str, secret: str, method: str = "password") -> None:
        """`secret` is an access token where the method is xoauth2. Raises LoginRefused.

        No error holds what the server echoed of the log-in.
        """
        try:
            await self._logged_in(await self._log_in(username, secret, method))
        except (LoginRefused, ImapFailure) as error:
            raise type(error)(without(str(error), username, secret)) from None

    async def _log_in(self, username: str, secret: str, method: str) -> Command:
        capabilities = await self._capabilities()
        if method == "xoauth2":
            return self._xoauth2(capabilities, username, secret)
        plain = base64.b64encode(f"\0{username}\0{secret}".encode()).decode()
        if {"AUTH=PLAIN", "SASL-IR"} <= capabilities:
            return self._command("AUTHENTICATE", "PLAIN", plain)
        if "LOGINDISABLED" in capabilities:
            raise LoginRefused("the server allows no log-in here")
        return self._command("LOGIN", _quoted(username), _quoted(secret))

    def _xoauth2(self, capabilities: set[str], username: str, token: str) -> Command:
        if "AUTH=XOAUTH2" not in capabilities:
            raise LoginRefused("the server does not offer XOAUTH2")
        words = f"user={username}\1auth=Bearer {token}\1\1"
        return self._command("AUTHENTICATE", "XOAUTH2", base64.b64encode(words.encode()).decode())

    async def _logged_in(self, command: Command) -> None:
        response = await self._run(command, may_fail=True)
        if response.result != "OK":
            raise LoginRefused(_reason(response))
        self._protocol.state = "AUTH"
        self.can_idle = "IDLE" in await self._capabilities()

    async def folders(self) -> list[Folder]:
        """All folders that can be opened, with the use that the server or their name tells."""
        response = await self._run(self._command("LIST", '""', '"*"'), may_fail=True)
        lines = [joined(parts) for parts in grouped(response.lines)]
        return [folder for line in lines if (folder := folder_of(line))]

    async def tend(self, folder: Folder, uids: Sequence[int]) -> None:
        """Open these mails as their owner would, and bring them back from Junk (RFC 6851).

        What the server refuses is left as it is.
        """
        if len(uids) > MAX_UIDS:
            raise ValueError(f"{len(uids)} UIDs; tend at most {MAX_UIDS}")
        if not await self._done("SELECT", _quoted(folder.name)):
            return
        which = ",".join(map(str, uids))
        self._protocol.state = "SELECTED"
        await self._done("STORE", which, "+FLAGS.SILENT", r"(\Seen)", prefix="UID")
        if folder.junk:
            await self._done("STORE", which, "-FLAGS.SILENT", "($Junk Junk)", prefix="UID")
            await self._done("STORE", which, "+FLAGS.SILENT", "($NotJunk NonJunk)", prefix="UID")
            await self._move(which, _quoted(INBOX.name))

    async def _move(self, uids: str, name: str) -> None:
        """Where MOVE is unknown: copied, and deleted as far as nobody else's mail goes with it."""
        capabilities = self._protocol.capabilities
        if "MOVE" in capabilities:
            await self._done("MOVE", uids, name, prefix="UID")
        elif await self._done("COPY", uids, name, prefix="UID"):
            await self._done("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)", prefix="UID")
            if "UIDPLUS" in capabilities:
                await self._done("EXPUNGE", uids, prefix="UID")

    async def _done(self, name: str, *arguments: str, prefix: str | None = None) -> bool:
        """Whether the server did it."""
        command = self._command(name, *arguments, prefix=prefix)
        response = await self._run(command, may_fail=True)
        if response.result != "OK":
            log.info("%s refused: %s", name, _reason(response))
        return bool(response.result == "OK")

    async def examine(self, folder: Folder) -> FolderState:
        """Open read-only. `news` from now on means: more than there is now."""
        self._protocol.news.clear()
        response = await self._run(self._command("EXAMINE", _quoted(folder.name)))
        self._protocol.state = "SELECTED"
        self._protocol.news.clear()
        codes = {
            name.upper(): int(value)
            for line in response.lines
            for name, value in _CODE.findall(bytes(line))
        }
        if b"UIDVALIDITY" not in codes:
            raise ImapFailure(f"no UIDVALIDITY for {folder.name}")
        uid_next = codes.get(b"UIDNEXT") or await self._highest_uid() + 1
        return FolderState(codes[b"UIDVALIDITY"], uid_next)

    async def status(self, folder: Folder) -> FolderState | None:
        """Look into a folder that is not open; None where the server does not tell."""
        command = self._command("STATUS", _quoted(folder.name), "(UIDVALIDITY UIDNEXT)")
        response = await self._run(command, may_fail=True)
        text = b" ".join(map(bytes, response.lines))
        items = {name.upper(): int(value) for name, value in _STATUS_ITEM.findall(text)}
        if response.result != "OK" or len(items) < 2:
            return None
        return FolderState(items[b"UIDVALIDITY"], items[b"UIDNEXT"])

    async def search(self, first: int, last: int, since: datetime | None) -> list[int]:
        """UIDs from `first` to `last`, of mail that arrived on the day of `since` or later."""
        criteria = ["UID", f"{first}:{last}"]
        if since is not None:
            criteria += ["SINCE", f"{since.day}-{_MONTHS[since.month - 1]}-{since.year}"]
        return sorted(uid for uid in await self._search(*criteria) if first <= uid <= last)

    async def holds(self, message_id: str) -> bool:
        """Whether the open folder has a mail with this Message-ID (given without angle brackets)."""
        return bool(await self._search("HEADER", "Message-ID", _quoted(f"<{message_id}>")))

    async def fetch(self, uids: Sequence[int], max_bytes: int) -> list[Fetched]:
        """The first `max_bytes` of each message, in the order of the UIDs; vanished ones are left out."""
        if len(uids) > MAX_UIDS:
            raise ValueError(f"{len(uids)} UIDs; fetch at most {MAX_UIDS}")
        what = f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.{max_bytes}>)"
        response = await self._run(self._fetch(",".join(map(str, uids)), what))
        found = {}
        for parts in grouped(response.lines):
            fetched = fetched_message(parts, max_bytes)
            if fetched is not None and fetched.uid in uids:
                found[fetched.uid] = fetched
        return [found[uid] for uid in uids if uid in found]

    def interrupt(self) -> None:
        """End a `wait_for_news` that is going on, as if there were news."""
        self._protocol.news.set()

    async def wait_for_news(self, seconds: float) -> bool:
        """Wait until the open folder has new mail (IDLE, RFC 2177), at most `seconds`."""
        if not self.can_idle:
            await self._sleep(seconds)
            return True
        command = Idle(self._protocol.new_tag(), self._protocol.idle_queue)
        idling = asyncio.ensure_future(self._protocol.execute(command))
        try:
            news = await self._news_during(idling, seconds)
            self._protocol.idle_done()
            response = await self._within(idling)
        finally:
            idling.cancel()
        if response.result != "OK":
            self.can_idle = False  # announced, but refused: poll
        return news

    async def logout(self) -> None:
        await self._run(self._command("LOGOUT"), may_fail=True)

    # -- inside ----------------------------------------------------------------------------------

    async def _news_during(self, idling: "asyncio.Future[Response]", seconds: float) -> bool:
        news = asyncio.ensure_future(self._protocol.news.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {idling, news, self._protocol.lost}
            await asyncio.wait(
                waiting,
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            news.cancel()
        self._check_alive()
        if idling.done():
            raise ImapFailure(f"IDLE ended: {_reason(await idling)}")
        return self._protocol.news.is_set()

    async def _search(self, *criteria: str) -> set[int]:
        response = await self._run(self._command("SEARCH", *criteria, prefix="UID"))
        found: set[int] = set()
        for line in response.lines[:-1]:
            words = bytes(line).split()
            if words[:1] and words[0].upper() == b"SEARCH":
                found.update(int(word) for word in words[1:] if word.isdigit())
        return found

    async def _capabilities(self) -> set[str]:
        response = await self._run(self._command("CAPABILITY"))
        words = b" ".join(map(bytes, response.lines)).decode("ascii", "replace").upper().split()
        self._protocol.capabilities = set(words)
        return set(words)

    async def _highest_uid(self) -> int:
        response = await self._run(self._fetch("*", "(UID)"), may_fail=True)
        uids = [int(uid) for uid in _UID.findall(b" ".join(map(bytes, response.lines)))]
        return max(uids, default=0)

    def _command(self, name: str, *arguments: str, prefix: str | None = None) -> Command:
        try:
            return Command(name, self._protocol.new_tag(), *arguments, prefix=prefix)
        except ValueError as error:  # NUL, CR or LF
            raise LoginRefused(f"{name}: a control character cannot be sent") from error

    def _fetch(self, uids: str, what: str) -> Command:
        return FetchCommand(self._protocol.new_tag(), uids, what, prefix="UID")

    async def _run(self, command: Command, *, may_fail: bool = False) -> Response:
        self._protocol.framer.reset()
        response = await self._within(self._protocol.execute(command))
        if response.result != "OK" and not may_fail:
            raise ImapFailure(f"{command.name} refused: {_reason(response)}")
        return response

    async def _within(self, waiting: "Coroutine[Any, Any, T] | asyncio.Future[T]") -> T:
        """Wait for it, for the deadline, or for the end of the connection."""
        task = asyncio.ensure_future(waiting)
        awaited: set[asyncio.Future[Any]] = {task, self._protocol.lost}
        try:
            await asyncio.wait(
                awaited,
                timeout=self._limits.command_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            self._check_alive()
            self._protocol.fail("timeout")
            raise ImapFailure(f"no answer in {self._limits.command_seconds:g} s")
        except AioImapException as error:
            self._protocol.fail(str(error))
            raise ImapFailure(str(error)) from error
        finally:
            task.cancel()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.wait({self._protocol.lost}, timeout=seconds)
        self._check_alive()

    def _check_alive(self) -> None:
        if self._protocol.lost.done():
            raise ImapFailure(self._protocol.lost.result())


def _quoted(text: str) -> str:
    return str(quoted(text))


def _reason(response: Response) -> str:
    last = bytes(response.lines[-1]) if response.lines else b""
    return f"{response.result} {last[:200].decode('utf-8', 'replace')}".strip()
