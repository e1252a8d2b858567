"""The inbox watcher against IMAP servers that misbehave: it goes on, and no reply is missed."""

import asyncio
import base64
import itertools
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pymongo import MongoClient

from inbox_watcher.arrivals import Arrivals
from inbox_watcher.copies import Copies
from inbox_watcher.domain.mailbox import Login, Mailbox
from inbox_watcher.evidence import Evidence
from inbox_watcher.imap_answers import Fetched
from inbox_watcher.pace import Pace
from inbox_watcher.watching import Tools, Watch
from postfleet.events.senders import MailServer, SmtpSecurity
from tests.support.hostileimap import HostileImap, Misbehaviour
from tests.support.inboxwatcher import Platform, eventually, replica
from tests.support.mongo import MongoServer
from tests.support.process import ServerProcess

_numbers = itertools.count(1)


def reply(sender: str, number: int = 1, body: str = "Yes.") -> bytes:
    return (
        f"From: lead{number}@lead.test\r\nSubject: Re: Hello\r\n"
        f"Message-ID: <r{number}.{sender}@lead.test>\r\n"
        f"In-Reply-To: <m{number}.{sender}@one.test>\r\n\r\n{body}\r\n"
    ).encode()


async def sent(platform: Platform, sender: str, number: int = 1) -> str:
    return await platform.sent(sender, f"lead{number}@lead.test", f"<m{number}.{sender}@one.test>")


async def until_idle(server: HostileImap) -> None:
    async def idling() -> int:
        return len(server.idling)

    await eventually(idling, lambda count: count > 0, 40)  # a process may have to start first


def hostile_sender() -> str:
    return f"hostile{next(_numbers)}"


_PLAIN = {"allow_plain_imap": True, "idle_seconds": 30, "command_seconds": 1.0}


async def test_a_bye_during_idle_ends_it_at_once_and_the_watch_goes_on(
    platform: Platform, prefix: str
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server, platform.watcher(prefix, **_PLAIN):
        await platform.register(sender, server.port, "secret", security="none")
        delivery = await sent(platform, sender)
        await until_idle(server)
        (writer,) = server.idling
        server.mails.append(reply(sender))
        began = time.monotonic()
        await server.send(writer, b"* BYE shutting down")
        writer.close()
        (event,) = await platform.wait_events(sender, "reply.detected")
        assert event["delivery_id"] == delivery
        assert time.monotonic() - began < 3  # not the 30 s of the IDLE
        assert server.connections == 2


async def test_a_connection_cut_during_idle_is_noticed_at_once(
    platform: Platform, prefix: str
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server, platform.watcher(prefix, **_PLAIN):
        await platform.register(sender, server.port, "secret", security="none")
        await sent(platform, sender)
        await until_idle(server)
        (writer,) = server.idling
        server.mails.append(reply(sender))
        writer.transport.abort()
        assert len(await platform.wait_events(sender, "reply.detected", timeout=3)) == 1


@pytest.mark.parametrize("command", ["CAPABILITY", "LOGIN", "LIST", "EXAMINE", "IDLE", "DONE"])
async def test_silence_after_any_command_ends_the_connection_and_the_next_one_works(
    platform: Platform, prefix: str, command: str
) -> None:
    sender, silenced = hostile_sender(), []

    async def once_silent(_: HostileImap, __: asyncio.StreamWriter, tag: str, rest: str) -> bool:
        if not silenced and (rest or tag).upper().startswith(command):
            silenced.append(rest)
            return True
        return False

    limits = {**_PLAIN, "idle_seconds": 0.5}
    async with HostileImap(once_silent) as server, platform.watcher(prefix, **limits):
        await platform.register(sender, server.port, "secret", security="none")
        await sent(platform, sender)
        await eventually(lambda: _value(silenced), bool)
        await server.deliver(reply(sender))
        assert len(await platform.wait_events(sender, "reply.detected")) == 1
        assert server.connections >= 2


@pytest.mark.parametrize("command", ["STATUS", "UID SEARCH", "UID FETCH"])
async def test_silence_while_folders_are_read_is_told_and_no_reply_is_lost_by_it(
    platform: Platform, prefix: str, mongo_server: MongoServer, command: str
) -> None:
    sender, silent = hostile_sender(), asyncio.Event()
    silent.set()

    async def misbehave(
        server: HostileImap, writer: asyncio.StreamWriter, _: str, rest: str
    ) -> bool:
        if rest.startswith("LIST"):
            await server.send(writer, b'* LIST (\\Junk) "." Junk')
        return silent.is_set() and rest.startswith(command)

    async def told() -> str:
        with MongoClient[dict[str, Any]](mongo_server.url) as client:
            row = client[f"{prefix}inbox_watcher"]["mailboxes"].find_one({"_id": sender})
        return str((row or {}).get("error", ""))

    limits = {**_PLAIN, "retry_seconds": 0.2, "retry_seconds_max": 0.5}
    async with HostileImap(misbehave) as server, platform.watcher(prefix, **limits):
        server.mails.append(reply(sender))
        delivery = await sent(platform, sender)
        await platform.register(sender, server.port, "secret", security="none")
        assert "no answer in 1 s" in await eventually(told, bool, 30)
        silent.clear()
        (event,) = await platform.wait_events(sender, "reply.detected")
        assert event["delivery_id"] == delivery
        assert await eventually(told, lambda error: not error, 30) == ""


async def _value(values: list[str]) -> list[str]:
    return values


async def test_three_thousand_untagged_lines_are_read_and_ten_thousand_end_the_connection(
    platform: Platform, prefix: str
) -> None:
    sender, flooded = hostile_sender(), []

    async def flood(server: HostileImap, writer: asyncio.StreamWriter, _: str, rest: str) -> bool:
        if rest.startswith("EXAMINE") and len(flooded) < 2:
            flooded.append(3_000 if not flooded else 20_000)
            writer.write(b"* OK a line of no use\r\n" * flooded[-1])
        return False

    limits = {**_PLAIN, "idle_seconds": 0.5}
    async with HostileImap(flood) as server, platform.watcher(prefix, **limits):
        await platform.register(sender, server.port, "secret", security="none")
        await sent(platform, sender)
        await eventually(lambda: _count(server.commands, "IDLE"), lambda count: count >= 1)
        assert (flooded, server.connections) == ([3_000], 1)
        await server.deliver(reply(sender))
        assert len(await platform.wait_events(sender, "reply.detected")) == 1
        await eventually(lambda: _connections(server), lambda count: count >= 2)
        assert flooded == [3_000, 20_000]


async def _count(commands: list[str], name: str) -> int:
    return sum(1 for command in commands if command.startswith(name))


async def test_an_inbox_that_tells_of_nothing_is_not_opened_again_and_again(
    platform: Platform, prefix: str
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server, platform.watcher(prefix, **{**_PLAIN, "idle_seconds": 0.2}):
        await platform.register(sender, server.port, "secret", security="none")
        await eventually(lambda: _count(server.commands, "IDLE"), lambda count: count >= 4)
        assert await _count(server.commands, "EXAMINE") == 1


async def test_a_server_that_forgets_to_tell_of_mail_is_looked_at_all_the_same(
    platform: Platform, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox_watcher.watching._REOPEN_SECONDS", 0.3)
    sender = hostile_sender()
    async with HostileImap() as server, platform.watcher(prefix, **{**_PLAIN, "idle_seconds": 0.2}):
        await platform.register(sender, server.port, "secret", security="none")
        await sent(platform, sender)
        await until_idle(server)
        server.mails.append(reply(sender))  # and no EXISTS
        assert len(await platform.wait_events(sender, "reply.detected")) == 1


async def _connections(server: HostileImap) -> int:
    return server.connections


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(b"* 1 FETCH (UID 1 BODY[]<0> {2000000000}", id="two gigabytes announced"),
        pytest.param(b"* 1 FETCH (UID 1 BODY[]<0> {" + b"9" * 5000 + b"}", id="5,000 digits"),
        pytest.param(b"* 1 FETCH (" + b"x" * 200_000, id="a line without end"),
        pytest.param(b"\x00\xff\x80 no IMAP at all \x1b[2J", id="garbage"),
        pytest.param(b"* 1 FETCH (BODY[] {3}\r\nabcdef)\r\n+\r\nxyz", id="a literal cut short"),
        pytest.param(b"* BYE I have had enough", id="BYE in the middle"),
    ],
)
async def test_a_message_that_cannot_be_fetched_is_recorded_and_the_next_ones_are_read(
    platform: Platform, prefix: str, poison: bytes
) -> None:
    sender = hostile_sender()

    async def poisoned(
        server: HostileImap, writer: asyncio.StreamWriter, _: str, rest: str
    ) -> bool:
        if rest.startswith("UID FETCH 1"):
            await server.send(writer, poison)
            return True
        return False

    limits = {**_PLAIN, "retry_seconds": 0.05, "retry_seconds_max": 0.1}
    async with HostileImap(poisoned) as server, platform.watcher(prefix, **limits) as client:
        server.mails += [b"Subject: poison\r\n\r\n", reply(sender)]
        await sent(platform, sender)
        await platform.register(sender, server.port, "secret", security="none")
        assert len(await platform.wait_events(sender, "reply.detected")) == 1
        page = (await client.get(f"/api/public/v1/inbound?sender={sender}")).json()
        assert sorted((i["state"], i["kind"]) for i in page["items"]) == [
            ("matched", "reply"),
            ("unreadable", "unrelated"),
        ]


@pytest.mark.parametrize(
    "greeting", [b"* PREAUTH welcome", b"* BYE go away", b"HTTP/1.1 400 Bad Request", b"\xff\xfe"]
)
async def test_a_server_that_does_not_greet_as_imap_is_told_no_password(
    platform: Platform, prefix: str, greeting: bytes
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server, platform.watcher(prefix, stale_seconds=3, **_PLAIN):
        server.greeting = greeting
        await platform.register(sender, server.port, "secret", security="none")
        assert len(await platform.wait_events(sender, "watcher.stale")) == 1
        assert server.connections >= 1
        assert server.commands == []


async def test_user_and_password_are_quoted_and_control_characters_are_never_sent(
    platform: Platform, prefix: str
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server, platform.watcher(prefix, stale_seconds=3, **_PLAIN):
        await platform.register(sender, server.port, 'se"cr\\et', security="none")
        await until_idle(server)
        assert f'LOGIN "{sender}@one.test" "se\\"cr\\\\et"' in server.commands
        evil = hostile_sender()
        await platform.register(evil, server.port, "x\r\nA1 DELETE INBOX", security="none")
        (stale,) = await platform.wait_events(evil, "watcher.stale")
        assert "control character" in stale["reason"]
        assert "DELETE" not in stale["reason"]
        assert not [command for command in server.commands if "DELETE" in command]


@pytest.mark.parametrize("security", ["none", "starttls"])
async def test_no_password_is_sent_without_implicit_tls(
    platform: Platform, prefix: str, security: str
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server, platform.watcher(prefix, stale_seconds=3):
        await platform.register(sender, server.port, "secret", security=security)
        (stale,) = await platform.wait_events(sender, "watcher.stale")
        assert "implicit TLS" in stale["reason"]
        assert server.connections == 0


async def test_a_server_without_idle_is_polled(platform: Platform, prefix: str) -> None:
    sender = hostile_sender()
    async with HostileImap(can_idle=False) as server, platform.watcher(prefix, **_PLAIN):
        await platform.register(sender, server.port, "secret", security="none")
        await sent(platform, sender)
        await eventually(lambda: _count(server.commands, "EXAMINE"), lambda count: count >= 2)
        server.mails.append(reply(sender))
        assert len(await platform.wait_events(sender, "reply.detected", timeout=5)) == 1
        assert await _count(server.commands, "IDLE") == 0
        (search,) = [command for command in server.commands if "SEARCH" in command]
        assert " SINCE " in search, "mail from before the sender was registered is not read"


async def test_two_replicas_share_mailboxes_and_a_dead_ones_are_taken_over(
    platform: Platform, prefix: str, tmp_path: Path
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server:
        first = replica(platform, prefix, tmp_path, 1)
        try:
            await platform.register(sender, server.port, "secret", security="none")
            await sent(platform, sender, 1)
            await until_idle(server)
            async with platform.watcher(prefix, lease_seconds=2, **_PLAIN):
                await server.deliver(reply(sender, 1))
                await platform.wait_events(sender, "reply.detected")
                await asyncio.sleep(1)
                assert server.connections == 1  # the second replica leaves it alone
                first.kill()
                server.mails.append(reply(sender, 2))
                delivery = await sent(platform, sender, 2)
                began = time.monotonic()
                events = await platform.wait_events(sender, "reply.detected", count=2)
                assert events[1]["delivery_id"] == delivery
                assert time.monotonic() - began < 5  # the lease of 2 s, and a tick
        finally:
            first.kill()


async def test_a_watch_whose_lease_is_another_replicas_ends(platform: Platform) -> None:
    taken: list[Fetched] = []

    class Taking(Arrivals):
        async def take(self, *_: object) -> None:
            taken.append(cast(list[Fetched], _[-1])[0])

    async def credentials(_: str) -> tuple[str, str]:
        return "user", "secret"

    async def not_ours(*_: object) -> bool:
        return False

    async with HostileImap() as server:
        server.mails += [reply("s1", number) for number in range(30)]
        login = Login("127.0.0.1", server.port, SmtpSecurity.NONE, "user", "password")
        mailbox = Mailbox("s1", "s1@one.test", login, datetime.now(UTC))
        arrivals = Taking(*[cast(Any, None)] * 7)
        evidence = Evidence(*[cast(Any, None)] * 4)
        copies = Copies(*[cast(Any, None)] * 5)
        settings = platform.settings("", **_PLAIN)
        tools = Tools(settings, arrivals, copies, evidence, credentials, not_ours, Pace(60, 7, 180))
        async with asyncio.timeout(5):
            await Watch(mailbox, tools).run()
    assert [mail.uid for mail in taken] == [1], "nothing is read after the first refused cursor"
    assert server.connections == 1


async def test_a_watcher_that_is_told_to_end_gives_its_mailboxes_back_at_once(
    platform: Platform, prefix: str, tmp_path: Path
) -> None:
    sender = hostile_sender()
    async with HostileImap() as server:
        first = replica(platform, prefix, tmp_path, 1, lease_seconds=60)
        try:
            await platform.register(sender, server.port, "secret", security="none")
            await sent(platform, sender)
            await until_idle(server)
            first.signal(signal.SIGTERM)
            await eventually(lambda: _running(first), lambda running: not running, 10)
            server.mails.append(reply(sender))
            async with platform.watcher(prefix, **_PLAIN):
                await platform.wait_events(sender, "reply.detected", timeout=5)
            assert "Finished server process" in first.tail()
            assert server.connections == 2
        finally:
            first.kill()


async def _running(process: ServerProcess) -> bool:
    return process.running


def _offers_xoauth2(good: str) -> Misbehaviour:
    """A server that takes access tokens only, and tells why not in a continuation (as Gmail does)."""

    async def misbehave(
        server: HostileImap, writer: asyncio.StreamWriter, tag: str, rest: str
    ) -> bool:
        if rest == "CAPABILITY":
            await server.send(
                writer, b"* CAPABILITY IMAP4rev1 IDLE SASL-IR AUTH=XOAUTH2", f"{tag} OK".encode()
            )
            return True
        if rest.startswith("AUTHENTICATE XOAUTH2 "):
            words = base64.b64decode(rest.split()[2]).decode()
            if words.endswith(f"auth=Bearer {good}\1\1"):
                await server.send(writer, f"{tag} OK logged in".encode())
            else:
                server.refused = tag
                await server.send(writer, b"+ eyJzdGF0dXMiOiI0MDAifQ==")
            return True
        if tag == "" and server.refused:
            await server.send(writer, f"{server.refused} NO invalid token".encode())
            return True
        return False

    return misbehave


async def test_an_access_token_logs_in_and_a_refused_one_is_told_at_once(
    platform: Platform, prefix: str
) -> None:
    sender = hostile_sender()
    async with (
        HostileImap(_offers_xoauth2("fresh-token")) as server,
        platform.watcher(prefix, **_PLAIN, stale_seconds=2),
    ):
        token = {"auth_method": "xoauth2", "host": "127.0.0.1", "port": server.port}
        imap = MailServer.model_validate({**token, "security": "none", "username": "s@one.test"})
        await platform.register(sender, server.port, "stale-token", security="none", imap=imap)
        (stale,) = await platform.wait_events(sender, "watcher.stale")
        assert "NO invalid token" in stale["reason"]
        platform.passwords[sender] = "fresh-token"
        await sent(platform, sender)
        server.mails.append(reply(sender))
        assert await platform.wait_events(sender, "reply.detected")
    assert "LOGIN" not in " ".join(server.commands)
