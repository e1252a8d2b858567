"""The IMAP side, used as a mail client uses it."""

import asyncio
import imaplib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aioimaplib
import pytest

from postfleet_sandbox import Sandbox

SENDER, PASSWORD = "ann@fleet.test", "correct horse"
Imap = Callable[[], imaplib.IMAP4_SSL]


def message(number: int) -> bytes:
    return f"Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nText {number}\r\n".encode()


async def test_logging_in_needs_the_right_password(box: Sandbox) -> None:
    def attempt() -> list[str]:
        client = imaplib.IMAP4_SSL("localhost", box.imap_port, ssl_context=box.client_context)
        with pytest.raises(imaplib.IMAP4.error):
            client.login(SENDER, "wrong")
        with pytest.raises(imaplib.IMAP4.error):
            client.login("nobody@fleet.test", PASSWORD)
        token = f"\0{SENDER}\0{PASSWORD}".encode()
        status, _ = client.authenticate("PLAIN", lambda _: token)
        client.logout()
        return [status, *map(str, client.capabilities)]

    answer = await asyncio.to_thread(attempt)
    assert answer[0] == "OK"
    assert "AUTH=PLAIN" in answer


async def test_folders_have_their_special_use(imap: Imap) -> None:
    def listed() -> list[bytes]:
        return imap().list()[1]

    lines = await asyncio.to_thread(listed)
    assert any(b"\\Sent" in line and line.endswith(b"Sent") for line in lines)
    assert any(b"\\Junk" in line and line.endswith(b"Junk") for line in lines)
    assert any(line.endswith(b"INBOX") for line in lines)


async def test_mail_is_searched_fetched_flagged_moved_and_expunged(
    box: Sandbox, imap: Imap
) -> None:
    for number in range(1, 5):
        await box.deliver(SENDER, message(number), f"key-{number}")

    def use() -> list[object]:
        client = imap()
        client.select("INBOX")
        found = client.uid("search", "HEADER", "Message-ID", "<3@x>")[1]
        fetched = client.uid("fetch", "3", "(UID RFC822.SIZE BODY.PEEK[HEADER])")[1]
        client.uid("store", "1", "+FLAGS", "(\\Seen)")
        client.uid("store", "2", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.uid("move", "4", "Junk")
        left = client.uid("search", "ALL")[1]
        unseen = client.uid("search", "UNSEEN")[1]
        junk = client.select("Junk")[1]
        client.logout()
        return [found, b"Subject: 3" in fetched[0][1], left, unseen, junk]

    assert await asyncio.to_thread(use) == [[b"3"], True, [b"1 3"], [b"3"], [b"1"]]


async def test_a_delivery_under_the_same_key_adds_nothing(box: Sandbox, imap: Imap) -> None:
    for _ in range(2):
        await box.deliver(SENDER, message(1), "same")
    assert (await asyncio.to_thread(lambda: imap().select("INBOX")))[1] == [b"1"]


@pytest.mark.parametrize("before", [False, True], ids=["while it idles", "just before"])
async def test_an_idle_client_hears_of_a_delivery_within_a_second(
    box: Sandbox, before: bool
) -> None:
    client = aioimaplib.IMAP4_SSL(
        "localhost", box.imap_port, timeout=5, ssl_context=box.client_context
    )
    await client.wait_hello_from_server()
    await client.login(SENDER, PASSWORD)
    await client.select("INBOX")
    started = time.monotonic()
    if before:
        await box.deliver(SENDER, message(1), "news")
    idling = await client.idle_start(timeout=10)
    if not before:
        await asyncio.sleep(0.2)
        started = time.monotonic()
        await box.deliver(SENDER, message(1), "news")
    news = await client.wait_server_push(timeout=5)
    assert time.monotonic() - started < 1
    assert b"1 EXISTS" in news
    client.idle_done()
    async with asyncio.timeout(5):
        await idling
    result, lines = await client.uid("fetch", "1", "(BODY.PEEK[])")
    assert (result, bytes(lines[1])) == ("OK", message(1))
    await client.logout()


async def test_a_client_that_vanishes_while_idle_is_forgotten(box: Sandbox) -> None:
    def vanish() -> None:
        plain = socket.create_connection(("127.0.0.1", box.imap_port))
        with box.client_context.wrap_socket(plain, server_hostname="localhost") as client:
            client.recv(1000)
            for line in (f'a LOGIN {SENDER} "{PASSWORD}"', "b SELECT INBOX", "c IDLE"):
                client.sendall(line.encode() + b"\r\n")
                client.recv(4000)

    await asyncio.to_thread(vanish)
    if connections := set(box._imap._connections):
        await asyncio.wait(connections, timeout=3)
    assert box._imap._connections == set()


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    def change(box: Sandbox) -> bytes:
        client = connected(box)
        client.append("Sent", "(\\Seen)", imaplib.Time2Internaldate(1_700_000_000), message(9))
        client.create("Projects/2026")
        client.select("INBOX")
        client.uid("store", "1", "+FLAGS", "(\\Flagged)")
        client.uid("store", "2", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.uid("copy", "3", "Projects/2026")
        validity = client.response("UIDVALIDITY")[1][0]
        client.logout()
        return validity

    def look(box: Sandbox) -> list[object]:
        client = connected(box)
        client.select("INBOX")
        validity = client.response("UIDVALIDITY")[1][0]
        next_uid = client.response("UIDNEXT")[1][0]
        uids = client.uid("search", "ALL")[1][0]
        flagged = client.uid("search", "FLAGGED")[1][0]
        copies = client.select("Projects/2026")[1][0]
        client.select("Sent")
        sent = client.uid("fetch", "1", "(FLAGS INTERNALDATE BODY.PEEK[])")[1][0]
        dated = b"14-Nov-2023" in sent[0] and b"\\Seen" in sent[0]
        return [validity, next_uid, uids, flagged, copies, sent[1], dated]

    async with Sandbox(data=tmp_path) as box:
        box.add_account(SENDER, PASSWORD)
        for number in range(1, 4):
            await box.deliver(SENDER, message(number), f"key-{number}")
        validity = await asyncio.to_thread(change, box)
    async with Sandbox(data=tmp_path) as box:
        seen = await asyncio.to_thread(look, box)
        await box.deliver(SENDER, message(3), "key-3")
        await box.deliver(SENDER, message(4), "key-4")
        again = await asyncio.to_thread(look, box)
    assert seen == [validity, b"4", b"1 3", b"1", b"1", message(9), True]
    assert again[2] == b"1 3 4"


def connected(box: Sandbox) -> imaplib.IMAP4_SSL:
    client = imaplib.IMAP4_SSL("localhost", box.imap_port, ssl_context=box.client_context)
    client.login(SENDER, PASSWORD)
    return client


async def test_names_of_the_certificate_are_checked(box: Sandbox) -> None:
    def connect(host: str, context: ssl.SSLContext) -> str:
        with (
            socket.create_connection(("127.0.0.1", box.imap_port)) as plain,
            context.wrap_socket(plain, server_hostname=host) as client,
        ):
            return client.version() or ""

    for host in ("localhost", "127.0.0.1", "imap.sandbox.test", "smtp.sandbox.test"):
        assert (await asyncio.to_thread(connect, host, box.client_context)).startswith("TLS")
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(connect, "elsewhere.test", box.client_context)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(connect, "localhost", ssl.create_default_context())


async def test_two_clients_see_the_same_mailbox(box: Sandbox, imap: Imap) -> None:
    def use() -> list[bytes]:
        first, second = imap(), imap()
        first.select("INBOX")
        second.append("INBOX", "", imaplib.Time2Internaldate(time.time()), message(1))
        first.noop()
        return first.uid("search", "ALL")[1]

    results: Awaitable[list[bytes]] = asyncio.to_thread(use)
    assert await results == [b"1"]
