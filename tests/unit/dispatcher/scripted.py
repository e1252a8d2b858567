"""An SMTP server told what to answer, byte by byte if need be, and what to do instead of answering."""

import asyncio
import contextlib
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from dispatcher.feed import CannotConnect
from dispatcher.pool import SenderPool
from dispatcher.transport import (
    Connection,
    Envelope,
    Habits,
    Mail,
    Refused,
    Result,
    Timeouts,
    connect,
)
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.smtp import SmtpReply
from postfleet.tls import client_context

DROP = b""  # cut the connection instead of answering
SILENCE = b"silence"  # answer nothing, and wait
TIMEOUTS = Timeouts(connect=2, reply=2, final_reply=2)
_GOOD = {
    "GREETING": b"220 scripted\r\n",
    "RSET": b"250 reset\r\n",
    "QUIT": b"221 bye\r\n",
    "MAIL": b"250 sender ok\r\n",
    "RCPT": b"250 recipient ok\r\n",
    "DATA": b"354 go ahead\r\n",
    "DOT": b"250 2.0.0 queued\r\n",
    "STARTTLS": b"220 go ahead\r\n",
    "AUTH": b"235 welcome\r\n",
}


class GivenBack(Exception):
    """The connection ended before this mail; another is to take it."""


class Line:
    """A connection with a source that takes mails one by one, each with a claim of its own."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._left: deque[Mail] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.ends = 0
        connection.serve(self)

    async def send(
        self, envelope: Envelope, content: bytes, begin: Callable[[], Awaitable[bool]]
    ) -> SmtpReply:
        """The positive reply to the final dot; raises what else became of it."""
        done: asyncio.Future[SmtpReply] = asyncio.get_running_loop().create_future()
        mail = Mail(envelope, content, tag=done)

        async def claim() -> None:
            mail.ours = await begin()
            self.connection.resume(mail)

        self._tasks.add(asyncio.create_task(claim()))
        self._left.append(mail)
        self.connection.kick()
        async with asyncio.timeout(10):
            return await done

    def take(self, connection: Connection) -> Mail | None:
        return self._left.popleft() if self._left else None

    def settle(self, mail: Mail, result: Result) -> None:
        if isinstance(result, SmtpReply):
            mail.tag.set_result(result)
        else:
            mail.tag.set_exception(result)

    def give_back(self, mail: Mail) -> None:
        mail.tag.set_exception(GivenBack())

    def ended(self, connection: Connection) -> None:
        self.ends += 1


class ScriptedServer:
    """`script("RCPT", b"550 no\\r\\n")` is for the next RCPT only; then all is well again."""

    def __init__(
        self,
        *extensions: str,
        write: Callable[[bytes], list[bytes]] = lambda reply: [reply],
        tls: ssl.SSLContext | None = None,
        flush_after_content: bool = False,
    ) -> None:
        self._flush = flush_after_content
        self.extensions, self._write, self._tls = extensions, write, tls
        self._scripts: defaultdict[str, list[bytes]] = defaultdict(list)
        self.lines: list[str] = []
        self.mails: list[bytes] = []
        self.connections = 0
        self.groups: list[int] = []  # final dots and commands, by what came in one piece
        self.raw = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def script(self, verb: str, *replies: bytes) -> None:
        self._scripts[verb] += replies

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def connect(
        self,
        *,
        timeouts: Timeouts = TIMEOUTS,
        security: SmtpSecurity = SmtpSecurity.NONE,
        username: str = "",
        password: str = "",
        habits: Habits | None = None,
    ) -> Connection:
        server = MailServer(host="127.0.0.1", port=self.port, security=security, username=username)
        return await connect(
            server,
            password,
            tls_context=client_context(),
            local_hostname="client.test",
            timeouts=timeouts,
            habits=habits,
        )

    async def line(self, *, timeouts: Timeouts = TIMEOUTS, habits: Habits | None = None) -> Line:
        return Line(await self.connect(timeouts=timeouts, habits=habits))

    @property
    def verbs(self) -> list[str]:
        return [line.split(" ")[0].partition(":")[0] for line in self.lines]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        ended = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*ended):
            await self._serve(reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count_groups(reader)
        going = await self._answer(writer, "GREETING")
        while going:
            line = await reader.readuntil(b"\n")
            self.raw += line
            self.lines.append(line.decode("utf-8", "replace").rstrip())
            verb = self.lines[-1].split(" ")[0].upper()
            if verb == "EHLO":
                offered = [b"250-%b\r\n" % name.encode() for name in self.extensions]
                writer.write(b"".join([b"250-scripted\r\n", *offered, b"250 HELP\r\n"]))
                continue
            replied = self._next(verb)
            going = await self._send(writer, replied)
            if verb == "QUIT":
                return
            if verb == "DATA" and replied.startswith(b"354") and going:
                content = await reader.readuntil(b".\r\n")
                while content != b".\r\n" and not content.endswith(b"\r\n.\r\n"):
                    content += await reader.readuntil(b".\r\n")
                self.mails.append(content)
                if self._flush:
                    await asyncio.sleep(0.01)
                    reader._buffer.clear()  # type: ignore[attr-defined]
                going = await self._answer(writer, "DOT")

    def _count_groups(self, reader: asyncio.StreamReader) -> None:
        feed = reader.feed_data

        def counting(data: bytes) -> None:
            behind = data.partition(b"\r\n.\r\n")[2] if b"\r\n.\r\n" in data else data
            self.groups.append(behind.count(b"\r\n") + (behind is not data))
            feed(data)

        reader.feed_data = counting  # type: ignore[method-assign,assignment]

    def _next(self, verb: str) -> bytes:
        scripted = self._scripts[verb]
        return scripted.pop(0) if scripted else _GOOD.get(verb, b"500 what?\r\n")

    async def _answer(self, writer: asyncio.StreamWriter, verb: str) -> bool:
        return await self._send(writer, self._next(verb))

    async def _send(self, writer: asyncio.StreamWriter, reply: bytes) -> bool:
        """False when the connection is to end."""
        if reply == SILENCE:
            await asyncio.sleep(3600)
        for piece in self._write(reply):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if reply == DROP:
            writer.transport.abort()
        return reply != DROP and not reply.startswith(b"421")


class _One:
    """A feed of one mail."""

    urgent = True
    over = False

    def __init__(self, mail: Mail, begin: Callable[[], Awaitable[bool]]) -> None:
        self.mail, self.begin, self.left = mail, begin, 1
        self.done: asyncio.Future[SmtpReply] = asyncio.get_running_loop().create_future()

    def take(self) -> Mail | None:
        self.left -= 1
        return self.mail if self.left >= 0 else None

    def settle(self, mail: Mail, result: Result | CannotConnect) -> None:
        if self.done.done():
            return
        if isinstance(result, SmtpReply):
            self.done.set_result(result)
        else:
            self.done.set_exception(result)

    def refuse(self, why: CannotConnect | Refused) -> None:
        if self.left > 0:
            self.settle(self.mail, why)


async def one_by_one(mails: Sequence[Mail]) -> Sequence[bool]:
    """The claims of mails that came through `send`."""
    answers: list[bool] = await asyncio.gather(*(mail.tag.begin() for mail in mails))
    return answers


async def send(
    pool: SenderPool, envelope: Envelope, content: bytes, begin: Callable[[], Awaitable[bool]]
) -> SmtpReply:
    """One mail through a pool. Raises what is no SmtpReply."""
    one = _One(Mail(envelope, content), begin)
    one.mail.tag = one
    pool.feed(one)
    return await one.done
