"""SMTP in, in this process: its server on a real socket, its store in memory, a registry that knows
two clients."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mongomock_motor import AsyncMongoMockClient

from dispatcher.mail_intake import MailIntake, MailTimes
from dispatcher.relay_access import RelayAccess
from dispatcher.relay_server import Ports, RelayLimits, RelayServer
from dispatcher.store.messages import Messages
from dispatcher.store.senders import Senders
from postfleet.certificates import ServerCertificate, self_signed
from postfleet.events.senders import SenderSnapshot
from postfleet.outages import Unavailable
from tests.support.ports import free_ports
from tests.unit.dispatcher.test_planning import sender

LOGIN, PASSWORD = "ann@fleet-test.relay.test", b"correct horse"
LIMITS = RelayLimits(
    hostname="mx.fleet.test",
    max_bytes=200_000,
    max_recipients=100,
    max_connections=50,
    max_connections_per_ip=20,
    idle_seconds=5,
    mail_seconds=5,
    buffer_bytes=1_000_000,
    deduplicate=True,
)


def relaying(sender_id: str, address: str, **fields: Any) -> SenderSnapshot:
    changes = {"access_methods": ("smtp",), "domain": address.partition("@")[2], **fields}
    return sender(sender_id).model_copy(update={"email_address": address, **changes})


FLEET = (
    relaying("ann", "ann@fleet.test"),
    relaying("bob", "bob@fleet.test", bcc="copies@fleet.test", archive="vault@archive.test"),
    relaying("eve", "eve@other.test"),
    relaying("cam", "cam@fleet.test", access_methods=("campaign",)),
    relaying("sus", "sus@fleet.test", suspended=True),
    relaying("net", "net@fleet.test"),
)


@dataclass
class RelayWorld:
    """`net@fleet.test` is let in from this machine; ann has a log-in."""

    server: RelayServer
    messages: Messages
    database: Any
    submission: int
    plain: int
    client_context: ssl.SSLContext
    asked: list[dict[str, Any]] = field(default_factory=list)
    registry_is_up: bool = True

    async def ask(self, _: str, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(question)
        if not self.registry_is_up:
            raise Unavailable("no answer")
        good = {"login": LOGIN, "hash": sha256(PASSWORD).hexdigest()}
        if question == good:
            return {"sender_id": "ann", "email_address": "ann@fleet.test"}
        if question in ({"ip": ip, "address": "net@fleet.test"} for ip in ("127.0.0.1", "::1")):
            return {"sender_id": "net", "email_address": "net@fleet.test"}
        return {"sender_id": None}

    async def stored(self) -> list[dict[str, Any]]:
        """Envelopes, each with its content."""
        found = []
        for pack in await self.messages.due(2**53, 1000):
            for name, mail in pack.by_name.items():
                found.append({**asdict(mail), "content": await self.messages.content(name)})
        return found


@contextlib.asynccontextmanager
async def relay_world(folder: Path, **limits: Any) -> AsyncIterator[RelayWorld]:
    database = AsyncMongoMockClient()["dispatcher"]
    messages = Messages(database.messages)
    senders = Senders(database.senders)
    for one in FLEET:
        await senders.apply(one)
    intake = MailIntake(messages, lambda: None, MailTimes(1_000_000, 1_000_000))
    submission, plain = free_ports(2)
    files = self_signed(folder / "tls", ["localhost"])
    context = ssl.create_default_context(cafile=files[0])
    world: RelayWorld

    async def ask(subject: str, question: dict[str, Any]) -> dict[str, Any]:
        return await world.ask(subject, question)

    server = RelayServer(
        Ports("127.0.0.1", submission, plain),
        replace(LIMITS, **limits),
        RelayAccess(ask, senders),
        intake,
        ServerCertificate(*files),
        b"key",
    )
    world = RelayWorld(server, messages, database, submission, plain, context)
    await server.start()
    try:
        yield world
    finally:
        await server.stop()


class Raw:
    """A client that writes exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Raw":
        raw = cls(*await asyncio.open_connection("127.0.0.1", port))
        assert (await raw.reply()).startswith("220 ")
        return raw

    async def reply(self) -> str:
        """One whole reply, "" at the end of the connection."""
        lines = []
        async with asyncio.timeout(10):
            while line := (await self.reader.readline()).decode():
                lines.append(line)
                if line[3:4] == " ":
                    break
        return "".join(lines)

    async def say(self, data: str | bytes) -> str:
        """Write, and return the next reply."""
        self.write(data)
        return await self.reply()

    def write(self, data: str | bytes) -> None:
        self.writer.write(data if isinstance(data, bytes) else f"{data}\r\n".encode())

    async def rest(self) -> list[str]:
        """Every reply until the server closes."""
        replies = []
        while reply := await self.reply():
            replies.append(reply)
        return replies

    async def start_tls(self, context: ssl.SSLContext) -> None:
        assert (await self.say("STARTTLS")).startswith("220 ")
        await self.writer.start_tls(context, server_hostname="localhost")

    async def log_in(self, context: ssl.SSLContext) -> None:
        await self.say("EHLO client.test")
        await self.start_tls(context)
        await self.say("EHLO client.test")
        assert (await self.say(f"AUTH PLAIN {plain()}")).startswith("235 ")

    async def envelope(self, author: str = "net@fleet.test", *people: str) -> None:
        """EHLO to 354."""
        await self.say("EHLO client.test")
        assert (await self.say(f"MAIL FROM:<{author}>")).startswith("250 ")
        for person in people or ("a@people.test",):
            assert (await self.say(f"RCPT TO:<{person}>")).startswith("250 ")
        assert (await self.say("DATA")).startswith("354 ")

    def close(self) -> None:
        self.writer.close()


def plain(login: str = LOGIN, password: bytes = PASSWORD) -> str:
    import base64

    return base64.b64encode(b"\0" + login.encode() + b"\0" + password).decode()


MAIL = (
    "From: Net <net@fleet.test>\r\nTo: a@people.test\r\nSubject: Hello\r\n"
    "Message-ID: <1@client.test>\r\n\r\nHi\r\n"
)
