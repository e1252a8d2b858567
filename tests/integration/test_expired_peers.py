"""A mail server whose certificate has expired, or is a stranger's: said, with the remedy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from postfleet.events.senders import SmtpSecurity
from sender_registry.connecting import Reach, timed
from sender_registry.domain.validation import Code
from sender_registry.imap_check import imap_log_in
from sender_registry.smtp_check import smtp_log_in
from tests.integration.test_sender_registry_log_ins import PASSWORD, mail_server, reach
from tests.support.certificates import write_certificates

LOOPBACK = "127.0.0.0/8,::1/128"


@asynccontextmanager
async def _server(folder: Path, valid_for: timedelta, *, starttls: bool) -> AsyncIterator[int]:
    """It has its certificate, and nothing more is asked of it."""
    _, cert, key = write_certificates(folder, ["localhost"], valid_for)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if starttls:
                writer.write(b"220 mail ESMTP\r\n")
                await reader.readline()
                writer.write(b"250-mail\r\n250 STARTTLS\r\n")
                await reader.readline()
                writer.write(b"220 go\r\n")
                await writer.start_tls(context)
            await reader.read()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    tls = None if starttls else context
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("log_in", "security"),
    [
        pytest.param(smtp_log_in, SmtpSecurity.IMPLICIT, id="SMTP over TLS"),
        pytest.param(smtp_log_in, SmtpSecurity.STARTTLS, id="SMTP with STARTTLS"),
        pytest.param(imap_log_in, SmtpSecurity.IMPLICIT, id="IMAP over TLS"),
    ],
)
@pytest.mark.parametrize(
    ("valid_for", "trusted", "host", "said"),
    [
        pytest.param(-1, True, "localhost", ("expired", "renew it"), id="expired"),
        pytest.param(1, False, "localhost", ("POSTFLEET_TLS_CA_FILE",), id="of a stranger"),
        pytest.param(1, True, "127.0.0.1", ("use the host name",), id="for another name"),
    ],
)
async def test_what_is_wrong_with_the_certificate_is_said_with_the_remedy(
    log_in: Callable[..., object],
    security: SmtpSecurity,
    valid_for: int,
    trusted: bool,
    host: str,
    said: tuple[str, ...],
    tmp_path: Path,
) -> None:
    lifetime = timedelta(minutes=valid_for * 10)
    async with _server(tmp_path, lifetime, starttls=security is SmtpSecurity.STARTTLS) as port:
        files = (tmp_path / "ca.pem", tmp_path / "server.pem", tmp_path / "server.key")
        trusting: Reach = reach(files if trusted else None, LOOPBACK)
        found = await timed(log_in, mail_server(port, security, host), PASSWORD, trusting)
    assert found.code is Code.SSL_ERROR
    assert all(word in found.detail for word in said), found.detail
