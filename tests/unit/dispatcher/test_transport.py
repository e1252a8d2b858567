"""One SMTP connection against servers that answer anything, everywhere, or not at all."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable

import pytest

from dispatcher.domain.outcomes import Phase
from dispatcher.transport import Envelope, Habits, NotOurs, Refused, Timeouts, envelope_for
from postfleet.events.senders import SmtpSecurity
from postfleet.smtp import OutcomeUnknown, PermanentFailure, SmtpReply, TransientFailure
from tests.unit.dispatcher.scripted import DROP, SILENCE, GivenBack, ScriptedServer

ENVELOPE = Envelope("ann@fleet.test", "jo@x.test")
MAIL = b"Subject: hi\r\n\r\nhello\r\n.\r\n"
PIPELINING = [pytest.param(("PIPELINING",), id="pipelining"), pytest.param((), id="one by one")]
SHORT = Timeouts(connect=10, reply=0.3, final_reply=0.3)
HASTY = Timeouts(connect=0.3)


async def ours() -> bool:
    return True


def after(seconds: float, answer: bool = True) -> Callable[[], Awaitable[bool]]:
    async def begin() -> bool:
        await asyncio.sleep(seconds)
        return answer

    return begin


@pytest.mark.parametrize("extensions", PIPELINING)
async def test_mails_go_one_after_the_other_over_one_connection(
    extensions: tuple[str, ...],
) -> None:
    async with ScriptedServer(*extensions) as server:
        line = await server.line()
        for _ in range(3):
            assert (await line.send(ENVELOPE, MAIL, ours)).code == 250
        await line.connection.quit()
        assert server.mails == [MAIL] * 3
        assert server.connections == 1
        assert line.connection.sent == 3
        assert server.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3, "QUIT"]
        assert server.lines[1:3] == ["MAIL FROM:<ann@fleet.test>", "RCPT TO:<jo@x.test>"]


@pytest.mark.parametrize("extensions", PIPELINING)
@pytest.mark.parametrize(
    ("verb", "reply", "phase"),
    [
        ("MAIL", b"550 5.7.1 not you\r\n", Phase.MAIL),
        ("MAIL", b"451 later\r\n", Phase.MAIL),
        ("RCPT", b"550 5.1.1 nobody\r\n", Phase.RCPT),
        ("RCPT", b"450 4.2.0 greylisted\r\n", Phase.RCPT),
        ("DATA", b"451 no\r\n", Phase.DATA),
        ("DOT", b"554 5.6.0 spam\r\n", Phase.FINAL),
        ("DOT", b"452 full\r\n", Phase.FINAL),
    ],
)
async def test_after_a_refusal_the_next_mail_goes_over_the_same_connection(
    extensions: tuple[str, ...], verb: str, reply: bytes, phase: Phase
) -> None:
    async with ScriptedServer(*extensions) as server:
        server.script(verb, reply)
        line = await server.line()
        with pytest.raises(Refused) as refused:
            await line.send(ENVELOPE, MAIL, ours)
        assert refused.value.phase is phase
        assert refused.value.reply == SmtpReply(int(reply[:3]), reply[4:].decode().strip())
        mails = len(server.mails)
        assert (await line.send(ENVELOPE, MAIL, ours)).code == 250
        assert server.connections == 1
        assert server.mails[mails:] == [MAIL]


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        ("MAIL", b"354 first things last\r\n"),
        ("RCPT", b"503 5.5.1 MAIL first\r\n"),
        ("DATA", b"250 that is no 354\r\n"),
        ("DATA", b"554 5.5.0 SMTP synchronization error\r\n"),
    ],
)
async def test_a_server_that_loses_its_place_in_a_group_is_spoken_to_one_by_one(
    verb: str, reply: bytes
) -> None:
    habits = Habits()
    async with ScriptedServer("PIPELINING") as server:
        server.script(verb, reply)
        line = await server.line(habits=habits)
        with pytest.raises(GivenBack):
            await line.send(ENVELOPE, MAIL, ours)
        assert habits.one_by_one("127.0.0.1")
        line = await server.line(habits=habits)
        server.script(verb, reply)
        with pytest.raises(Refused) as refused:
            await line.send(ENVELOPE, MAIL, ours)
        assert str(refused.value.reply) == reply.decode().strip()
        assert (await line.send(ENVELOPE, MAIL, ours)).code == 250


async def test_a_server_that_drops_what_came_behind_the_dot_loses_no_mail() -> None:
    """It announces PIPELINING, and throws away its input when it has read a content."""
    habits = Habits()
    async with ScriptedServer("PIPELINING", flush_after_content=True) as server:
        line = await server.line(habits=habits, timeouts=SHORT)
        sends = [asyncio.ensure_future(line.send(ENVELOPE, MAIL, ours)) for _ in range(2)]
        results = await asyncio.gather(*sends, return_exceptions=True)
        assert isinstance(results[0], SmtpReply)
        assert isinstance(results[1], GivenBack)
        assert habits.one_by_one("127.0.0.1")
        line = await server.line(habits=habits)
        for _ in range(3):
            assert (await line.send(ENVELOPE, MAIL, ours)).code == 250
        assert len(server.mails) == 4


def test_a_host_is_trusted_again_after_an_hour_and_one_lost_connection_says_little() -> None:
    now = 0.0
    habits = Habits(lambda: now)
    habits.lost("mx.test")
    habits.worked("mx.test")
    habits.lost("mx.test")
    assert not habits.one_by_one("mx.test")
    habits.lost("mx.test")
    assert habits.one_by_one("mx.test")
    assert not habits.one_by_one("other.test")
    now = 3601.0
    assert not habits.one_by_one("mx.test")


async def test_the_next_envelope_travels_behind_the_final_dot() -> None:
    async with ScriptedServer("PIPELINING") as server:
        line = await server.line()
        sends = [asyncio.ensure_future(line.send(ENVELOPE, MAIL, ours)) for _ in range(5)]
        assert [reply.code for reply in await asyncio.gather(*sends)] == [250] * 5
        assert server.groups == [1, 3, *[4] * 4, 1]  # EHLO; an envelope; dot and envelope; a dot


async def test_content_that_is_awaited_although_nobody_gets_it_is_ended_at_once() -> None:
    """RFC 2920 §3.1: a server may answer DATA with 354 after it has refused every recipient."""
    async with ScriptedServer("PIPELINING") as server:
        server.script("RCPT", b"550 5.1.1 nobody\r\n")
        server.script("DOT", b"554 no valid recipients\r\n")
        line = await server.line()
        with pytest.raises(Refused) as refused:
            await line.send(ENVELOPE, MAIL, ours)
        assert (refused.value.phase, str(refused.value.reply)) == (Phase.RCPT, "550 5.1.1 nobody")
        assert (await line.send(ENVELOPE, MAIL, ours)).code == 250
        assert server.mails == [b".\r\n", MAIL]


@pytest.mark.parametrize("extensions", PIPELINING)
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_421_ends_the_connection_and_says_so(extensions: tuple[str, ...], verb: str) -> None:
    async with ScriptedServer(*extensions) as server:
        server.script(verb, b"421 4.3.2 shutting down\r\n")
        line = await server.line()
        with pytest.raises(Refused) as refused:
            await line.send(ENVELOPE, MAIL, ours)
        assert refused.value.reply == SmtpReply(421, "4.3.2 shutting down")
        assert not line.connection.usable


@pytest.mark.parametrize("extensions", PIPELINING)
@pytest.mark.parametrize("instead", [DROP, SILENCE, b"garbage\r\n", b"\xff\xfe\r\n", b"25\r\n"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_that_fails_before_the_dot_has_not_sent(
    extensions: tuple[str, ...], verb: str, instead: bytes
) -> None:
    async with ScriptedServer(*extensions) as server:
        server.script(verb, instead)
        line = await server.line(timeouts=SHORT)
        with pytest.raises((Refused, GivenBack)) as failure:
            await line.send(ENVELOPE, MAIL, ours)
        assert getattr(failure.value, "reply", None) is None
        assert not line.connection.usable
        assert server.mails == []


@pytest.mark.parametrize(
    "instead",
    [
        DROP,
        SILENCE,
        b"what?\r\n",
        b"250-half a reply\r\n",
        b"\xb2\xb2\xb2 x\r\n",
        b"25\r\n",
        b"354 again\r\n",
        b"999 x\r\n",
    ],
)
async def test_a_connection_that_fails_after_the_dot_leaves_a_doubt(instead: bytes) -> None:
    async with ScriptedServer("PIPELINING") as server:
        server.script("DOT", instead)
        line = await server.line(timeouts=SHORT)
        with pytest.raises(OutcomeUnknown):
            await line.send(ENVELOPE, MAIL, ours)
        assert not line.connection.usable
        assert server.mails == [MAIL]


async def test_what_the_server_said_counts_although_it_hangs_up_at_once() -> None:
    async with ScriptedServer("PIPELINING") as server:
        server.script("RCPT", b"550 5.1.1 nobody\r\n")
        server.script("DATA", DROP)
        line = await server.line()
        with pytest.raises(Refused) as refused:
            await line.send(ENVELOPE, MAIL, ours)
        assert str(refused.value.reply) == "550 5.1.1 nobody"
        assert not line.connection.usable


@pytest.mark.parametrize("extensions", PIPELINING)
@pytest.mark.parametrize("cut", range(1, 28))
async def test_a_reply_may_come_in_any_pieces(extensions: tuple[str, ...], cut: int) -> None:
    def write(reply: bytes) -> list[bytes]:
        return [reply[:cut], reply[cut:]] if reply[cut:] else [reply]

    async with ScriptedServer(*extensions, write=write) as server:
        server.script("RCPT", b"250-first\r\n250-second\r\n250 third\r\n")
        server.script("DOT", b"250-2.0.0 a\r\n250 b\r\n")
        line = await server.line()
        reply = await line.send(ENVELOPE, MAIL, ours)
        assert reply == SmtpReply(250, "2.0.0 a\nb")


async def test_a_reply_that_never_ends_is_cut_off_quickly() -> None:
    for flood in (b"x" * 1_000_000, b"250-\r\n" * 170_000, b"250-" + b"y" * 1_000_000):
        async with ScriptedServer("PIPELINING") as server:
            server.script("RCPT", flood)
            line = await server.line(timeouts=SHORT)
            started = time.monotonic()
            with pytest.raises(GivenBack):
                await line.send(ENVELOPE, MAIL, ours)
            assert time.monotonic() - started < 2
            assert not line.connection.usable


async def test_a_mail_that_is_not_ours_is_given_up_before_the_dot() -> None:
    async with ScriptedServer("PIPELINING") as server:
        line = await server.line()
        with pytest.raises(NotOurs):
            await line.send(ENVELOPE, MAIL, after(0.05, answer=False))
        await asyncio.sleep(0.05)
        assert not line.connection.usable
        assert server.mails == []


async def test_the_dot_waits_for_the_claim() -> None:
    async with ScriptedServer("PIPELINING") as server:
        line = await server.line()
        sending = asyncio.ensure_future(line.send(ENVELOPE, MAIL, after(0.2)))
        await asyncio.sleep(0.1)
        assert server.verbs[-1] == "DATA"
        assert server.mails == []
        assert (await sending).code == 250


async def test_a_connection_lost_while_the_claim_is_made_leaves_no_doubt() -> None:
    async with ScriptedServer("PIPELINING") as server:
        server.script("DATA", b"354 go\r\n421 too slow\r\n")
        line = await server.line()
        with pytest.raises(Refused) as refused:
            await line.send(ENVELOPE, MAIL, after(0.1))
        assert refused.value.phase is Phase.DATA
        assert server.mails == []


async def test_an_idle_server_that_says_goodbye_is_noticed() -> None:
    async with ScriptedServer("PIPELINING") as server:
        server.script("DOT", b"250 ok\r\n421 4.4.2 idle for too long\r\n")
        line = await server.line()
        assert (await line.send(ENVELOPE, MAIL, ours)).code == 250
        await asyncio.sleep(0.05)
        assert not line.connection.usable


@pytest.mark.parametrize(
    "envelope", [Envelope("ann@fleet.test", "jö@x.test"), Envelope("änn@f.test", "a@x.test")]
)
async def test_addresses_beyond_ascii_need_smtputf8(envelope: Envelope) -> None:
    async with ScriptedServer("PIPELINING") as server:
        line = await server.line()
        with pytest.raises(Refused) as refused:
            await line.send(envelope, MAIL, ours)
        assert refused.value.reply is not None
        assert refused.value.reply.code == 553
        assert (await line.send(ENVELOPE, MAIL, ours)).code == 250
    async with ScriptedServer("PIPELINING", "SMTPUTF8") as server:
        line = await server.line()
        assert (await line.send(envelope, MAIL, ours)).code == 250
        assert server.lines[1].endswith(" SMTPUTF8")


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        pytest.param("Subject: a\r\n\r\nb\r\n", "", id="7-bit"),
        pytest.param("Subject: a\r\n\r\nü\r\n", " BODY=8BITMIME", id="an 8-bit body"),
        pytest.param("Subject: ü\r\n\r\n\r\n", " BODY=8BITMIME SMTPUTF8", id="an 8-bit header"),
    ],
)
async def test_content_beyond_7_bits_goes_where_it_is_taken(text: str, parameters: str) -> None:
    envelope = envelope_for("ann@fleet.test", "a@x.test", text.encode())
    content = text.encode() + b".\r\n"
    async with ScriptedServer("PIPELINING", "8BITMIME", "SMTPUTF8") as server:
        line = await server.line()
        assert (await line.send(envelope, content, ours)).code == 250
        assert server.lines[1] == f"MAIL FROM:<ann@fleet.test>{parameters}"
    async with ScriptedServer("PIPELINING", "SMTPUTF8") as server:
        line = await server.line()
        if not parameters:
            assert (await line.send(envelope, content, ours)).code == 250
            return
        with pytest.raises(Refused, match="8BITMIME"):
            await line.send(envelope, content, ours)


async def test_large_contents_pass_the_write_buffer() -> None:
    content = (b"x" * 74 + b"\r\n") * 100_000 + b".\r\n"
    async with ScriptedServer("PIPELINING") as server:
        line = await server.line()
        assert (await line.send(ENVELOPE, content, ours)).code == 250
        assert server.mails == [content]


# -- logging in ----------------------------------------------------------------------------------


async def test_when_starttls_is_hidden_no_password_is_sent() -> None:
    async with ScriptedServer("AUTH PLAIN LOGIN") as server:
        with pytest.raises(TransientFailure) as failure:
            await server.connect(
                security=SmtpSecurity.STARTTLS, username="ann", password="secret-word"
            )
        assert failure.value.reply is None or failure.value.reply.code != 235
        await asyncio.sleep(0.05)
        assert b"AUTH" not in server.raw.upper()
        _no_secret(server.raw, str(failure.value))


async def test_when_starttls_is_refused_no_password_is_sent() -> None:
    async with ScriptedServer("STARTTLS", "AUTH PLAIN LOGIN") as server:
        server.script("STARTTLS", b"454 TLS not available\r\n")
        with pytest.raises(TransientFailure):
            await server.connect(
                security=SmtpSecurity.STARTTLS, username="ann", password="secret-word"
            )
        _no_secret(server.raw, "")


def _no_secret(raw: bytes, text: str) -> None:
    for form in (
        b"secret-word",
        base64.b64encode(b"secret-word"),
        base64.b64encode(b"\0ann\0secret-word"),
    ):
        assert form not in raw
        assert form.decode() not in text


async def test_a_wrong_password_is_permanent_said_once_and_in_no_error() -> None:
    async with ScriptedServer("AUTH LOGIN CRAM-MD5 PLAIN") as server:
        server.script("AUTH", b"535 5.7.8 wrong\r\n")
        with pytest.raises(PermanentFailure) as failure:
            await server.connect(username="ann", password="secret-word")
        assert failure.value.reply == SmtpReply(535, "5.7.8 wrong")
        assert "secret" not in repr(failure.value) + str(failure.value)
        assert server.raw.count(b"AUTH ") == 1, "providers lock after several"


async def test_a_login_that_fails_for_now_is_transient() -> None:
    async with ScriptedServer("AUTH PLAIN") as server:
        server.script("AUTH", b"454 4.7.0 later\r\n")
        with pytest.raises(TransientFailure) as failure:
            await server.connect(username="ann", password="x")
        assert failure.value.reply is not None
        assert failure.value.reply.code == 454


@pytest.mark.parametrize(
    "greeting", [b"554 no\r\n", b"421 busy\r\n", DROP, SILENCE, b"HTTP/1.1 400\r\n"]
)
async def test_a_server_that_will_not_talk_is_a_transient_failure(greeting: bytes) -> None:
    async with ScriptedServer() as server:
        server.script("GREETING", greeting)
        started = time.monotonic()
        with pytest.raises(TransientFailure):
            await server.connect(timeouts=HASTY)
        assert time.monotonic() - started < 1.5


async def test_a_port_that_nobody_listens_on_is_a_transient_failure() -> None:
    async with ScriptedServer() as server:
        pass
    with pytest.raises(TransientFailure):
        await server.connect(timeouts=HASTY)
