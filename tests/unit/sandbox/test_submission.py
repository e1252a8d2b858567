"""The SMTP side: what a client is told, by real clients and on the raw wire."""

import asyncio
import smtplib
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable

import aiosmtplib
import pytest

from postfleet_sandbox import Behaviour, Sandbox

SENDER, PASSWORD = "ann@fleet.test", "correct horse"
Connect = Callable[[], Awaitable[aiosmtplib.SMTP]]
Send = Callable[..., Awaitable[str]]
LOGIN = b"AUTH PLAIN " + b64encode(f"\0{SENDER}\0{PASSWORD}".encode()) + b"\r\n"


@pytest.mark.parametrize(
    ("local_part", "code", "status", "kind"),
    [
        pytest.param("bounce", 550, "5.1.1", "rejected", id="an unknown user is refused"),
        pytest.param("full", 552, "5.2.2", "rejected", id="a full mailbox is refused"),
        pytest.param("blocked", 550, "5.7.1", "rejected", id="a policy refuses"),
        pytest.param("greylist", 450, "4.7.1", "deferred", id="greylisting defers"),
    ],
)
async def test_a_recipient_is_refused_at_rcpt(
    box: Sandbox, connect: Connect, local_part: str, code: int, status: str, kind: str
) -> None:
    client = await connect()
    await client.mail(SENDER)
    with pytest.raises(aiosmtplib.SMTPRecipientRefused) as refused:
        await client.rcpt(f"{local_part}@people.test")
    assert refused.value.code == code
    assert refused.value.message.startswith(status)
    assert [record.kind for record in box.records()] == [kind]
    await client.quit()


@pytest.mark.parametrize(
    ("local_part", "code"),
    [pytest.param("spam", 554, id="content refused"), pytest.param("tempfail", 451, id="deferred")],
)
async def test_a_mail_is_refused_after_its_final_dot(
    box: Sandbox, send: Send, local_part: str, code: int
) -> None:
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await send(f"{local_part}@people.test", message_id="<refused@x>")
    assert refused.value.code == code
    assert [record.message_id for record in box.records()] == ["<refused@x>"]


async def test_greylisting_gives_way_after_as_many_times_as_scripted(
    box: Sandbox, send: Send
) -> None:
    box.script("jo@people.test", Behaviour(rcpt_reply="450 4.7.1 Later", times=2))
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send("jo@people.test")
    assert (await send("jo@people.test")).startswith("2.0.0 Ok: queued as")
    assert box.summary()["deferred"] == 2
    assert box.summary()["accepted"] == 1


async def test_421_closes_the_connection(box: Sandbox, connect: Connect) -> None:
    client = await connect()
    await client.mail(SENDER)
    with pytest.raises((aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPServerDisconnected)):
        await client.rcpt("busy@people.test")
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await client.noop()
    assert [record.detail["reply"][:3] for record in box.records("deferred")] == ["421"]


async def test_a_slow_server_answers_late(box: Sandbox, send: Send) -> None:
    box.script("jo@people.test", Behaviour(rcpt_delay_ms=200, data_delay_ms=300))
    started = time.monotonic()
    await send("jo@people.test")
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize(
    ("local_part", "kinds"),
    [
        pytest.param("drop-before", ["dropped", "accepted"], id="lost before it was accepted"),
        pytest.param("drop-after", ["accepted", "accepted"], id="accepted, the reply was lost"),
    ],
)
async def test_the_connection_is_lost_after_the_final_dot(
    box: Sandbox, send: Send, local_part: str, kinds: list[str]
) -> None:
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(f"{local_part}@people.test", message_id="<doubtful@x>")
    await send(f"{local_part}@people.test", message_id="<doubtful@x>")
    assert [record.kind for record in box.records()] == kinds
    assert box.summary()["duplicates"] == kinds.count("accepted") - 1


async def test_only_the_accounts_own_address_may_send(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(aiosmtplib.SMTPSenderRefused) as refused:
        await client.mail("somebody@fleet.test")
    assert (refused.value.code, refused.value.message[:5]) == (553, "5.7.1")
    assert (await client.mail(SENDER.upper())).code == 250


async def test_logging_in_needs_tls_and_sending_needs_logging_in(box: Sandbox) -> None:
    def talk() -> list[int]:
        with smtplib.SMTP("localhost", box.smtp_port) as client:
            client.ehlo()
            announced_in_clear = client.has_extn("auth")
            codes = [client.docmd("AUTH", "PLAIN AGEAYg==")[0]]
            client.starttls(context=box.client_context)
            client.ehlo()
            codes += [client.docmd("MAIL", f"FROM:<{SENDER}>")[0], announced_in_clear]
            codes += [
                client.docmd("AUTH", "PLAIN " + b64encode(b"\0ann@fleet.test\0no").decode())[0]
            ]
            return codes

    assert await asyncio.to_thread(talk) == [538, 530, False, 535]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_implicit_tls_with_both_mechanisms(box: Sandbox, mechanism: str) -> None:
    def talk() -> set[str]:
        with smtplib.SMTP_SSL("127.0.0.1", box.smtps_port, context=box.client_context) as client:
            client.ehlo()
            client.user, client.password = SENDER, PASSWORD
            client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
            client.sendmail(SENDER, ["accept@people.test"], "Subject: Hi\r\n\r\n")
            return set(client.esmtp_features)

    announced = await asyncio.to_thread(talk)
    expected = {"pipelining", "size", "8bitmime", "enhancedstatuscodes", "smtputf8", "auth"}
    assert expected <= announced
    assert "starttls" not in announced
    assert box.summary()["accepted"] == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("plain", id="plain text"),
        pytest.param(".a dot\r\n..two\r\n.\r\nend.", id="dots at the beginning of lines"),
        pytest.param("Ends with a dot.\r\nAnd so on.\r\n", id="dots at the end of lines"),
        pytest.param("", id="nothing"),
    ],
)
async def test_the_mail_arrives_as_it_was(
    box: Sandbox, send: Send, make_mail: Callable[..., bytes], body: str
) -> None:
    await send("accept@people.test", body=body)
    (record,) = box.records("accepted")
    assert box.mail(record) == make_mail("accept@people.test", body=body)


async def test_a_mail_that_is_only_a_dot_is_empty(box: Sandbox) -> None:
    reader, writer = await raw(box)
    writer.write(group("accept@people.test") + b".\r\n")
    assert await codes(reader, 4) == [250, 250, 354, 250]
    (record,) = box.records("accepted")
    assert box.mail(record) == b""
    writer.close()


async def test_a_line_too_long_is_refused_and_the_connection_goes_on(box: Sandbox) -> None:
    reader, writer = await raw(box)
    for line, code in ((b"x" * 999, 500), (b"x" * 998, 250)):
        writer.write(group("accept@people.test") + line + b"\r\n.\r\n")
        assert await codes(reader, 4) == [250, 250, 354, code]
    writer.close()


async def test_a_mail_too_big_is_refused_and_the_connection_goes_on(box: Sandbox) -> None:
    reader, writer = await raw(box)
    line = b"x" * 998 + b"\r\n"
    writer.write(group("accept@people.test") + line * 26_300 + b".\r\n")
    writer.write(group("accept@people.test") + line + b".\r\n")
    assert await codes(reader, 8) == [250, 250, 354, 552, 250, 250, 354, 250]
    writer.close()


async def test_a_whole_session_of_pipelined_groups_over_tls(box: Sandbox) -> None:
    reader, writer = await raw(box)
    mails = [f"Message-ID: <{number}@x>\r\n\r\nThe end.\r\n.\r\n".encode() for number in range(50)]
    writer.write(group("accept+0@people.test"))
    assert await codes(reader, 3) == [250, 250, 354]
    for number, content in enumerate(mails):
        # The next envelope goes out behind the final dot of this one.
        writer.write(content + group(f"accept+{number + 1}@people.test"))
        assert await codes(reader, 4) == [250, 250, 250, 354]
    writer.close()
    accepted = [record.message_id for record in box.records("accepted")]
    assert accepted == [f"<{number}@x>" for number in range(50)]


async def test_everything_in_one_write_is_answered_in_order(box: Sandbox) -> None:
    reader, writer = await raw(box)
    good = group("accept@people.test") + b"Subject: Hi\r\n\r\nYes.\r\n.\r\n"
    refused = group("bounce@people.test") + b"RSET\r\n"
    writer.write(good + refused + good + b"QUIT\r\n")
    expected = [250, 250, 354, 250, 250, 550, 503, 250, 250, 250, 354, 250, 221]
    assert await codes(reader, len(expected)) == expected
    assert await reader.read() == b""
    assert box.summary()["accepted"] == 2


async def test_a_dropped_connection_leaves_one_pipelined_mail_in_doubt(box: Sandbox) -> None:
    reader, writer = await raw(box)
    content = b"Subject: Hi\r\n\r\nYes.\r\n.\r\n"
    writer.write(group("accept@people.test") + content + group("drop-after@people.test") + content)
    assert await codes(reader, 7) == [250, 250, 354, 250, 250, 250, 354]
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await codes(reader, 1)
    assert box.summary()["accepted"] == 2
    writer.close()


async def test_half_a_command_is_waited_for_while_answers_go_out(box: Sandbox) -> None:
    reader, writer = await raw(box)
    writer.write(b"NOOP\r\nMAIL FR")
    assert await codes(reader, 1) == [250]
    writer.write(b"OM:<ann@fleet.test>\r\n")
    assert await codes(reader, 1) == [250]
    writer.close()


async def test_one_transaction_with_two_recipients_is_one_mail(
    box: Sandbox, connect: Connect, make_mail: Callable[..., bytes]
) -> None:
    client = await connect()
    people = ["accept+1@people.test", "accept+2@people.test"]
    await client.sendmail(SENDER, people, make_mail("both@people.test"))
    assert [record.recipient for record in box.records("accepted")] == people
    assert (box.summary()["accepted"], box.summary()["accepted_recipients"]) == (1, 2)


async def test_an_outage_cuts_connections_and_ends_on_the_same_port(
    box: Sandbox, connect: Connect, send: Send
) -> None:
    client = await connect()
    box.start_outage(0.4)
    await asyncio.sleep(0.1)
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await connect()
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await client.noop()
    await asyncio.sleep(0.5)
    await send("accept@people.test")
    assert box.summary()["accepted"] == 1


def group(recipient: str) -> bytes:
    return f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()


async def raw(box: Sandbox) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection by hand: STARTTLS, then AUTH."""
    reader, writer = await asyncio.open_connection("localhost", box.smtp_port)
    writer.write(b"EHLO x\r\nSTARTTLS\r\n")
    while not (await reader.readline()).startswith(b"220 Ready"):
        pass
    await writer.start_tls(box.client_context, server_hostname="localhost")
    writer.write(b"EHLO x\r\n" + LOGIN)
    while not (await reader.readline()).startswith(b"235"):
        pass
    return reader, writer


async def codes(reader: asyncio.StreamReader, count: int) -> list[int]:
    async with asyncio.timeout(10):
        return [int((await reader.readuntil(b"\r\n"))[:3]) for _ in range(count)]
