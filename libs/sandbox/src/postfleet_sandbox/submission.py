"""The SMTP submission server: aiosmtpd's protocol, told what to answer by the reception."""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from postfleet_sandbox.accounts import Account, Accounts
from postfleet_sandbox.reception import Reception

HOST = "127.0.0.1"
MAX_SIZE_BYTES = 25 * 1024 * 1024
_PLAIN_PATH = re.compile(r"<([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+)>( .*)?")
_MAX_LINE_BYTES = 1000  # with the CRLF (RFC 5321 §4.5.3.1.6)
_EXTENSIONS = ["250-PIPELINING", "250-ENHANCEDSTATUSCODES"]

# It warns about its own deprecated attribute at every log-in.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class Connection(SMTP):
    """One client. Reads mails whole and answers a pipelined group with one write."""

    line_length_limit = 2 * MAX_SIZE_BYTES  # of the reader; lines are checked when a mail is whole
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, server: "SubmissionServer", context: ssl.SSLContext, *, tls: bool) -> None:
        super().__init__(
            server.hooks,
            hostname="smtp.sandbox.test",
            ident="ESMTP Postfleet sandbox",
            data_size_limit=MAX_SIZE_BYTES,
            enable_SMTPUTF8=True,
            tls_context=None if tls else context,
            auth_required=True,
            authenticator=server.hooks.authenticate,
            loop=asyncio.get_running_loop(),
        )
        self._auth_require_tls = not tls  # with implicit TLS, AUTH is allowed from the start
        self._server = server
        self._held = bytearray()

    async def push(self, status: str | bytes) -> None:
        """Answer. Once logged in, what is said in one turn of the loop is one write.

        A 421 ends the connection (RFC 5321 §3.8).
        """
        line = status.encode() if isinstance(status, str) else status
        if not self._held:
            asyncio.get_running_loop().call_soon(self.flush)
        self._held += line + b"\r\n"
        if line.startswith(b"221") or not (self.session and self.session.authenticated):
            self.flush()
        if line.startswith(b"421"):
            await self.hang_up(politely=True)

    def flush(self) -> None:
        """Write what is held back."""
        if self._held and self.transport is not None and not self.transport.is_closing():
            self._writer.write(bytes(self._held))
        self._held.clear()

    async def hang_up(self, *, politely: bool = False) -> None:
        """End the connection here and now; earlier answers still go out. Does not return."""
        self.flush()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
        self.drop(politely=politely)
        await asyncio.sleep(0)

    def drop(self, *, politely: bool = False) -> None:
        """Close the connection, or cut it."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.close() if politely else self.transport.abort()

    async def smtp_DATA(self, arg: str) -> None:
        """Take a mail with few reads; the lines of a mail are not worth one each."""
        if await self.check_auth_needed("DATA"):
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        envelope = self.envelope
        content = await self._read_mail()
        self.envelope = Envelope()
        if content is None:
            await self.push("552 5.3.4 Message too big")
        elif max(map(len, content.split(b"\n"))) >= _MAX_LINE_BYTES:
            await self.push("500 5.5.2 Line too long")
        else:
            await self.push(await self._server.hooks.receive(self, envelope, content))

    async def _read_mail(self) -> bytes | None:
        """Read to the final dot; None if the mail is too big. Dot-stuffing is undone."""
        chunks: list[bytes] = []
        size = 0
        while True:
            chunk = await self._reader.readuntil(b".\r\n")
            size += len(chunk)
            if size <= MAX_SIZE_BYTES:
                chunks.append(chunk)
            if chunk == b".\r\n" or chunk.endswith(b"\r\n.\r\n"):
                break
        if size > MAX_SIZE_BYTES:
            return None
        content = b"".join(chunks)[:-3].replace(b"\r\n.", b"\r\n")
        return content[1:] if content.startswith(b".") else content

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Parse a path: ordinary ones with one expression, the others as aiosmtpd does."""
        found = _PLAIN_PATH.fullmatch(arg)
        return (found[1], found[2] or "") if found else super()._getaddr(arg)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Also called a second time, after STARTTLS."""
        self._server.connections.add(self)
        super().connection_made(transport)

    def eof_received(self) -> bool:
        """Let the transport close itself; TLS knows no half-closed connections."""
        super().eof_received()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self._server.connections.discard(self)
        super().connection_lost(error)


class Hooks:
    """aiosmtpd's handler: names and signatures are its own."""

    def __init__(self, accounts: Accounts, reception: Reception) -> None:
        self._accounts = accounts
        self._reception = reception

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        """Check user and password; the account becomes the session's `auth_data`."""
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        user, password = (part.decode("utf-8", "replace") for part in data)
        account = self._accounts.authenticate(user, password)
        return AuthResult(success=account is not None, handled=False, auth_data=account)

    async def handle_EHLO(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Announce what aiosmtpd does not announce by itself."""
        session.host_name = hostname
        return [*responses[:-1], *_EXTENSIONS, responses[-1]]

    async def handle_MAIL(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Accept the account's own address as reverse-path, no other."""
        account = _account(session)
        if address.lower() != account.address:
            return f"553 5.7.1 Sender address rejected: not owned by user {account.address}"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self,
        server: Connection,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Let the recipient's behaviour answer."""
        recipient = address.lower()
        delay_ms = self._reception.behaviour_of(recipient).rcpt_delay_ms
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        refusal = self._reception.refusal(recipient, _account(session).address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(recipient)
        return "250 2.1.5 Ok"

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Answer with an enhanced status."""
        return "250 2.0.0 Ok"

    async def receive(self, server: Connection, envelope: Envelope, content: bytes) -> str:
        """Return the reply to the final dot; does not return when the connection is dropped."""
        behaviours = map(self._reception.behaviour_of, envelope.rcpt_tos)
        delay_ms = max(behaviour.data_delay_ms for behaviour in behaviours)
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        assert server.session is not None
        account = _account(server.session)
        answer = self._reception.receive(account, envelope.rcpt_tos, content)
        if answer.hang_up:
            await server.hang_up()
        return answer.reply


def _account(session: Session) -> Account:
    account: object = session.auth_data
    assert isinstance(account, Account)
    return account


class SubmissionServer:
    """The listening sockets: STARTTLS on one port, implicit TLS on the other."""

    def __init__(self, accounts: Accounts, reception: Reception, context: ssl.SSLContext) -> None:
        self.hooks = Hooks(accounts, reception)
        self.connections: set[Connection] = set()
        self.smtp_port = 0
        self.smtps_port = 0
        self._context = context
        self._host = HOST
        self._listeners: list[asyncio.Server] = []

    async def start(self, smtp_port: int, smtps_port: int, host: str = HOST) -> None:
        """Listen; port 0 means any free one."""
        self._host = host
        sockets = [await bound_socket(port, host) for port in (smtp_port, smtps_port)]
        self.smtp_port, self.smtps_port = (listener.getsockname()[1] for listener in sockets)
        await self._listen(sockets)

    async def outage(self, seconds: float) -> None:
        """Cut all connections and refuse new ones for a while."""
        await self.stop()
        # Bound but not listening: nobody else gets the ports, and clients are refused.
        sockets = [
            await bound_socket(port, self._host) for port in (self.smtp_port, self.smtps_port)
        ]
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            for listener in sockets:
                listener.close()
            raise
        await self._listen(sockets)

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in list(self.connections):
            connection.drop()
        await asyncio.sleep(0)

    async def _listen(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        starttls, implicit = sockets
        self._listeners = [
            await loop.create_server(self._connection(tls=False), sock=starttls, backlog=512),
            await loop.create_server(
                self._connection(tls=True), sock=implicit, backlog=512, ssl=self._context
            ),
        ]

    def _connection(self, *, tls: bool) -> Callable[[], Connection]:
        return lambda: Connection(self, self._context, tls=tls)


async def bound_socket(port: int, host: str = HOST) -> socket.socket:
    """Bind to `port`, waiting up to a second for a closing listener to let go."""
    for _ in range(100):
        candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            candidate.bind((host, port))
            candidate.setblocking(False)
            return candidate
        candidate.close()
        await asyncio.sleep(0.01)
    raise OSError(f"port {port} on {host} is in use: stop what listens there or choose another")
