"""Servers that echo a log-in in their refusal: no error of ours repeats it."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from dispatcher.transport.deadline import Timeouts
from dispatcher.transport.opening import connect
from inbox_watcher.imap import ImapConnection
from inbox_watcher.imap_protocol import ImapFailure, ImapLimits
from inbox_watcher.imap_session import LoginRefused, Server
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.smtp import SmtpFailure
from tests.support.hostileimap import HostileImap

USER, SECRET = "ann@one.test", "canary-of-the-echo"


def _is_told(text: str) -> bool:
    """Whether the secret is in it, as it is or as a log-in has it."""
    forms = [
        SECRET,
        *(base64.b64encode(m.encode()).decode() for m in (SECRET, f"\0{USER}\0{SECRET}")),
    ]
    return any(form.lower() in text.lower() for form in forms)


@contextlib.asynccontextmanager
async def _echoing(refusal: str) -> AsyncIterator[int]:
    """An SMTP server that refuses to authenticate, with the whole command in its reply."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := (await reader.readline()).decode().strip():
            if line.startswith("EHLO"):
                writer.write(b"250-echo\r\n250 AUTH PLAIN LOGIN\r\n")
            else:
                writer.write(f"{refusal}: {line}\r\n".encode())
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.seed("S25")
@pytest.mark.parametrize("refusal", ["535 5.7.8 refused", "500 unrecognized", "421 4.3.0 no", "9"])
async def test_the_dispatcher_repeats_no_log_in_that_a_server_echoes(refusal: str) -> None:
    async with _echoing(refusal) as port:
        server = MailServer(host="127.0.0.1", port=port, security=SmtpSecurity.NONE, username=USER)
        with pytest.raises(SmtpFailure) as caught:
            await connect(
                server,
                SECRET,
                tls_context=ssl.create_default_context(),
                local_hostname="us.test",
                timeouts=Timeouts(10, 10, 10),
            )
    assert not _is_told(f"{caught.value!r} {caught.value.reply!r}")
    assert caught.value.__suppress_context__  # nor would a traceback


@pytest.mark.seed("S25")
@pytest.mark.parametrize("result", ["NO", "BAD", "BYE"])
async def test_the_watcher_repeats_no_log_in_that_a_server_echoes(result: str) -> None:
    async def echo(_: HostileImap, writer: asyncio.StreamWriter, tag: str, line: str) -> bool:
        if not line.upper().startswith(("LOGIN", "AUTHENTICATE")):
            return False
        writer.write(f"{'*' if result == 'BYE' else tag} {result} what is {line}\r\n".encode())
        if result == "BYE":
            writer.close()
        return True

    async with HostileImap(echo) as server:
        connection = await ImapConnection.connect(
            Server("127.0.0.1", server.port, None), ImapLimits()
        )
        with pytest.raises((LoginRefused, ImapFailure)) as caught:
            await connection.login(USER, SECRET)
        connection.close()
    assert not _is_told(repr(caught.value))
    assert caught.value.__suppress_context__
