"""The log-in tests against servers that are told what to answer, on both event loops."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiosmtpd.smtp import SMTP, AuthResult

from postfleet.events.senders import MailServer, SmtpSecurity
from sender_registry.connecting import Reach, timed
from sender_registry.domain.validation import Check, Code
from sender_registry.imap_check import imap_log_in
from sender_registry.smtp_check import smtp_log_in
from tests.support.certificates import write_certificates
from tests.support.ports import free_ports

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT = 0.5
PASSWORD = 'c"an\\ary'
LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """For `localhost`, not for 127.0.0.1."""
    return write_certificates(tmp_path_factory.mktemp("tls"), ["localhost"])


def server_context(certificates: tuple[Path, Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates[1], certificates[2])
    return context


def reach(
    certificates: tuple[Path, Path, Path] | None = None, networks: str = "127.0.0.0/8"
) -> Reach:
    trusted = str(certificates[0]) if certificates else None
    return Reach(
        tuple(ip_network(n) for n in networks.split(",") if n),
        LIMIT,
        ssl.create_default_context(cafile=trusted),
        "client.test",
    )


def mail_server(port: int, security: SmtpSecurity, host: str = "127.0.0.1") -> MailServer:
    return MailServer(host=host, port=port, security=security, username="ann@one.test")


@asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def script(
    greeting: bytes, *answers: tuple[bytes, bytes], heard: list[bytes] | None = None
) -> Talk:
    """Say the greeting; answer each line by the first prefix that matches; b"" hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while line := await reader.readline():
            if heard is not None:
                heard.append(line)
            reply = next((r for prefix, r in answers if prefix in line.upper()), b"500 what?\r\n")
            if not reply:
                return
            writer.write(reply)

    return talk


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


EHLO = (b"EHLO", b"250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n")
QUIT = (b"QUIT", b"221 bye\r\n")
GREETING = b"220 mail.test ESMTP\r\n"


def run(loop_factory: Callable[[], Any], work: Awaitable[Check]) -> Check:
    with asyncio.Runner(loop_factory=loop_factory) as runner:

        async def main() -> Check:
            return await work

        return runner.run(main())


async def smtp_check(talk: Talk, security: SmtpSecurity = SmtpSecurity.NONE) -> Check:
    async with serving(talk) as port:
        return await timed(smtp_log_in, mail_server(port, security), PASSWORD, reach())


async def imap_check(talk: Talk) -> Check:
    async with serving(talk) as port:
        server = mail_server(port, SmtpSecurity.NONE)
        return await timed(imap_log_in, server, PASSWORD, reach())


@pytest.mark.seed("S231", "S232", "S234", "S235", "S239", "S240", "S241", "S243")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("talk", "security", "code"),
    [
        pytest.param(
            script(GREETING, EHLO, (b"AUTH", b"235 ok\r\n"), QUIT), "none", None, id="it works"
        ),
        pytest.param(
            script(GREETING, EHLO, (b"AUTH", b"235 ok\r\n"), (b"QUIT", b"")),
            "none",
            None,
            id="it works and hangs up at QUIT",
        ),
        pytest.param(
            script(GREETING, EHLO, (b"AUTH", b"235 ok\r\n"), (b"QUIT", b"250-slow\r\n")),
            "none",
            None,
            id="it works and never says goodbye",
        ),
        pytest.param(
            script(GREETING, EHLO, (b"AUTH", b"535 5.7.8 no\r\n")),
            "none",
            "AUTH_FAILED",
            id="the password is wrong",
        ),
        pytest.param(
            script(GREETING, EHLO, (b"AUTH", b"454 4.7.0 later\r\n")),
            "none",
            "CONNECTION_FAILED",
            id="no log-ins for now",
        ),
        pytest.param(
            script(GREETING, (b"EHLO", b"250 mail.test\r\n")),
            "none",
            "AUTH_FAILED",
            id="no log-in offered",
        ),
        pytest.param(
            script(GREETING, EHLO, (b"AUTH", b"")),
            "none",
            "CONNECTION_FAILED",
            id="hangs up at the log-in",
        ),
        pytest.param(silent, "none", "TIMEOUT", id="no greeting"),
        pytest.param(silent, "implicit", "TIMEOUT", id="no TLS handshake"),
        pytest.param(
            script(GREETING, (b"EHLO", b"250-mail.test\r\n")),
            "none",
            "TIMEOUT",
            id="half an EHLO answer",
        ),
        pytest.param(
            script(b"SSH-2.0-OpenSSH_9.2\r\n"), "none", "CONNECTION_FAILED", id="no SMTP server"
        ),
        pytest.param(script(b"\xff" * 70_000), "none", "CONNECTION_FAILED", id="garbage"),
        pytest.param(
            script(b"554 go away\r\n"), "none", "CONNECTION_FAILED", id="refused by the greeting"
        ),
        pytest.param(script(GREETING, EHLO), "starttls", "SSL_ERROR", id="no STARTTLS offered"),
        pytest.param(
            script(GREETING, (b"EHLO", b"250 STARTTLS\r\n"), (b"STARTTLS", b"454 no\r\n")),
            "starttls",
            "SSL_ERROR",
            id="STARTTLS refused",
        ),
        pytest.param(
            script(
                GREETING, (b"EHLO", b"250 STARTTLS\r\n"), (b"STARTTLS", b"220 go\r\n220 again\r\n")
            ),
            "starttls",
            "SSL_ERROR",
            id="plain text after STARTTLS",
        ),
        pytest.param(script(GREETING), "implicit", "SSL_ERROR", id="plain text instead of TLS"),
    ],
)
def test_smtp_log_ins_end_in_one_code(
    talk: Talk, security: str, code: str | None, loop: Callable[[], Any]
) -> None:
    started = time.monotonic()
    check = run(loop, smtp_check(talk, SmtpSecurity(security)))
    assert check.code == code, check.detail
    assert check.detail
    assert time.monotonic() - started < 4 * LIMIT


@pytest.mark.seed("S236", "S237", "S238", "S239", "S240", "S241")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("talk", "code"),
    [
        pytest.param(
            script(b"* OK hi\r\n", (b"LOGIN", b"* CAPABILITY X\r\na1 OK in\r\n"), (b"LOGOUT", b"")),
            None,
            id="it works",
        ),
        pytest.param(
            script(b"* OK hi\r\n", (b"LOGIN", b"a1 NO [AUTHENTICATIONFAILED] no\r\n")),
            "AUTH_FAILED",
            id="the password is wrong",
        ),
        pytest.param(
            script(b"* OK hi\r\n", (b"LOGIN", b"a1 NO [UNAVAILABLE] later\r\n")),
            "CONNECTION_FAILED",
            id="no log-ins for now",
        ),
        pytest.param(
            script(b"* OK hi\r\n", (b"LOGIN", b"")),
            "CONNECTION_FAILED",
            id="hangs up at the log-in",
        ),
        pytest.param(silent, "TIMEOUT", id="no greeting"),
        pytest.param(script(b"* PREAUTH hi\r\n"), "CONNECTION_FAILED", id="needs no password"),
        pytest.param(script(b"* BYE full\r\n"), "CONNECTION_FAILED", id="is full"),
        pytest.param(script(b"220 mail ESMTP\r\n"), "CONNECTION_FAILED", id="no IMAP server"),
        pytest.param(script(b"* OK" + b"x" * 70_000), "CONNECTION_FAILED", id="an endless line"),
        pytest.param(
            script(b"* OK hi\r\n", (b"LOGIN", b"* 1 EXISTS\r\n" * 1000)),
            "CONNECTION_FAILED",
            id="endless lines",
        ),
    ],
)
def test_imap_log_ins_end_in_one_code(
    talk: Talk, code: str | None, loop: Callable[[], Any]
) -> None:
    check = run(loop, imap_check(talk))
    assert check.code == code, check.detail


def test_imap_passwords_are_quoted() -> None:
    heard: list[bytes] = []
    talk = script(b"* OK hi\r\n", (b"LOGIN", b"a1 OK in\r\n"), heard=heard)
    assert run(asyncio.new_event_loop, imap_check(talk)).ok
    assert heard[0] == b'a1 LOGIN "ann@one.test" "c\\"an\\\\ary"\r\n'


@pytest.mark.seed("S233")
def test_no_password_is_sent_in_clear_when_starttls_is_hidden() -> None:
    heard: list[bytes] = []
    talk = script(GREETING, EHLO, (b"AUTH", b"235 ok\r\n"), heard=heard)
    check = run(asyncio.new_event_loop, smtp_check(talk, SmtpSecurity.STARTTLS))
    assert check.code is Code.SSL_ERROR
    assert [line[:4] for line in heard] == [b"EHLO"]


@pytest.mark.seed("S242", "S244")
@pytest.mark.parametrize("log_in", [smtp_log_in, imap_log_in])
async def test_closed_ports_and_unknown_hosts_have_their_own_codes(log_in: Any) -> None:
    [port] = free_ports(1)
    closed = await timed(log_in, mail_server(port, SmtpSecurity.NONE), PASSWORD, reach())
    assert closed.code is Code.CONNECTION_REFUSED
    nowhere = mail_server(587, SmtpSecurity.NONE, "no-such-host.invalid")
    # The name server of the machine may be slow to say no; only a name is asked for.
    patient = Reach((), 20, reach().tls, "client.test")
    assert (await timed(log_in, nowhere, PASSWORD, patient)).code is Code.HOST_NOT_FOUND


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0"])
async def test_nothing_is_connected_to_outside_the_internet_unless_it_is_named(host: str) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1

    async with serving(count) as port:
        server = mail_server(port, SmtpSecurity.NONE, host)
        check = await timed(smtp_log_in, server, PASSWORD, reach(networks=""))
    assert check.code is Code.CONNECTION_FAILED
    assert "ALLOWED_NETWORKS" in check.detail
    assert connections == 0


@pytest.mark.seed("S243")
@pytest.mark.parametrize("security", ["implicit", "starttls"])
@pytest.mark.parametrize("loop", LOOPS)
def test_certificates_must_be_trusted_and_be_for_the_host(
    certificates: tuple[Path, Path, Path], security: str, loop: Callable[[], Any]
) -> None:
    async def check(host: str, trusting: Reach) -> Check:
        context = server_context(certificates)

        def authenticate(*_: Any) -> AuthResult:
            return AuthResult(success=True)

        implicit = security == "implicit"
        running = asyncio.get_running_loop()
        server = await running.create_server(
            lambda: SMTP(
                object(),
                tls_context=None if implicit else context,
                authenticator=authenticate,
                auth_require_tls=not implicit,
                loop=running,
            ),
            "127.0.0.1",
            0,
            ssl=context if implicit else None,
        )
        port = server.sockets[0].getsockname()[1]
        try:
            target = mail_server(port, SmtpSecurity(security), host)
            return await timed(smtp_log_in, target, PASSWORD, trusting)
        finally:
            server.close()

    trusting = reach(certificates, "127.0.0.0/8,::1/128")
    good = run(loop, check("localhost", trusting))
    assert good.ok, good.detail
    assert run(loop, check("127.0.0.1", trusting)).code is Code.SSL_ERROR
    stranger = run(loop, check("localhost", reach(None, "127.0.0.0/8,::1/128")))
    assert stranger.code is Code.SSL_ERROR
    assert "self-signed" in stranger.detail or "unable to get" in stranger.detail


@pytest.mark.seed("S25")
@pytest.mark.parametrize("loop", LOOPS)
def test_no_password_is_in_logs_or_details(
    loop: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    refusing = script(
        GREETING, EHLO, (b"AUTH", b"535 5.7.8 you said " + PASSWORD.encode() + b"\r\n")
    )
    with caplog.at_level("DEBUG"):
        check = run(loop, smtp_check(refusing))
    assert check.detail == "user name or password refused (535 5.7.8)"
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("protocol", "chunk"),
    [
        pytest.param("smtp", b"220-" + b"x" * 1000 + b"\r\n", id="SMTP, line after line"),
        pytest.param("smtp", b"x" * 65_536, id="SMTP, one line"),
        pytest.param("imap", b"* OK " + b"x" * 1000 + b"\r\n", id="IMAP, line after line"),
        pytest.param("imap", b"x" * 65_536, id="IMAP, one line"),
    ],
)
def test_a_gigabyte_of_greeting_is_not_listened_to(
    protocol: str, chunk: bytes, loop: Callable[[], Any]
) -> None:
    poured = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        while poured < 1_000_000_000:
            writer.write(chunk)
            poured += len(chunk)
            await writer.drain()

    started = time.monotonic()
    check = run(loop, smtp_check(pour) if protocol == "smtp" else imap_check(pour))
    assert check.code in (Code.CONNECTION_FAILED, Code.TIMEOUT)
    assert poured < 200_000_000
    assert time.monotonic() - started < 4 * LIMIT


@pytest.mark.seed("S243")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("log_in", [smtp_log_in, imap_log_in])
def test_tls_on_a_plain_port_ends_within_the_limit(
    certificates: tuple[Path, Path, Path], log_in: Any, loop: Callable[[], Any]
) -> None:
    async def check() -> Check:
        async with serving(silent, server_context(certificates)) as port:
            server = mail_server(port, SmtpSecurity.NONE)
            return await timed(log_in, server, PASSWORD, reach())

    # Both sides wait for the other's first word.
    assert run(loop, check()).code in (Code.TIMEOUT, Code.CONNECTION_FAILED)


@pytest.mark.seed("S243")
def test_imap_without_tls_where_tls_was_asked_for_is_an_ssl_error() -> None:
    async def check() -> Check:
        async with serving(script(b"* OK hi\r\n")) as port:
            server = mail_server(port, SmtpSecurity.IMPLICIT)
            return await timed(imap_log_in, server, PASSWORD, reach())

    assert run(asyncio.new_event_loop, check()).code is Code.SSL_ERROR


async def test_a_name_that_changes_its_address_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is resolved once: the connection goes to the address that was judged (DNS rebinding)."""
    asked: list[str] = []
    connections = 0
    loop = asyncio.get_running_loop()

    async def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return [(2, 1, 6, "", (address, port))]

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    async with serving(count) as port:
        server = mail_server(port, SmtpSecurity.NONE, "rebinding.test")
        check = await timed(smtp_log_in, server, PASSWORD, reach(networks="192.0.2.0/24"))
    assert not check.ok
    assert (asked, connections) == (["rebinding.test"], 0)


@pytest.mark.parametrize("host", ["0x7f.1", "0177.0.0.1", "::ffff:127.0.0.1", "::1", "127.0.0.1."])
async def test_spellings_of_this_machine_are_refused_before_any_connection(host: str) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1

    async with serving(count) as port:
        server = mail_server(port, SmtpSecurity.NONE, host)
        check = await timed(smtp_log_in, server, PASSWORD, reach(networks=""))
    assert check.code in (Code.CONNECTION_FAILED, Code.HOST_NOT_FOUND)
    assert connections == 0


def patient(certificates: tuple[Path, Path, Path] | None = None) -> Reach:
    """Where the time is measured, and not the limit."""
    return replace(reach(certificates, "127.0.0.0/8,::1/128"), timeout_seconds=10)


@pytest.mark.seed("S234")
async def test_each_step_of_a_log_in_is_timed() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(b"220 slow\r\n")
        await reader.readline()
        writer.write(b"250-slow\r\n250 AUTH PLAIN\r\n")
        await reader.readline()
        await asyncio.sleep(0.2)
        writer.write(b"235 in\r\n")

    async with serving(talk) as port:
        check = await timed(smtp_log_in, mail_server(port, SmtpSecurity.NONE), PASSWORD, patient())
    assert check.ok, check
    assert list(check.steps) == ["dns", "connect", "greeting", "auth"]
    assert check.steps["greeting"] >= 99
    assert check.steps["auth"] >= 199
    assert abs(sum(check.steps.values()) - check.ms) <= 5


async def test_the_last_step_is_where_a_log_in_ended() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow\r\n")
        await reader.readline()
        writer.write(b"250-slow\r\n250 STARTTLS\r\n")
        await asyncio.sleep(5)

    async with serving(silent) as port:
        server = mail_server(port, SmtpSecurity.STARTTLS)
        late = await timed(smtp_log_in, server, PASSWORD, reach())
    unknown = mail_server(25, SmtpSecurity.NONE, host="nobody.invalid")
    lost = await timed(imap_log_in, unknown, PASSWORD, patient())
    assert (late.code, list(late.steps)) == (
        Code.TIMEOUT,
        ["dns", "connect", "greeting", "tls"],
    )
    assert late.steps["tls"] > LIMIT * 1000 / 2
    assert list(lost.steps) == ["dns"]


async def test_two_log_ins_at_once_are_timed_apart(
    certificates: tuple[Path, Path, Path],
) -> None:
    async def imap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK imap\r\n")
        await reader.readline()
        writer.write(b"a1 OK in\r\n")

    async with serving(imap, server_context(certificates)) as port:
        server = mail_server(port, SmtpSecurity.IMPLICIT, "localhost")
        other = mail_server(port, SmtpSecurity.NONE, "nobody.invalid")
        good, bad = await asyncio.gather(
            timed(imap_log_in, server, PASSWORD, patient(certificates)),
            timed(smtp_log_in, other, PASSWORD, patient()),
        )
    assert list(good.steps) == ["dns", "connect", "tls", "greeting", "auth"]
    assert list(bad.steps) == ["dns"]
