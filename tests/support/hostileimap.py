"""An IMAP server that behaves until a script tells it otherwise. Without TLS unless it is given some."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

#: (server, connection's writer, tag, the line after the tag) -> True if it answered itself
Misbehaviour = Callable[["HostileImap", asyncio.StreamWriter, str, str], Awaitable[bool]]


async def _honest(_: "HostileImap", __: asyncio.StreamWriter, ___: str, ____: str) -> bool:
    return False


class HostileImap:
    """One mailbox, INBOX only, whose `mails` have the UIDs 1, 2, 3, …"""

    def __init__(
        self,
        misbehave: Misbehaviour = _honest,
        *,
        can_idle: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self.misbehave = misbehave
        self.mails: list[bytes] = []
        self.greeting = b"* OK ready"
        self.port = 0
        self.connections = 0
        self.commands: list[str] = []
        self.refused = ""  # the tag of a log-in that waits for its empty continuation
        self.idling: set[asyncio.StreamWriter] = set()
        self._extra = " IDLE" if can_idle else ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=1 << 20, ssl=self._tls, backlog=1000
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def deliver(self, raw: bytes) -> None:
        self.mails.append(raw)
        for writer in list(self.idling):
            await self.send(writer, f"* {len(self.mails)} EXISTS".encode())

    async def send(self, writer: asyncio.StreamWriter, *lines: bytes) -> None:
        for line in lines:
            writer.write(line + b"\r\n")
        await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.send(writer, self.greeting)
            while raw := await reader.readline():
                line = raw.decode().rstrip("\r\n")
                tag, _, rest = line.partition(" ")
                self.commands.append(rest or tag)
                if not await self.misbehave(self, writer, tag, rest):
                    await self._answer(writer, tag, rest)
        self._writers.discard(writer)
        self.idling.discard(writer)
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, tag: str, rest: str) -> None:
        words = rest.split()
        name = " ".join(words[:2]).upper() if words[:1] == ["UID"] else (words or [tag])[0].upper()
        if name == "IDLE":
            self._idle_tag = tag
            self.idling.add(writer)
            return await self.send(writer, b"+ idling")
        if name == "DONE":
            self.idling.discard(writer)
            return await self.send(writer, f"{self._idle_tag} OK done".encode())
        for line in self._untagged(name, words):
            await self.send(writer, line)
        return await self.send(writer, f"{tag} OK done".encode())

    def _untagged(self, name: str, words: list[str]) -> list[bytes]:
        count = len(self.mails)
        if name == "CAPABILITY":
            return [f"* CAPABILITY IMAP4rev1 AUTH=PLAIN{self._extra}".encode()]
        if name == "LIST":
            return [b'* LIST () "." INBOX']
        if name in ("EXAMINE", "SELECT"):
            state = [
                f"* {count} EXISTS",
                "* OK [UIDVALIDITY 7] ok",
                f"* OK [UIDNEXT {count + 1}] ok",
            ]
            return [line.encode() for line in state]
        if name == "UID SEARCH":
            first, last = (int(uid) for uid in words[3].split(":"))
            found = [str(uid) for uid in range(first, min(last, count) + 1)]
            return [f"* SEARCH {' '.join(found)}".strip().encode()]
        if name == "UID FETCH":
            return [self.fetched(int(uid)) for uid in words[2].split(",") if int(uid) <= count]
        return []

    def fetched(self, uid: int) -> bytes:
        raw = self.mails[uid - 1]
        head = f"* {uid} FETCH (UID {uid} RFC822.SIZE {len(raw)} BODY[]<0> {{{len(raw)}}}\r\n"
        return head.encode() + raw + b")"
