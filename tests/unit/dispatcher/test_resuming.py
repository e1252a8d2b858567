"""TLS sessions are resumed by the next connection to the same server, and by no other."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from dispatcher.transport import ResumingContext, Timeouts, connect
from postfleet.events.senders import MailServer, SmtpSecurity
from tests.support.certificates import write_certificates

TIMEOUTS = Timeouts(connect=10, reply=10, final_reply=10)


@asynccontextmanager
async def submission(folder: Path, newest: ssl.TLSVersion) -> AsyncIterator[int]:
    """The port of a server that says hello inside of TLS."""
    _, certificate, key = write_certificates(folder, ["localhost", "127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.maximum_version = newest
    context.load_cert_chain(certificate, key)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while await reader.readline():
            writer.write(b"250 here\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def resumed(folder: Path, newest: ssl.TLSVersion, *hosts: str) -> list[bool]:
    """For each connection in turn, whether its handshake went on from an earlier one."""
    found = []
    async with submission(folder, newest) as port:
        context = ResumingContext.like(str(folder / "ca.pem"))
        for host in hosts:
            server = MailServer(host=host, port=port, security=SmtpSecurity.IMPLICIT, username="")
            connection = await connect(
                server, "", tls_context=context, local_hostname="here.test", timeouts=TIMEOUTS
            )
            secured = connection._transport.get_extra_info("ssl_object")
            found.append(secured.session_reused)
            await connection.quit()
    return found


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_next_connection_resumes_the_session_of_its_server(
    tmp_path: Path, newest: ssl.TLSVersion, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        hosts = ("localhost", "localhost", "127.0.0.1", "localhost")
        found = runner.run(resumed(tmp_path, newest, *hosts))
    assert found == [False, True, False, True]


def test_certificates_are_verified_as_ever(tmp_path: Path) -> None:
    context = ResumingContext.like(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
