"""SMTP in, byte by byte: only CRLF.CRLF ends a mail, and nothing said in clear survives STARTTLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.dispatcher.relayworld import MAIL, Raw, RelayWorld, relay_world

SMUGGLED = b"MAIL FROM:<net@fleet.test>\r\nRCPT TO:<victim@people.test>\r\nDATA\r\n"
_ENDS = (
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r.\n", b"\n.\r",
    b"\r\n\0.\r\n", b"\n\n.\r\n", b"\r\r\n.\n", b".\n", b"\r\n.\r\r\n",
)  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RelayWorld]:
    async with relay_world(tmp_path) as world:
        yield world


@pytest.mark.parametrize("end", [pytest.param(end, id=repr(end)) for end in _ENDS])
async def test_no_other_end_of_data_ends_a_mail_and_none_is_passed_on(
    world: RelayWorld, end: bytes
) -> None:
    client = await Raw.open(world.plain)
    await client.envelope()
    client.write(MAIL.encode() + b"text" + end + SMUGGLED + MAIL.encode() + b"\r\n.\r\n")
    refused = await client.reply()
    assert refused.startswith(("550 5.6.11 ", "550 5.6.0 ")), refused
    assert (await client.say("NOOP")).startswith("250 ")  # one reply: one mail was seen
    assert await world.stored() == []
    client.close()


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\r", b"NO\rOP\r\n", b"NOOP\r\r\n"])
async def test_a_command_that_does_not_end_in_crlf_ends_the_connection(
    world: RelayWorld, line: bytes
) -> None:
    client = await Raw.open(world.plain)
    client.write(line + b"NOOP\r\n" * line.endswith(b"\r"))
    assert [reply[:9] for reply in await client.rest()] == ["521 5.5.2"]


async def test_a_dot_within_a_mail_is_passed_on_as_it_was(world: RelayWorld) -> None:
    client = await Raw.open(world.plain)
    await client.envelope()
    body = MAIL.encode() + b"..\r\n.. two\r\nend.\r\n"
    assert (await client.say(body + b".\r\n")).startswith("250 2.0.0 ")
    (stored,) = await world.stored()
    assert stored["content"].endswith(b"\r\n\r\nHi\r\n.\r\n. two\r\nend.\r\n")
    client.close()


@pytest.mark.seed("S272")
async def test_what_was_said_in_clear_behind_starttls_is_forgotten(world: RelayWorld) -> None:
    client = await Raw.open(world.submission)
    await client.say("EHLO client.test")
    client.write(b"STARTTLS\r\nEHLO injected.test\r\nMAIL FROM:<net@fleet.test>\r\n")
    assert (await client.reply()).startswith("220 ")
    await client.writer.start_tls(world.client_context, server_hostname="localhost")
    # Nothing of it was answered: the next reply is that of the next command, and there was no EHLO.
    assert (await client.say("MAIL FROM:<net@fleet.test>")).startswith("503 5.5.1 ")
    assert (await client.say("NOOP")).startswith("250 ")
    client.close()


async def test_a_whole_conversation_may_come_in_one_packet(world: RelayWorld) -> None:
    client = await Raw.open(world.plain)
    hello = await client.say("EHLO client.test")
    assert "250-PIPELINING\r\n" in hello
    one = (
        "MAIL FROM:<net@fleet.test>\r\nRCPT TO:<a@people.test>\r\nRCPT TO:<@>\r\n"
        "RCPT TO:<b@people.test>\r\nDATA\r\n"
    )
    client.write(one.encode())
    codes = [(await client.reply())[:3] for _ in range(5)]
    assert codes == ["250", "250", "553", "250", "354"]
    two = MAIL.replace("<1@", "<2@")
    client.write(f"{MAIL}.\r\n{one}".encode())
    assert [(await client.reply())[:3] for _ in range(6)] == ["250", *codes]
    client.write(f"{two}.\r\nQUIT\r\n".encode())
    assert [reply[:3] for reply in await client.rest()] == ["250", "221"]
    assert len(await world.stored()) == 2
