"""One SMTP client that hands mail in: aiosmtpd's protocol, with stricter lines, paths and content."""

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.smtp import SMTP, Envelope, TLSSetupException
from pymongo.errors import PyMongoError

from dispatcher.domain.relayed import bare_line_ends
from dispatcher.relay_access import Login
from dispatcher.relay_hooks import Hooks, keep
from postfleet.addresses import InvalidAddress, split_address
from postfleet.outages import Unavailable
from postfleet.rpc import RequestRefused

if TYPE_CHECKING:
    from dispatcher.relay_server import RelayServer

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
_MAX_REFUSALS = 100  # of one session; who is refused so often is no mail program
_MAX_OVERSHOOT = 4  # times the largest mail is read and forgotten before the connection is cut
_PATH = re.compile(r"<((?:\"(?:[^\"\\]|\\.)*+\"|[^\"<>\s])*+)>(?: +(.*))?")
_AUTH_PARAMETER = re.compile(r" AUTH=\S*", re.IGNORECASE)  # RFC 4954 §5: we trust nobody's
_CODED = re.compile(r"[245]\d\d [245]\.\d{1,3}\.\d{1,3}(?: |$)")
#: what aiosmtpd says without an enhanced status (RFC 2034)
_STATUS = {
    "221": "2.0.0", "250": "2.0.0", "252": "2.5.0", "421": "4.3.0", "451": "4.3.0",
    "454": "4.7.0", "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1",
    "504": "5.5.4", "530": "5.7.0", "538": "5.7.11", "552": "5.3.4", "553": "5.1.3",
    "554": "5.0.0", "555": "5.5.4",
}  # fmt: skip
_UNAVAILABLE = "451 4.3.0 Log-ins cannot be checked just now; try again"

# Every connection and command is logged at INFO otherwise, and its own deprecations at WARNING.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class RelaySession(SMTP):
    """`submission`: TLS before anything else that matters, and log-ins; else by network only."""

    line_length_limit = _CHUNK  # of the reader: lines are checked when a mail is whole
    command_size_limit = 2048  # RFC 5321 §4.5.3.1.4 asks for 512; SMTPUTF8 and AUTH for more
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, server: "RelayServer", *, submission: bool) -> None:
        self.server, self.submission, self.ip = server, submission, ""
        super().__init__(
            Hooks(server),
            data_size_limit=server.limits.max_bytes,
            enable_SMTPUTF8=True,
            hostname=server.limits.hostname,
            ident="ESMTP Postfleet",
            tls_context=server.tls_context,
            require_starttls=submission,
            timeout=server.limits.idle_seconds,
            authenticator=keep,
            loop=asyncio.get_running_loop(),
        )
        self.in_mail = False
        self.login: Login | None = None
        self._greeting = False
        self._refusals = 0

    @property
    def secure(self) -> bool:
        return self._tls_protocol is not None

    # -- the connection --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Also called a second time, after STARTTLS."""
        if not self.ip:
            peer = transport.get_extra_info("peername")
            self.ip = str(peer[0]) if peer else "unknown"
            if not self.server.admit(self, transport):
                return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.server.forget(self):
            super().connection_lost(error)

    def eof_received(self) -> bool:
        """Let the transport close itself: a mail that was cut off is no mail."""
        if self.session is not None:
            super().eof_received()
        return False

    def _cb_client_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super()._cb_client_connected(reader, writer)
        # Commands and AUTH answers are read by readuntil(b"\n"): none may end in a bare LF.
        read = reader.readuntil

        async def strict(separator: bytes = b"\n") -> bytes:
            line = await read(separator)
            if separator == b"\n" and bare_line_ends(line):
                await self.hang_up("521 5.5.2 Lines end in CRLF, nothing else (RFC 5321, 2.3.8)")
            return line

        setattr(reader, "readuntil", strict)  # noqa: B010

    def _timeout_cb(self) -> None:
        self.say_last("421 4.4.2 Idle for too long, closing the connection")

    def say_last(self, line: str) -> None:
        """A last line, and the end of the connection."""
        if self.secure and self.session is not None and self.session.ssl is None:
            # In the handshake nothing can be said, and nobody would tell us of its end.
            cast(asyncio.Transport, self._original_transport).abort()
            self.connection_lost(None)
            return
        transport: Any = self.transport  # uvloop's have the methods of asyncio's, not their types
        if transport is not None and not transport.is_closing():
            transport.write(f"{line}\r\n".encode())
            transport.close()

    async def hang_up(self, line: str) -> None:
        """Say why, and end it here. Does not return."""
        self.say_last(line)
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
        await asyncio.sleep(0)

    async def push(self, status: str | bytes) -> None:
        line = status.decode() if isinstance(status, bytes) else status
        code = line[:3]
        if not self._greeting and line[3:4] == " " and code in _STATUS and not _CODED.match(line):
            line = f"{code} {_STATUS[code]} {line[4:]}"
        await super().push(line)
        if code[0] in "45" and code != "452":
            self._refusals += 1
            if self._refusals >= _MAX_REFUSALS:
                await self.hang_up("421 4.7.0 Too many errors, closing the connection")

    async def handle_exception(self, error: Exception) -> str:
        """Nothing was accepted; what failed is in our log, not in the reply."""
        if isinstance(error, Unavailable | RequestRefused):
            return _UNAVAILABLE
        if isinstance(error, TLSSetupException):
            log.info("no TLS with %s: %s", self.ip, error.__cause__)
            return "421 4.7.0 No TLS"  # which aiosmtpd does not send: it cuts the connection
        if isinstance(error, PyMongoError):
            return "451 4.3.0 The mail cannot be stored just now; try again"
        log.error("a mail that was handed in failed: %r", error, exc_info=error)
        return "451 4.3.0 Something went wrong here; try again"

    # -- commands --------------------------------------------------------------------------------

    async def smtp_EHLO(self, arg: str) -> None:
        self._greeting = True
        await super().smtp_EHLO(arg)
        self._greeting = False

    async def smtp_HELO(self, arg: str) -> None:
        self._greeting = True
        await super().smtp_HELO(arg)
        self._greeting = False

    async def smtp_AUTH(self, arg: str) -> None:
        """Mechanisms are named in any case; by network only, there is nothing to log in to."""
        if not self.submission:
            await self.push("502 5.5.1 This port takes no log-ins: it knows networks only")
            return
        mechanism, space, rest = (arg or "").partition(" ")
        await super().smtp_AUTH(f"{mechanism.upper()}{space}{rest}")

    async def smtp_MAIL(self, arg: str | None) -> None:
        if arg and arg.upper().replace(" ", "").startswith("FROM:<>"):
            await self.push("550 5.7.1 The null reverse-path is no sender")
            return
        await super().smtp_MAIL(_AUTH_PARAMETER.sub("", arg) if arg else arg)

    async def smtp_DATA(self, arg: str) -> None:
        """Read a mail to its end, whatever is in it; then take it, or say why not."""
        envelope = self.envelope
        if await self.check_helo_needed():
            return
        if envelope is None or not envelope.rcpt_tos:
            await self.push("503 5.5.1 There is no recipient: give RCPT first")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self.in_mail = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            content = await self._read_mail()
            self.envelope = Envelope()
            if isinstance(content, str):
                await self.push(content)
            else:
                await self.push(await self.server.take(self, envelope, content))
        finally:
            self.in_mail = False
            self._reset_timeout()
        if self.server.draining:
            await self.hang_up("421 4.3.2 Going down, try again")

    async def _read_mail(self) -> bytes | str:
        """The content without dot-stuffing, or the reply that refuses it.

        The only end is CRLF.CRLF: with any other the mail goes on, and is refused for it.
        """
        limits = self.server.limits
        chunks: list[bytes] = []
        size, tail = 0, b"\r\n"
        until = time.monotonic() + limits.mail_seconds
        held = 0
        try:
            while True:
                self._reset_timeout(max(1.0, min(limits.idle_seconds, until - time.monotonic())))
                chunk = await self._chunk()
                size += len(chunk)
                tail = (tail + chunk[-5:])[-5:]
                if size <= limits.max_bytes and self.server.hold(len(chunk)):
                    held += len(chunk)
                    chunks.append(chunk)
                elif chunks:
                    chunks.clear()
                if tail.endswith(b"\r\n.\r\n"):
                    break
                if size > _MAX_OVERSHOOT * limits.max_bytes:
                    await self.hang_up(f"552 5.3.4 A mail may have {limits.max_bytes} octets")
        finally:
            self.server.release(held)
        if size > limits.max_bytes:
            return f"552 5.3.4 A mail may have {limits.max_bytes} octets"
        if held < size:
            return "452 4.3.1 Too much mail at once; try again"
        return _unstuffed(b"".join(chunks)[:-3])

    async def _chunk(self) -> bytes:
        """What has arrived, at most to the next possible end."""
        try:
            return await self._reader.readuntil(b".\r\n")
        except asyncio.LimitOverrunError as error:
            return await self._reader.read(max(1, error.consumed))

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A path as RFC 5321 §4.1.2 has it, in brackets; nothing is repaired."""
        found = _PATH.fullmatch(arg.strip())
        if not found:
            return None, None
        try:
            split_address(found[1])
        except (InvalidAddress, UnicodeError):
            return None, None
        return found[1], found[2] or ""


def _unstuffed(data: bytes) -> bytes:
    """RFC 5321 §4.5.2: a dot at the start of a line was doubled."""
    content = data.replace(b"\r\n.", b"\r\n")
    return content[1:] if content.startswith(b".") else content
