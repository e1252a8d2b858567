"""A running sandbox with one account, mails to send to it, and a platform that is called back."""

import asyncio
import imaplib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiosmtplib
import pytest

from postfleet_sandbox import Sandbox

SENDER = "ann@fleet.test"
PASSWORD = "correct horse"
DELAYS_S = {"human_delay_s": (0.2, 0.3), "machine_delay_s": (0.01, 0.05)}

Send = Callable[..., Awaitable[str]]


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(data=tmp_path / "box", **DELAYS_S) as running:
        running.add_account(SENDER, PASSWORD)
        yield running


@pytest.fixture
def connect(box: Sandbox) -> Callable[[], Awaitable[aiosmtplib.SMTP]]:
    """Log in as the sender, over STARTTLS."""
    return lambda: logged_in(box)


async def logged_in(box: Sandbox) -> aiosmtplib.SMTP:
    client = aiosmtplib.SMTP(
        hostname="localhost",
        port=box.smtp_port,
        start_tls=True,
        tls_context=box.client_context,
        username=SENDER,
        password=PASSWORD,
        local_hostname="client.test",
        timeout=5,
    )
    await client.connect()
    return client


@pytest.fixture
def send(box: Sandbox) -> Send:
    """Send one mail; return the reply to its final dot."""

    async def _send(to: str, *, message_id: str = "", extra: str = "", body: str = "Hi!") -> str:
        client = await logged_in(box)
        _, reply = await client.sendmail(
            SENDER, [to], mail(to, message_id=message_id, extra=extra, body=body)
        )
        await client.quit()
        return reply

    return _send


def mail(to: str, *, message_id: str = "", extra: str = "", body: str = "Hi!") -> bytes:
    lines = [
        f"From: Ann <{SENDER}>",
        f"To: {to}",
        "Subject: Our offer",
        "Date: Sat, 21 Nov 2026 10:00:00 +0000",
        f"Message-ID: {message_id or f'<{to}>'}",
        *extra.splitlines(),
        "",
        body,
    ]
    return "\r\n".join(lines).encode() + b"\r\n"


@pytest.fixture
def make_mail() -> Callable[..., bytes]:
    return mail


@dataclass
class Platform:
    """An HTTP server that remembers who asked for what, and answers as told."""

    port: int = 0
    failures: int = 0  # how many requests are still to be answered with 503
    statuses: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, method: str, path: str) -> list[tuple[str, str]]:
        """Return the user agents and bodies of the matching requests."""
        return [(agent, body) for m, p, agent, body in self.requests if (m, p) == (method, path)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        method, path, _ = head[0].split()
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = (await reader.readexactly(int(fields.get("content-length", 0)))).decode()
        self.requests.append((method, path, fields.get("user-agent", ""), body))
        status = self.statuses.get(path, "200 OK")
        if self.failures:
            self.failures -= 1
            status = "503 Starting"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    platform = Platform()
    server = await asyncio.start_server(platform.serve, "127.0.0.1", 0)
    platform.port = server.sockets[0].getsockname()[1]
    yield platform
    server.close()


@pytest.fixture
def inbox(box: Sandbox) -> Callable[[], Awaitable[list[bytes]]]:
    """Read the sender's INBOX through IMAP."""
    return lambda: asyncio.to_thread(_fetch_all, box, "INBOX")


@pytest.fixture
def folder(box: Sandbox) -> Callable[[str], Awaitable[list[bytes]]]:
    return lambda name: asyncio.to_thread(_fetch_all, box, name)


def imap_client(box: Sandbox) -> imaplib.IMAP4_SSL:
    client = imaplib.IMAP4_SSL("localhost", box.imap_port, ssl_context=box.client_context)
    client.login(SENDER, PASSWORD)
    return client


@pytest.fixture
def imap(box: Sandbox) -> Callable[[], imaplib.IMAP4_SSL]:
    return lambda: imap_client(box)


def _fetch_all(box: Sandbox, name: str) -> list[bytes]:
    client = imap_client(box)
    try:
        client.select(name, readonly=True)
        _, found = client.uid("search", "ALL")
        return [
            client.uid("fetch", uid.decode(), "(BODY.PEEK[])")[1][0][1] for uid in found[0].split()
        ]
    finally:
        client.logout()
