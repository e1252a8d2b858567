"""SMTP in: who may hand mail in, on which port, and what becomes of what is handed in."""

import asyncio
import base64
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dispatcher import relay_access
from tests.unit.dispatcher.relayworld import (
    LOGIN,
    MAIL,
    PASSWORD,
    Raw,
    RelayWorld,
    plain,
    relay_world,
)

ANN = MAIL.replace("Net <net@", "Ann <ann@")


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RelayWorld]:
    async with relay_world(tmp_path, **getattr(request, "param", {})) as world:
        yield world


async def logged_in(world: RelayWorld) -> Raw:
    client = await Raw.open(world.submission)
    await client.log_in(world.client_context)
    return client


async def hand_in(client: Raw, mail: str, author: str, *people: str, options: str = "") -> str:
    """The reply to MAIL if it is not 250, to the dot otherwise."""
    first = await client.say(f"MAIL FROM:<{author}>{options}")
    if not first.startswith("250"):
        return first
    for person in people or ("a@people.test",):
        await client.say(f"RCPT TO:<{person}>")
    await client.say("DATA")
    return await client.say(f"{mail}.".encode() + b"\r\n")


# -- who, and where ----------------------------------------------------------------------------------


@pytest.mark.seed("S272", "S283", "C23")
async def test_the_submission_port_wants_tls_before_it_hears_of_log_ins_or_mail(
    world: RelayWorld,
) -> None:
    client = await Raw.open(world.submission)
    assert "AUTH" not in await client.say("EHLO client.test")
    for command in (f"AUTH PLAIN {plain()}", "MAIL FROM:<net@fleet.test>", "RCPT TO:<a@b.test>"):
        assert (await client.say(command)).startswith("530 5.7.0 ")
    await client.start_tls(world.client_context)
    hello = await client.say("EHLO client.test")
    wanted = ("SIZE 200000", "8BITMIME", "SMTPUTF8", "AUTH LOGIN PLAIN", "PIPELINING",
              "ENHANCEDSTATUSCODES")  # fmt: skip
    assert all(f"{name}\r\n" in hello for name in wanted), hello
    assert "STARTTLS" not in hello
    assert (await client.say("MAIL FROM:<ann@fleet.test>")).startswith("530 5.7.0 ")
    client.close()


@pytest.mark.seed("S271", "S281", "S282")
async def test_the_plain_port_lets_networks_in_takes_no_log_ins_and_offers_tls(
    world: RelayWorld,
) -> None:
    client = await Raw.open(world.plain)
    hello = await client.say("EHLO client.test")
    assert "STARTTLS" in hello
    assert "AUTH" not in hello
    assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("502 5.5.1 ")
    assert (await hand_in(client, MAIL, "ann@fleet.test")).startswith("550 5.7.1 ")
    assert (await hand_in(client, MAIL, "net@fleet.test")).startswith("250 2.0.0 ")
    await client.start_tls(world.client_context)
    assert "AUTH" not in await client.say("EHLO client.test")
    assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("502 5.5.1 ")
    second = MAIL.replace("<1@", "<2@")
    assert (await hand_in(client, second, "net@fleet.test")).startswith("250 2.0.0 ")
    assert [one["sender_id"] for one in await world.stored()] == ["net", "net"]
    assert b" with ESMTPS id " in (await world.stored())[1]["content"]
    client.close()


@pytest.mark.seed("S278", "S283", "S284")
@pytest.mark.parametrize(
    ("author", "header", "reply"),
    [
        pytest.param("ann@fleet.test", "ann@fleet.test", "250 2.0.0", id="the log-in's own sender"),
        pytest.param("Ann@FLEET.test", "ANN@fleet.test", "250 2.0.0", id="in any case"),
        pytest.param("ann@fleet.test", "bob@fleet.test", "250 2.0.0", id="another of the domain"),
        pytest.param("ann@fleet.test", "eve@other.test", "550 5.7.1", id="of another domain"),
        pytest.param("eve@other.test", "ann@fleet.test", "550 5.7.1", id="its reverse-path"),
        pytest.param("ann@fleet.test", "x@fleet.test", "550 5.7.1", id="registered by nobody"),
        pytest.param("x@fleet.test", "ann@fleet.test", "550 5.7.1", id="its reverse-path either"),
        pytest.param("ann@fleet.test", "cam@fleet.test", "550 5.7.1", id="for campaigns only"),
        pytest.param("ann@fleet.test", "sus@fleet.test", "550 5.7.1", id="suspended"),
        pytest.param("", "ann@fleet.test", "550 5.7.1", id="the null reverse-path"),
    ],
)
async def test_from_must_be_a_registered_sender_of_the_domain(
    world: RelayWorld, author: str, header: str, reply: str
) -> None:
    client = await logged_in(world)
    mail = MAIL.replace("net@fleet.test", header)
    assert (await hand_in(client, mail, author))[:9] == reply
    assert len(await world.stored()) == (reply[0] == "2")
    client.close()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([f"AUTH PLAIN {plain()}"], id="PLAIN at once"),
        pytest.param(["AUTH plain", plain()], id="PLAIN when asked, named in small letters"),
        pytest.param(
            [
                "AUTH LOGIN",
                base64.b64encode(LOGIN.encode()).decode(),
                base64.b64encode(PASSWORD).decode(),
            ],
            id="LOGIN",
        ),
    ],
)
async def test_both_mechanisms_log_in(world: RelayWorld, lines: list[str]) -> None:
    client = await Raw.open(world.submission)
    await client.say("EHLO client.test")
    await client.start_tls(world.client_context)
    await client.say("EHLO client.test")
    replies = [await client.say(line) for line in lines]
    assert [reply[:3] for reply in replies] == ["334"] * (len(lines) - 1) + ["235"]
    assert "correct horse" not in repr(world.asked)
    assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("503 5.5.1 ")
    client.close()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("AUTH", "501 5.5.4"),
        ("AUTH CRAM-MD5", "504 5.5.4"),
        ("AUTH PLAIN !!!", "501 5.5.2"),
        ("AUTH PLAIN YWJj", "501 5.5.2"),
        (f"AUTH PLAIN {plain(password=b'wrong')}", "535 5.7.8"),
        (f"AUTH PLAIN {plain(login='ann@fleet.test')}", "535 5.7.8"),
    ],
)
async def test_a_log_in_that_is_none_is_refused(world: RelayWorld, line: str, reply: str) -> None:
    client = await Raw.open(world.submission)
    await client.say("EHLO client.test")
    await client.start_tls(world.client_context)
    await client.say("EHLO client.test")
    assert (await client.say(line))[:9] == reply
    assert (await client.say("MAIL FROM:<ann@fleet.test>")).startswith("530 5.7.0 ")
    client.close()


async def test_guessing_locks_the_guesser_out_before_the_registry_is_asked(
    world: RelayWorld,
) -> None:
    client = await Raw.open(world.submission)
    await client.say("EHLO client.test")
    await client.start_tls(world.client_context)
    await client.say("EHLO client.test")
    for guess in range(relay_access._FAILURES_OF_AN_IP):
        wrong = plain(f"{guess}@fleet-test.relay.test", b"guess")
        assert (await client.say(f"AUTH PLAIN {wrong}")).startswith("535 ")
    asked = len(world.asked)
    assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("454 4.7.0 ")
    assert len(world.asked) == asked
    client.close()


async def test_while_the_registry_is_away_clients_are_asked_to_come_again(
    world: RelayWorld,
) -> None:
    world.registry_is_up = False
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    assert (await client.say("MAIL FROM:<net@fleet.test>")).startswith("451 4.3.0 ")
    world.registry_is_up = True
    assert (await hand_in(client, MAIL, "net@fleet.test")).startswith("250 ")
    client.close()


# -- what --------------------------------------------------------------------------------------------


async def test_a_mail_becomes_one_delivery_a_recipient_and_keeps_its_bytes(
    world: RelayWorld,
) -> None:
    client = await logged_in(world)
    head = (
        "DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc=\r\nX-Odd:no space\r\n"
        "from:  Ann <ann@fleet.test>\r\nBcc: secret@people.test,\r\n other@people.test\r\n"
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nList-Unsubscribe: <https://x.test/u>\r\n"
        "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <own@client.test>\r\n"
    )
    people = ("a@people.test", "b@people.test", "a@people.test")
    reply = await hand_in(client, f"{head}\r\nHi\r\n", "ann@fleet.test", *people)
    (stored,) = await world.stored()
    assert reply == f"250 2.0.0 Accepted as {stored['id']}\r\n"
    assert [to for _, to in stored["deliveries"]] == ["a@people.test", "b@people.test"]
    assert (stored["message_id"], stored["subject"]) == ("<own@client.test>", "Grüße")
    received, rest = stored["content"].decode().split("DKIM-Signature", 1)
    assert received.startswith("Received: from client.test ([127.0.0.1])\r\n\tby mx.fleet.test ")
    assert f"with ESMTPSA id {stored['id']};" in received
    without = head.replace("Bcc: secret@people.test,\r\n other@people.test\r\n", "")
    assert f"DKIM-Signature{rest}" == f"{without}\r\nHi\r\n"
    client.close()


async def test_what_a_mail_must_have_is_added_where_it_is_missing(world: RelayWorld) -> None:
    client = await logged_in(world)
    await hand_in(client, "From: ann@fleet.test\r\n\r\nHi\r\n", "ann@fleet.test")
    (stored,) = await world.stored()
    assert stored["message_id"].endswith("@fleet.test>")
    assert f"\r\nMessage-ID: {stored['message_id']}\r\n".encode() in stored["content"]
    assert b"\r\nDate: " in stored["content"]
    client.close()


@pytest.mark.seed("S287", "S288")
async def test_copies_go_where_the_senders_settings_say(world: RelayWorld) -> None:
    client = await logged_in(world)
    await hand_in(client, MAIL.replace("net@", "bob@"), "bob@fleet.test", "a@people.test")
    (stored,) = await world.stored()
    people = [to for _, to in stored["deliveries"]]
    assert people == ["a@people.test", "copies@fleet.test", "vault@archive.test"]
    assert stored["copies"] == 2
    assert b"copies@" not in stored["content"]
    client.close()


async def test_the_same_mail_again_is_the_same_mail_and_another_is_another(
    world: RelayWorld,
) -> None:
    client = await logged_in(world)
    first = await hand_in(client, ANN, "ann@fleet.test")
    assert await hand_in(client, ANN, "ann@fleet.test") == first
    changed = [
        await hand_in(client, ANN.replace("Hi", "Ho"), "ann@fleet.test"),
        await hand_in(client, ANN, "ann@fleet.test", "b@people.test"),
        await hand_in(client, ANN.replace("<1@", "<2@"), "ann@fleet.test"),
    ]
    assert len({first, *changed}) == 4
    deliveries = {one["deliveries"][0][0] for one in await world.stored()}
    assert len(deliveries) == 4  # the second one is the first, whose key is taken
    client.close()


@pytest.mark.parametrize(
    ("change", "reply"),
    [
        pytest.param(("From: Net <net@fleet.test>\r\n", ""), "550 5.6.0", id="no From"),
        pytest.param(("From:", "From: net@fleet.test\r\nFrom:"), "550 5.6.0", id="two From"),
        pytest.param(
            ("<net@fleet.test>", "<net@fleet.test>, Eve <eve@other.test>"),
            "550 5.6.0",
            id="two authors",
        ),
        pytest.param(("Net <net@", "eve@other.test <net@"), "550 5.6.0", id="an address in a name"),
        pytest.param(("Net <net@", '"eve@other.test" <net@'), "250 2.0.0", id="unless quoted"),
        pytest.param(
            ("<net@fleet.test>", "<net@fleet.test> <eve@other.test>"), "550 5.6.0", id="two paths"
        ),
        pytest.param(("Net <net", "Net: net"), "550 5.6.0", id="a group"),
        pytest.param(("Net <net@", "(Net) <net@"), "550 5.6.0", id="a comment before"),
        pytest.param(("Net <net@fleet.test>", "net@fleet.test (Net)"), "250 2.0.0", id="one after"),
        pytest.param(("To:", "Sender: eve@other.test\r\nTo:"), "550 5.7.1", id="a foreign Sender"),
        pytest.param(("To:", "Sender: net@fleet.test\r\nTo:"), "250 2.0.0", id="its own Sender"),
        pytest.param(("<1@client.test>", "none"), "550 5.6.0", id="a Message-ID that is none"),
        pytest.param(("Hello", "Grüße"), "550 5.6.7", id="8-bit header without SMTPUTF8"),
        pytest.param(("Hi", "Grüße"), "250 2.0.0", id="8-bit body"),
        pytest.param(("Hi", "x" * 999), "550 5.6.0", id="a line of 999"),
        pytest.param(("Hi", "x" * 998), "250 2.0.0", id="a line of 998"),
        pytest.param(("Hi", "\0"), "550 5.6.0", id="NUL"),
        pytest.param(("To: a", "To a"), "550 5.6.0", id="no field"),
        pytest.param(("To:", " folded\r\nTo:"), "250 2.0.0", id="a folded From comment-free"),
        pytest.param(("To:", "X: y\r\n" * 1001 + "To:"), "552 5.3.4", id="1,001 fields"),
        pytest.param(("To:", "Received: x\r\n" * 51 + "To:"), "554 5.4.6", id="a loop"),
        pytest.param(("Hi", "x\r\n" * 70_000), "552 5.3.4", id="too large"),
    ],
)
async def test_content_is_checked_and_nothing_of_it_repaired(
    world: RelayWorld, change: tuple[str, str], reply: str
) -> None:
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    if "folded" in change[1]:
        change = ("Net <net", "Net\r\n <net")
    assert change[0] in MAIL
    answer = await hand_in(client, MAIL.replace(*change, 1), "net@fleet.test")
    assert answer[:9] == reply
    assert answer.isascii(), "RFC 5321, 4.2: replies are ASCII"
    assert len(await world.stored()) == (reply[0] == "2")
    assert (await client.say("NOOP")).startswith("250 ")
    client.close()


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("<a@people.test>", "250 2.1.5"),
        ('<"a b"@people.test>', "250 2.1.5"),
        ("a@people.test", "553 5.1.3"),
        ("<a(comment)@people.test>", "553 5.1.3"),
        ("<@relay.test:a@people.test>", "553 5.1.3"),
        ("<a@people>", "553 5.1.3"),
        ("<a@[192.0.2.1]>", "553 5.1.3"),
        ("<>", "553 5.1.3"),
        ("<a@people.test> NOTIFY=NEVER", "555 5.5.4"),
        ("<ü@people.test>", "553 5.6.7"),
        ("<a\x1f@people.test>", "553 5.1.3"),
    ],
)
async def test_each_recipient_is_answered_by_itself(
    world: RelayWorld, path: str, reply: str
) -> None:
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<net@fleet.test>")
    assert (await client.say("RCPT TO:<good@people.test>")).startswith("250 2.1.5")
    assert (await client.say(f"RCPT TO:{path}"))[:9] == reply
    await client.say("DATA")
    assert (await client.say(f"{MAIL}.")).startswith("250 ")
    client.close()


async def test_international_mail_goes_in_with_smtputf8(world: RelayWorld) -> None:
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    options = " BODY=8BITMIME SMTPUTF8 SIZE=1000 AUTH=<>"
    mail = MAIL.replace("Hello", "Grüße")
    reply = await hand_in(client, mail, "net@fleet.test", "ü@people.test", options=options)
    assert reply.startswith("250 ")
    (stored,) = await world.stored()
    assert stored["subject"] == "Grüße"
    assert stored["deliveries"][0][1] == "ü@people.test"
    assert b" with UTF8SMTP id " in stored["content"]
    client.close()


# -- those who mean no good, or are slow ---------------------------------------------------------------


async def test_ten_thousand_recipients_get_an_answer_each_and_the_first_get_the_mail(
    world: RelayWorld,
) -> None:
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<net@fleet.test>")
    client.write("".join(f"RCPT TO:<p{n}@people.test>\r\n" for n in range(10_000)).encode())
    codes = [(await client.reply())[:9] for _ in range(10_000)]
    assert codes == ["250 2.1.5"] * 100 + ["452 4.5.3"] * 9900
    await client.say("DATA")
    assert (await client.say(f"{MAIL}.")).startswith("250 ")
    (stored,) = await world.stored()
    assert len(stored["deliveries"]) == 100
    client.close()


async def test_a_mail_of_100_megabytes_is_refused_before_or_while_it_comes(
    world: RelayWorld,
) -> None:
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    declared = await client.say("MAIL FROM:<net@fleet.test> SIZE=104857600")
    assert declared.startswith("552 5.3.4 ")
    await client.envelope()
    with pytest.raises(ConnectionError):
        await _pour(client, (b"x" * 76 + b"\r\n") * 1000, 1300)
    assert await world.stored() == []


@pytest.mark.parametrize("world", [{"buffer_bytes": 100_000}], indirect=True)
async def test_more_at_once_than_memory_is_given_for_is_asked_to_come_again(
    world: RelayWorld,
) -> None:
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    large = MAIL + "x\r\n" * 40_000
    assert (await hand_in(client, large, "net@fleet.test")).startswith("452 4.3.1 ")
    assert (await hand_in(client, MAIL, "net@fleet.test")).startswith("250 ")
    assert world.server._held == 0
    client.close()


async def test_a_mail_that_stops_in_the_middle_is_no_mail(world: RelayWorld) -> None:
    client = await Raw.open(world.plain)
    await client.envelope()
    client.write(MAIL.encode() + b"and the")
    client.close()
    await _gone(world)
    assert await world.stored() == []
    assert world.server._held == 0


@pytest.mark.parametrize("world", [{"idle_seconds": 0.3, "mail_seconds": 0.6}], indirect=True)
@pytest.mark.parametrize("where", ["greeting", "tls", "content", "drop by drop"])
async def test_who_is_slow_is_told_so_and_ends(world: RelayWorld, where: str) -> None:
    client = await Raw.open(world.plain)
    if where == "tls":
        await client.say("EHLO client.test")
        await client.say("STARTTLS")
        assert await client.reader.read() == b""
        await _gone(world)
        return
    if where in ("content", "drop by drop"):
        await client.envelope()

    async def drops() -> None:
        while where == "drop by drop":
            client.write(b".\r\n"[:1] + b"x\r\n")
            await asyncio.sleep(0.1)

    dropping = asyncio.create_task(drops())
    assert [reply[:9] for reply in await client.rest()] == ["421 4.4.2"]
    dropping.cancel()
    await _gone(world)


@pytest.mark.parametrize("cut", [True, False])
async def test_who_leaves_in_the_handshake_is_gone(world: RelayWorld, *, cut: bool) -> None:
    client = await Raw.open(world.submission)
    await client.say("EHLO client.test")
    await client.say("STARTTLS")
    client.write(b"" if cut else b"no TLS at all\r\n")
    client.close()
    await _gone(world)


@pytest.mark.parametrize("world", [{"max_connections_per_ip": 2}], indirect=True)
async def test_one_address_gets_so_many_connections(world: RelayWorld) -> None:
    clients = [await Raw.open(world.plain) for _ in range(2)]
    refused = Raw(*await asyncio.open_connection("127.0.0.1", world.plain))
    assert [reply[:9] for reply in await refused.rest()] == ["421 4.7.0"]
    clients.pop().close()
    await _gone(world, 1)
    clients.append(await Raw.open(world.plain))
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n" * 200, id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10, id="HTTP"),
        pytest.param(b"A" * 1_000_000 + b"\r\n" + b"X\r\n" * 10, id="an endless line"),
        pytest.param(b"\xff\xfe\x00\r\n" * 200, id="bytes"),
        pytest.param(b"RCPT TO:<a@b.test>\r\n" * 200, id="out of order"),
    ],
)
async def test_garbage_ends_the_connection_and_nobody_elses(
    world: RelayWorld, garbage: bytes
) -> None:
    good = await Raw.open(world.plain)
    client = await Raw.open(world.plain)
    client.write(garbage)
    replies = await client.rest()
    assert 1 <= len(replies) <= 101
    assert all(reply[0] in "45" for reply in replies)
    await good.say("EHLO client.test")
    assert (await hand_in(good, MAIL, "net@fleet.test")).startswith("250 ")
    good.close()


async def test_a_store_that_fails_takes_nothing(
    world: RelayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymongo.errors import AutoReconnect

    async def away(*_: Any) -> None:
        raise AutoReconnect("no database")

    monkeypatch.setattr(world.messages, "insert", away)
    client = await Raw.open(world.plain)
    await client.say("EHLO client.test")
    assert (await hand_in(client, MAIL, "net@fleet.test")).startswith("451 4.3.0 ")
    monkeypatch.undo()
    assert (await hand_in(client, MAIL, "net@fleet.test")).startswith("250 ")
    client.close()


async def test_ordinary_mail_programs_hand_in(world: RelayWorld) -> None:
    def send() -> dict[str, Any]:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "ann@fleet.test", "a@people.test", "Grüße"
        mail.set_content("Grüße\n.\n..\n" * 50)
        with smtplib.SMTP("localhost", world.submission, timeout=10) as client:
            client.starttls(context=world.client_context)
            client.login(LOGIN, PASSWORD.decode())
            return client.send_message(mail)

    refused = await asyncio.get_running_loop().run_in_executor(None, partial(send))
    assert refused == {}
    (stored,) = await world.stored()
    assert stored["subject"] == "Grüße"


async def test_a_drain_lets_a_mail_end_that_is_on_its_way(world: RelayWorld) -> None:
    idle, busy = await Raw.open(world.plain), await Raw.open(world.plain)
    await busy.envelope()
    busy.write(MAIL.encode())
    stopping = asyncio.create_task(world.server.stop())
    assert [reply[:9] for reply in await idle.rest()] == ["421 4.3.2"]
    busy.write(b".\r\n")
    assert [reply[:3] for reply in await busy.rest()] == ["250", "421"]
    await stopping
    assert len(await world.stored()) == 1
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", world.plain)


async def _pour(client: Raw, data: bytes, times: int) -> None:
    for _ in range(times):
        client.writer.write(data)
        await client.writer.drain()


async def _gone(world: RelayWorld, left: int = 0) -> None:
    """Wait until so many sessions are left."""
    async with asyncio.timeout(5):
        while len(world.server._sessions) > left:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
