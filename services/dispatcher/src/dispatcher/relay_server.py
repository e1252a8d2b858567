"""SMTP in: two listeners, what they may hold at once, and what becomes of a mail that is handed in."""

import asyncio
import hmac
import logging
import ssl
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

from aiosmtpd.smtp import Envelope

from dispatcher.domain.identity import message_id
from dispatcher.domain.mail import keyed_id, new_id
from dispatcher.domain.relayed import Arrival, Relayed, Unacceptable, completed, examine
from dispatcher.mail_intake import MailIntake
from dispatcher.relay_access import RelayAccess
from dispatcher.relay_session import RelaySession
from postfleet import metrics
from postfleet.certificates import ServerCertificate
from postfleet.events.senders import SenderSnapshot
from postfleet.instants import now, now_ms

log = logging.getLogger(__name__)

GOING_DOWN = "421 4.3.2 Going down, try again"
_BACKLOG = 512
_BIND_AGAIN_SECONDS = 5.0
_DRAIN_SECONDS = 20.0  # for mails whose content is on its way


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """`max_bytes` is of one mail (RFC 1870), `buffer_bytes` of all that arrive at once."""

    hostname: str
    max_bytes: int
    max_recipients: int
    max_connections: int
    max_connections_per_ip: int
    idle_seconds: float
    mail_seconds: float
    buffer_bytes: int
    deduplicate: bool


@dataclass(frozen=True, slots=True)
class Ports:
    """0: not served."""

    host: str
    submission: int
    plain: int


class RelayServer:
    def __init__(
        self,
        ports: Ports,
        limits: RelayLimits,
        access: RelayAccess,
        intake: MailIntake,
        certificate: ServerCertificate | None,
        message_id_key: bytes,
    ) -> None:
        self.limits, self.access, self._certificate = limits, access, certificate
        self._ports, self._intake, self._key = ports, intake, message_id_key
        self._sessions: set[RelaySession] = set()
        self._per_ip: Counter[str] = Counter()
        self._held = 0
        self._listeners: list[asyncio.Server] = []
        self.draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self.listening = not (ports.submission or ports.plain)

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """With the certificate as it is in its files now."""
        return self._certificate.fresh() if self._certificate else None

    # -- the listeners ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen; while a port is in use, say so and try again."""
        while not self.listening:
            try:
                await self._listen()
                self.listening = True
            except OSError as error:
                log.error(
                    "SMTP in cannot listen (%s): POSTFLEET_DISPATCHER_SMTP_HOST, _SMTP_PORT and "
                    "_SMTP_PLAIN_PORT say where",
                    error,
                )
                await self._close()
                await asyncio.sleep(_BIND_AGAIN_SECONDS)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for port, submission in ((self._ports.submission, True), (self._ports.plain, False)):
            if port:
                client = partial(RelaySession, self, submission=submission)
                self._listeners.append(
                    await loop.create_server(client, self._ports.host, port, backlog=_BACKLOG)
                )
                log.info("SMTP in on %s:%d", self._ports.host, port)

    async def stop(self) -> None:
        """Take no more; mails whose content is on its way may end."""
        await self._close()
        self.draining = True
        for session in list(self._sessions):
            if not session.in_mail:
                session.say_last(GOING_DOWN)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._empty.wait()
        for session in list(self._sessions):
            session.say_last(GOING_DOWN)

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    # -- what is held at once --------------------------------------------------------------------

    def admit(self, session: RelaySession, transport: Any) -> bool:
        """Whether there is room for this client; otherwise it was told so."""
        full = len(self._sessions) >= self.limits.max_connections
        if full or self._per_ip[session.ip] >= self.limits.max_connections_per_ip:
            metrics.relay_refused.labels("connections").inc()
            transport.write(b"421 4.7.0 Too many connections; try again\r\n")
            transport.close()
            return False
        self._empty.clear()
        self._sessions.add(session)
        self._per_ip[session.ip] += 1
        return True

    def forget(self, session: RelaySession) -> bool:
        """Whether it had been admitted."""
        if session not in self._sessions:
            return False
        self._sessions.discard(session)
        self._per_ip[session.ip] -= 1
        if not self._per_ip[session.ip]:
            del self._per_ip[session.ip]
        if not self._sessions:
            self._empty.set()
        return True

    def hold(self, size: int) -> bool:
        """Room for so many octets of content; given back by `release`."""
        if self._held + size > self.limits.buffer_bytes:
            return False
        self._held += size
        return True

    def release(self, size: int) -> None:
        self._held -= size

    # -- a mail ----------------------------------------------------------------------------------

    async def take(self, session: RelaySession, envelope: Envelope, content: bytes) -> str:
        """The reply to the final dot: 250 only when the mail is stored, and then it is sent.

        Raises PyMongoError or Unavailable when that cannot be said.
        """
        try:
            mail = examine(content, smtputf8=envelope.smtp_utf8)
            author = await self._author(session, mail)
        except Unacceptable as refusal:
            metrics.relay_refused.labels("content").inc()
            return str(refusal)
        return await self._store(session, envelope, mail, author)

    async def _author(self, session: RelaySession, mail: Relayed) -> SenderSnapshot:
        """The sender of the From field; that of Sender must be one too. Raises Unacceptable."""
        if mail.agent and mail.agent != mail.author:
            await self._may_write_as(session, mail.agent)
        return await self._may_write_as(session, mail.author)

    async def _may_write_as(self, session: RelaySession, address: str) -> SenderSnapshot:
        author = await self.access.author(session.login, session.ip, address)
        if author is None:
            raise Unacceptable(f"550 5.7.1 <{address}> is no sender that you may write as")
        return author

    async def _store(
        self, session: RelaySession, envelope: Envelope, mail: Relayed, author: SenderSnapshot
    ) -> str:
        moment = now()
        id_ = self._id(author, envelope.rcpt_tos, mail)
        own = message_id(id_, author.email_address, self._key)
        assert session.session is not None
        extended = "ESMTP" if session.session.extended_smtp else "SMTP"
        protocol = extended + "S" * session.secure + "A" * (session.login is not None)
        arrival = Arrival(
            helo=str(session.session.host_name),
            ip=session.ip,
            by=self.limits.hostname,
            protocol=f"UTF8{protocol.removeprefix('E')}" if envelope.smtp_utf8 else protocol,
            id=id_,
            at=moment,
        )
        made = replace(
            self._intake.mail(id_, author, envelope.rcpt_tos, now_ms()),
            subject=mail.subject,
            message_id=mail.message_id or own,
            to_each=False,
            via="relay",
        )
        await self._intake.take(made, completed(mail, arrival, own))
        metrics.relay_accepted.inc()
        return f"250 2.0.0 Accepted as {id_}"

    def _id(self, author: SenderSnapshot, recipients: Sequence[str], mail: Relayed) -> str:
        """The same mail handed in again, as after a lost 250, is the same mail."""
        if not (self.limits.deduplicate and mail.message_id):
            return new_id()
        content = sha256(mail.fields + mail.rest).hexdigest()
        people = "\x1f".join(sorted(recipients))
        identity = f"{author.sender_id}\x1f{people}\x1f{mail.message_id}\x1f{content}"
        return keyed_id("relay", hmac.digest(self._key, identity.encode(), sha256).hex())
