"""What the watcher asks of an IMAP server, one mailbox a connection.

Messages are fetched with BODY.PEEK, bounded, at most 200 UIDs at a time. Flags are changed of warm-up
mails only.
"""

import base64
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aioimaplib.aioimaplib import Command, Response  # type: ignore[import-untyped]

from inbox_watcher.imap_answers import Fetched, fetched_message, grouped, joined
from inbox_watcher.imap_protocol import Idle, ImapFailure
from inbox_watcher.imap_session import ImapSession, LoginRefused, quoted_string, reason_of
from inbox_watcher.mailbox_names import INBOX, Folder, folder_of
from postfleet.echoes import without

log = logging.getLogger(__name__)

MAX_UIDS = 200
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT) (\d{1,10})\]", re.IGNORECASE)
_STATUS_ITEM = re.compile(rb"\b(UIDVALIDITY|UIDNEXT) (\d{1,10})", re.IGNORECASE)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True)
class FolderState:
    uid_validity: int
    uid_next: int


class ImapConnection(ImapSession):
    """Use `connect`; then `close` in any case."""

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
        return self._command("LOGIN", quoted_string(username), quoted_string(secret))

    def _xoauth2(self, capabilities: frozenset[str], username: str, token: str) -> Command:
        if "AUTH=XOAUTH2" not in capabilities:
            raise LoginRefused("the server does not offer XOAUTH2")
        words = f"user={username}\1auth=Bearer {token}\1\1"
        return self._command("AUTHENTICATE", "XOAUTH2", base64.b64encode(words.encode()).decode())

    async def _logged_in(self, command: Command) -> None:
        response = await self._run(command, may_fail=True)
        if response.result != "OK":
            raise LoginRefused(reason_of(response))
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
        if not await self._done("SELECT", quoted_string(folder.name)):
            return
        which = ",".join(map(str, uids))
        self._protocol.state = "SELECTED"
        await self._done("STORE", which, "+FLAGS.SILENT", r"(\Seen)", prefix="UID")
        if folder.junk:
            await self._done("STORE", which, "-FLAGS.SILENT", "($Junk Junk)", prefix="UID")
            await self._done("STORE", which, "+FLAGS.SILENT", "($NotJunk NonJunk)", prefix="UID")
            await self._move(which, quoted_string(INBOX.name))

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
            log.info("%s refused: %s", name, reason_of(response))
        return bool(response.result == "OK")

    async def examine(self, folder: Folder) -> FolderState:
        """Open read-only. `news` from now on means: more than there is now."""
        response = await self._run(self._command("EXAMINE", quoted_string(folder.name)))
        self._protocol.state = "SELECTED"
        codes = {
            name.upper(): int(value)
            for line in response.lines
            for name, value in _CODE.findall(bytes(line))
        }
        if b"UIDVALIDITY" not in codes:
            raise ImapFailure(f"no UIDVALIDITY for {folder.name}")
        uid_next = codes.get(b"UIDNEXT") or await self._highest_uid() + 1
        return FolderState(codes[b"UIDVALIDITY"], uid_next)

    async def statuses(self, folders: Sequence[Folder]) -> list[FolderState | None]:
        """Look into folders that are not open; None where the server does not tell."""
        asked = "(UIDVALIDITY UIDNEXT)"
        commands = [self._command("STATUS", quoted_string(f.name), asked) for f in folders]
        return [_state_told(response) for response in await self._run_all(commands)]

    async def search(self, first: int, last: int, since: datetime | None) -> list[int]:
        """UIDs from `first` to `last`, of mail that arrived on the day of `since` or later."""
        criteria = ["UID", f"{first}:{last}"]
        if since is not None:
            criteria += ["SINCE", f"{since.day}-{_MONTHS[since.month - 1]}-{since.year}"]
        return sorted(uid for uid in await self._search(*criteria) if first <= uid <= last)

    async def holds(self, message_id: str) -> bool:
        """Whether the open folder has a mail with this Message-ID (given without angle brackets)."""
        return bool(await self._search("HEADER", "Message-ID", quoted_string(f"<{message_id}>")))

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
        self._protocol.news = True
        self._protocol.wake()

    async def wait_for_news(self, seconds: float) -> bool:
        """Wait until the open folder has new mail (IDLE, RFC 2177), at most `seconds`."""
        if not self.can_idle:
            await self._sleep(seconds)
            return True
        protocol = self._protocol
        idle = Idle(protocol.new_tag(), None)
        protocol.begin(idle)
        await protocol.until(lambda: protocol.news or protocol.answered(idle), seconds)
        self._check_alive()
        if protocol.answered(idle):
            raise ImapFailure(f"IDLE ended: {reason_of(idle.response)}")
        news = protocol.news
        protocol.begin(after="DONE")
        await self._within(lambda: protocol.answered(idle))
        if idle.response.result != "OK":
            self.can_idle = False  # announced, but refused: poll
        return news

    async def logout(self) -> None:
        await self._run(self._command("LOGOUT"), may_fail=True)

    async def _search(self, *criteria: str) -> set[int]:
        response = await self._run(self._command("SEARCH", *criteria, prefix="UID"))
        found: set[int] = set()
        for line in response.lines[:-1]:
            words = bytes(line).split()
            if words[:1] and words[0].upper() == b"SEARCH":
                found.update(int(word) for word in words[1:] if word.isdigit())
        return found

    async def _highest_uid(self) -> int:
        response = await self._run(self._fetch("*", "(UID)"), may_fail=True)
        uids = [int(uid) for uid in _UID.findall(b" ".join(map(bytes, response.lines)))]
        return max(uids, default=0)


def _state_told(response: Response) -> FolderState | None:
    text = b" ".join(map(bytes, response.lines))
    items = {name.upper(): int(value) for name, value in _STATUS_ITEM.findall(text)}
    if response.result != "OK" or len(items) < 2:
        return None
    return FolderState(items[b"UIDVALIDITY"], items[b"UIDNEXT"])
