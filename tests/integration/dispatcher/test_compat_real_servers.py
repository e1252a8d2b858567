"""Our transport against the servers that people run: what it says became of a mail is what became of it."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterator

import pytest

from dispatcher.domain.message import dot_stuffed
from dispatcher.domain.outcomes import Phase
from dispatcher.pool import PoolLimits, SenderPool
from dispatcher.transport import Connection, Envelope, Refused, Timeouts, connect
from postfleet.events.senders import MailServer as Settings
from postfleet.events.senders import SmtpSecurity
from tests.support import mailpeers
from tests.support.mailservers import SERVERS, MailServer
from tests.unit.dispatcher.scripted import one_by_one
from tests.unit.dispatcher.scripted import send as send_through

_MAILS, _CONNECTIONS = 120, 3


@pytest.fixture(params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    mailpeers.prepare()
    run, missing = SERVERS[request.param]
    if reason := missing():
        pytest.skip(reason)
    with run() as running:
        yield running


def recipient(number: int) -> str:
    return f"{'reject' if number % 5 == 3 else 'person'}{number}@people.test"


def content(number: int) -> bytes:
    """With what a careless client spoils: dots at line starts, a lone dot, an empty end."""
    return (
        f"From: ann@sender.test\r\nTo: {recipient(number)}\r\nSubject: Number {number}\r\n"
        f"Message-ID: <{number}@sender.test>\r\nDate: Mon, 02 Feb 2026 10:00:00 +0000\r\n\r\n"
        f".dot\r\n.\r\n..two of mail {number}\r\n\r\nQUIT\r\n.\r\n"
    ).encode()


async def _open(port: int) -> Connection:
    settings = Settings(host="127.0.0.1", port=port, security=SmtpSecurity.NONE, username="")
    return await connect(
        settings,
        "",
        tls_context=ssl.create_default_context(),
        local_hostname="bench.test",
        timeouts=Timeouts(connect=10, reply=20, final_reply=30),
    )


async def _send_all(port: int, mails_per_connection: int) -> dict[int, Exception | None]:
    """Number -> None if it was accepted, else why it was not."""
    pool = SenderPool(
        lambda: _open(port), PoolLimits(_CONNECTIONS, mails_per_connection), one_by_one
    )

    async def ours() -> bool:
        return True

    async def send(number: int) -> Exception | None:
        try:
            envelope = Envelope("ann@sender.test", recipient(number))
            await send_through(pool, envelope, dot_stuffed(content(number)), ours)
        except Exception as error:
            return error
        return None

    outcomes = await asyncio.gather(*map(send, range(_MAILS)))
    await pool.close()
    return dict(enumerate(outcomes))


def _refused_by_the_server(error: Exception | None) -> bool:
    if not isinstance(error, Refused) or error.reply is None:
        return False
    return error.phase is Phase.RCPT and error.reply.code == 550


@pytest.mark.parametrize("mails_per_connection", [1000, 7])
async def test_every_outcome_is_what_the_server_took(
    server: MailServer, mails_per_connection: int
) -> None:
    outcomes = await _send_all(server.port, mails_per_connection)
    expected = {recipient(n) for n in range(_MAILS) if n % 5 != 3}
    accepted = {recipient(n) for n, error in outcomes.items() if error is None}
    unexplained = {
        n: error
        for n, error in outcomes.items()
        if error is not None and not _refused_by_the_server(error)
    }
    assert (unexplained, server.logs() if unexplained else "") == ({}, "")
    assert accepted == expected
    taken = await asyncio.to_thread(server.wait_taken, len(accepted))
    assert Counter(one.recipient for one in taken) == Counter(accepted)
    for one in taken:
        number = int("".join(filter(str.isdigit, one.recipient)))
        body = content(number).partition(b"\r\n\r\n")[2]
        assert one.content.partition(b"\r\n\r\n")[2] == body
