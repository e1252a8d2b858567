"""The watcher's IMAP connection against the mail world of the demo (pymap)."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inbox_watcher.domain.understand import understand
from inbox_watcher.domain.understood import Kind
from inbox_watcher.imap import ImapConnection
from inbox_watcher.imap_protocol import ImapLimits
from inbox_watcher.imap_session import LoginRefused, Server
from inbox_watcher.mailbox_names import INBOX, folders_to_read, sent_folder
from postfleet_sandbox import Sandbox

_ADDRESS, _PASSWORD = "ann@fleet.test", 'correct "horse" \\ staple'


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(data=tmp_path / "box") as running:
        running.add_account(_ADDRESS, _PASSWORD)
        yield running


@contextlib.asynccontextmanager
async def connected(box: Sandbox) -> AsyncIterator[ImapConnection]:
    server = Server("localhost", box.imap_port, box.client_context)
    connection = await ImapConnection.connect(server, ImapLimits(command_seconds=5))
    try:
        yield connection
    finally:
        connection.close()


async def test_log_in_folders_idle_search_and_fetch_work(box: Sandbox) -> None:
    async with connected(box) as connection:
        await connection.login(_ADDRESS, _PASSWORD)
        assert connection.can_idle
        listed = await connection.folders()
        sent = sent_folder(listed)
        assert sent is not None
        assert (sent.name, sent.marked) == ("Sent", True)
        folders = folders_to_read(listed)
        assert [(folder.name, folder.junk) for folder in folders] == [
            ("INBOX", False),
            ("Junk", True),
        ]
        before = await connection.examine(INBOX)
        waiting = asyncio.create_task(connection.wait_for_news(10))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        raw = b"From: a@b.test\r\nSubject: Re: (x\r\nIn-Reply-To: <m@x>\r\n\r\nYes ) {3}\r\nabc\r\n"
        await box.deliver(_ADDRESS, raw, "one")
        assert await waiting
        assert time.monotonic() - began < 2
        after = await connection.examine(INBOX)
        assert (after.uid_validity, after.uid_next) == (before.uid_validity, before.uid_next + 1)
        uids = await connection.search(before.uid_next, after.uid_next - 1, None)
        (fetched,) = await connection.fetch(uids, 100_000)
        assert fetched.raw is not None
        assert fetched.raw.endswith(b"Yes ) {3}\r\nabc\r\n")
        assert fetched.size_bytes == len(fetched.raw)
        assert understand(fetched.raw).kind is Kind.REPLY
        (part,) = await connection.fetch(uids, 20)
        assert part.raw == fetched.raw[:20]
        (status,) = await connection.statuses(folders[1:2])
        assert status is not None
        assert status.uid_next >= 1
        assert await connection.wait_for_news(0.2) is False
        await connection.logout()


async def test_a_wrong_password_is_refused(box: Sandbox) -> None:
    async with connected(box) as connection:
        with pytest.raises(LoginRefused):
            await connection.login(_ADDRESS, "wrong")


async def test_two_hundred_messages_at_once_arrive_in_order(box: Sandbox) -> None:
    for number in range(200):
        raw = f"Subject: {number}\r\n\r\n{'x' * 500}\r\n".encode()
        await box.deliver(_ADDRESS, raw, f"key-{number}")
    async with connected(box) as connection:
        await connection.login(_ADDRESS, _PASSWORD)
        state = await connection.examine(INBOX)
        uids = await connection.search(1, state.uid_next - 1, None)
        fetched = await connection.fetch(uids, 1000)
        subjects = [(mail.raw or b"").split(b"Subject: ")[1].split(b"\r\n")[0] for mail in fetched]
        assert subjects == [str(number).encode() for number in range(200)]
        with pytest.raises(ValueError, match="at most 200"):
            await connection.fetch(range(1, 202), 1000)
