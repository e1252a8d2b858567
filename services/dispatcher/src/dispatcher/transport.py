"""One SMTP connection: aiosmtplib opens the session, our own transactions follow on its transport.

MAIL, RCPT and DATA go in one group where the server announces PIPELINING (RFC 2920), one at a time
elsewhere. A transaction knows its phase when the connection is lost: before the final dot the mail
has not gone, after it nobody can say (RFC 1047).
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import aiosmtplib

from dispatcher.domain.outcomes import Phase
from postfleet.events import MailServer, SmtpSecurity
from postfleet.failpoints import reach
from postfleet.smtp import OutcomeUnknown, PermanentFailure, SmtpReply, TransientFailure

_MAX_REPLY_BYTES = 64 * 1024
_REPLY_LINE = re.compile(r"[1-5][0-9]{2}(?:[ -]|\Z)")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. The last reply alone may take ten minutes (RFC 5321 §4.5.3.2.6)."""

    connect: float = 30
    reply: float = 120
    final_reply: float = 600


@dataclass(frozen=True, slots=True)
class Envelope:
    reverse_path: str
    forward_path: str

    @property
    def isascii(self) -> bool:
        return self.reverse_path.isascii() and self.forward_path.isascii()


class Refused(Exception):
    """A negative reply, or no connection, before the final dot; `reply` is None for the latter."""

    def __init__(self, phase: Phase, reply: SmtpReply | None, text: str = "") -> None:
        super().__init__(text or str(reply))
        self.phase, self.reply = phase, reply


class NotOurs(Exception):
    """Another worker transmits this delivery, or has: the transaction was given up before the dot."""


class _Lines(asyncio.Protocol):
    """Collects replies; wakes the one who waits. A reply that is no SMTP breaks the connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = b""
        self._text: list[str] = []
        self._octets = 0  # of the reply that is being read
        self._replies: asyncio.Queue[SmtpReply | None] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for raw in lines:
            if self.lost:
                return
            self._line(raw.rstrip(b"\r").decode("utf-8", "replace"))
        if len(self._buffer) > _MAX_REPLY_BYTES:
            self._break()

    def _line(self, line: str) -> None:
        if not _REPLY_LINE.match(line):
            return self._break()
        self._text.append(line[4:])
        self._octets += len(line) + 2
        if self._octets > _MAX_REPLY_BYTES:
            return self._break()
        if line[3:4] != "-":
            self._replies.put_nowait(SmtpReply(int(line[:3]), "\n".join(self._text)))
            self._text, self._octets = [], 0
        return None

    def _break(self) -> None:
        self.connection_lost(None)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._writable.set()
        self._replies.put_nowait(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    @property
    def unread(self) -> bool:
        """The server has said something that nobody asked for: mostly a 421 before it closes."""
        return bool(self._buffer or self._text or not self._replies.empty())

    async def write(self, data: bytes) -> None:
        self._transport.write(data)
        await self._writable.wait()

    async def reply(self) -> SmtpReply | None:
        """The next reply; None when the connection is lost."""
        if self.lost and self._replies.empty():
            return None
        return await self._replies.get()


class Connection:
    """A logged-in session that takes one transaction after the other."""

    def __init__(
        self, transport: asyncio.Transport, extensions: dict[str, bool], timeouts: Timeouts
    ) -> None:
        self._transport = transport
        self._lines = _Lines(transport)
        transport.set_protocol(self._lines)
        self._pipelining = extensions["pipelining"]
        self._smtputf8 = extensions["smtputf8"]
        self._timeouts = timeouts
        self.sent = 0
        self.in_doubt = False  # the final dot is written, its reply not read

    @property
    def usable(self) -> bool:
        open_ = not self._lines.lost and not self._transport.is_closing()
        return open_ and not self._lines.unread

    async def send(
        self, envelope: Envelope, content: bytes, begin: Callable[[], Awaitable[bool]]
    ) -> SmtpReply:
        """One transaction; `content` is dot-stuffed and ends with the final dot.

        `begin` claims the delivery; it runs while the envelope travels, and the dot is written only
        if it says yes. Raises Refused, NotOurs, or OutcomeUnknown after the dot.
        """
        if not envelope.isascii and not self._smtputf8:
            reply = SmtpReply(553, "5.6.7 the server does not offer SMTPUTF8 (RFC 6531)")
            raise Refused(Phase.RCPT, reply)
        claim = asyncio.ensure_future(begin())
        try:
            await self._envelope(envelope)
            ours = await claim
        except Refused:
            claim.cancel()
            raise
        except BaseException:
            claim.cancel()
            self.abort()  # in the middle of a transaction: nothing else may be said here
            raise
        if not ours:
            self.abort()
            raise NotOurs
        if not self.usable:
            self.abort()
            raise Refused(Phase.DATA, None, "the connection was lost before the content")
        return await self._content(content)

    async def _envelope(self, envelope: Envelope) -> None:
        utf8 = "" if envelope.isascii else " SMTPUTF8"
        commands = (
            (Phase.MAIL, f"MAIL FROM:<{envelope.reverse_path}>{utf8}\r\n".encode()),
            (Phase.RCPT, f"RCPT TO:<{envelope.forward_path}>\r\n".encode()),
            (Phase.DATA, b"DATA\r\n"),
        )
        if self._pipelining:
            await self._lines.write(b"".join(command for _, command in commands))
        refused: Refused | None = None
        for phase, command in commands:
            if not self._pipelining:
                await self._lines.write(command)
            reply = await self._reply(phase, self._timeouts.reply)
            good = reply.code == 354 if phase is Phase.DATA else reply.positive
            if not good and refused is None:
                refused = Refused(phase, reply)
            if refused and (not self._pipelining or reply.code == 421):
                break
        if refused:
            with contextlib.suppress(Refused):  # what the server said before counts
                await self._recover(reply)
            raise refused

    async def _recover(self, last: SmtpReply) -> None:
        """After a refusal: leave the server where the next transaction can begin."""
        if last.code == 354:  # content is awaited although nobody is left to get it (RFC 2920 §3.1)
            await self._lines.write(b".\r\n")
            await self._reply(Phase.DATA, self._timeouts.reply)
        if last.code == 421:
            self.abort()
            return
        await self._lines.write(b"RSET\r\n")
        await self._reply(Phase.MAIL, self._timeouts.reply)

    async def _content(self, content: bytes) -> SmtpReply:
        self.in_doubt = True
        try:
            async with asyncio.timeout(self._timeouts.final_reply):
                await self._lines.write(content)
                reach("after-dot")
                reply = await self._lines.reply()
        except TimeoutError as error:
            self.abort()
            raise OutcomeUnknown("no reply to the final dot in time") from error
        if reply is None:
            self.abort()
            raise OutcomeUnknown("the connection was lost after the final dot")
        if not (reply.positive or reply.transient or reply.permanent):
            self.abort()
            raise OutcomeUnknown(f"a reply to the final dot that means nothing: {reply}")
        self.in_doubt = False
        self.sent += 1
        if not reply.positive:
            if reply.code == 421:
                self.abort()
            raise Refused(Phase.FINAL, reply)
        return reply

    async def _reply(self, phase: Phase, seconds: float) -> SmtpReply:
        try:
            async with asyncio.timeout(seconds):
                reply = await self._lines.reply()
        except TimeoutError as error:
            self.abort()
            raise Refused(phase, None, f"no reply to {phase} in {seconds:g} s") from error
        if reply is None:
            self.abort()
            raise Refused(phase, None, f"the connection was lost during {phase}")
        return reply

    async def quit(self) -> None:
        """QUIT politely, within two seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                if self.usable:
                    await self._lines.write(b"QUIT\r\n")
                    await self._lines.reply()
        self._transport.close()

    def abort(self) -> None:
        self._lines.lost = True
        self._transport.abort()


async def connect(
    server: MailServer,
    password: str,
    *,
    tls_context: ssl.SSLContext,
    local_hostname: str,
    timeouts: Timeouts,
) -> Connection:
    """Open a session and log in. Raises TransientFailure or PermanentFailure (a refused log-in).

    The password is never part of an error.
    """
    session = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.security is SmtpSecurity.IMPLICIT,
        start_tls=False,  # done by hand below: "None" would send AUTH in clear
        tls_context=tls_context,
        local_hostname=local_hostname,
        timeout=timeouts.connect,
    )
    try:
        async with asyncio.timeout(timeouts.connect):
            await session.connect()
            if server.security is SmtpSecurity.STARTTLS:
                await session.starttls(tls_context=tls_context)
            await session.ehlo()
            if server.auth_method == "xoauth2":
                await session.auth_xoauth2(server.username, password)
            elif server.username:
                await session.login(server.username, password)
    except aiosmtplib.SMTPAuthenticationError as error:
        session.close()
        raise _auth_failure(SmtpReply(error.code, error.message)) from None
    except aiosmtplib.SMTPResponseException as error:
        session.close()
        raise TransientFailure(
            "the session was refused", SmtpReply(error.code, error.message)
        ) from error
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        session.close()
        raise TransientFailure(f"{type(error).__name__}: {error}") from error
    extensions = {name: session.supports_extension(name) for name in ("pipelining", "smtputf8")}
    # uvloop's transports have the methods of asyncio.Transport without being one.
    return Connection(cast(asyncio.Transport, session.transport), extensions, timeouts)


def _auth_failure(reply: SmtpReply) -> TransientFailure | PermanentFailure:
    kind = PermanentFailure if reply.permanent else TransientFailure
    return kind("the log-in was refused", reply)
