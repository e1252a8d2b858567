"""Whatever a server says, in whatever pieces, and wherever it hangs up: the outcome of each mail is
what the server has recorded, and no mail is taken twice."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher import connection_pause
from dispatcher.feed import CannotConnect
from dispatcher.pool import PoolLimits, SenderPool
from dispatcher.transport import Connection, Envelope, Habits, NotOurs, Refused, Timeouts, connect
from postfleet.events.senders import MailServer, SmtpSecurity
from postfleet.smtp import OutcomeUnknown, SmtpReply
from postfleet.tls import client_context
from tests.unit.dispatcher.scripted import one_by_one, send

SHORT = Timeouts(connect=10, reply=0.15, final_reply=0.15)
REFUSALS = (b"450 4.2.1 later", b"550 5.1.1 nobody", b"452-full\r\n452 4.3.1 full", b"554 5.7.1 no")
NUMBER = re.compile(rb"n(\d+)@")

#: What may happen at a command, beside a good reply and a refusal.
TROUBLE = (
    "421",
    "hang up",
    "hang up after",
    "silence",
    "garbage",
    "flood",
    "503",
    "unasked",
    "cut",
)


@dataclass
class Play:
    """How a server behaves: one entry per command, then all is well for ever."""

    pipelining: bool
    flushes: bool  # announces PIPELINING, and drops what came behind a final dot
    behaviours: list[str]
    chunks: list[int]
    accepted: Counter[int] = field(default_factory=Counter)


class RawServer(asyncio.Protocol):
    """Answers by the play; records what it has taken responsibility for before it says so."""

    def __init__(self, play: Play, behaviours: Iterator[str], chunks: Iterator[int]) -> None:
        self.play, self.behaviours, self.chunks = play, behaviours, chunks
        self.buffer, self.out = b"", b""
        self.mail_from = self.data = self.silent = False
        self.recipient: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 raw\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while not self.silent and not self.transport.is_closing() and self.step():
            pass

    def step(self) -> bool:
        end = b"\r\n.\r\n" if self.data else b"\r\n"
        if self.data and self.buffer.startswith(b".\r\n"):
            end = b".\r\n"
        line, found, rest = self.buffer.partition(end)
        if not found:
            return False
        self.buffer = rest
        if self.data:
            self.dot()
            if self.play.flushes:
                self.buffer = b""
        else:
            self.command(line)
        return True

    def command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            more = b"250-PIPELINING\r\n" if self.play.pipelining else b""
            self.transport.write(b"250-raw\r\n" + more + b"250 HELP\r\n")
        elif verb in (b"RSET", b"QUIT"):
            self.mail_from, self.recipient = False, None
            self.say(b"250 reset" if verb == b"RSET" else b"221 bye")
        elif (how := next(self.behaviours)) != "good":
            self.misbehave(how, 354 if verb == b"DATA" else 250)
        elif verb == b"MAIL":
            self.mail_from = True
            self.say(b"250 sender ok")
        elif verb == b"RCPT" and self.mail_from:
            number = NUMBER.search(line)
            assert number is not None
            self.recipient = int(number[1])
            self.say(b"250-recipient\r\n250 ok")
        elif verb == b"DATA" and self.recipient is not None:
            self.data = True
            self.say(b"354 go ahead")
        else:
            self.say(b"503 5.5.1 bad sequence")

    def dot(self) -> None:
        self.data = False
        number, self.recipient, self.mail_from = self.recipient, None, False
        how = next(self.behaviours)
        if number is not None and how in ("good", "hang up after", "unasked", "cut"):
            self.play.accepted[number] += 1
        if how == "good":
            self.say(b"250-2.0.0 queued\r\n250 ok" if number is not None else b"554 no recipients")
        else:
            self.misbehave(how, 250)

    def misbehave(self, how: str, good: int) -> None:
        if how == "refuse":
            self.say(REFUSALS[len(self.buffer) % len(REFUSALS)])
        elif how in ("421", "503"):
            self.say(b"421 4.3.2 closing" if how == "421" else b"503 5.5.1 sequence")
            if how == "421":
                self.transport.close()
        elif how == "garbage":
            self.say(b"what\x00?")
        elif how == "flood":
            self.transport.write(b"250-" + b"y" * 200_000)
        elif how == "unasked":
            self.say(b"%d fine\r\n421 but i am closing" % good)
            self.transport.close()
        elif how == "cut":
            self.transport.write(b"%d no line e" % good)
            self.transport.close()
        elif how == "hang up after":
            self.say(b"%d fine" % good)
            self.transport.close()
        elif how == "hang up":
            self.transport.abort()
        elif how == "silence":
            self.silent = True

    def say(self, reply: bytes) -> None:
        """In pieces of the play's sizes; TCP may join them again."""
        rest = reply + b"\r\n"
        while rest:
            size = next(self.chunks)
            self.transport.write(rest[:size])
            rest = rest[size:]


def _then(values: list[Any], after: Any) -> Iterator[Any]:
    yield from values
    while True:
        yield after


@st.composite
def _behaviours(draw: st.DrawFn) -> list[str]:
    """Mostly good; now and then, anywhere, a refusal or something worse."""
    behaviours = ["good"] * 80
    for _ in range(draw(st.integers(0, 8))):
        behaviours[draw(st.integers(0, 60))] = draw(st.sampled_from(("refuse", *TROUBLE)))
    return behaviours


PLAYS = st.builds(
    Play,
    pipelining=st.sampled_from([True, True, True, False]),
    flushes=st.sampled_from([False, False, False, True]),
    behaviours=_behaviours(),
    chunks=st.lists(st.integers(1, 40), max_size=60),
)


async def _perform(play: Play, mails: int, connections: int) -> list[SmtpReply | BaseException]:
    behaviours, chunks = _then(play.behaviours, "good"), _then(play.chunks, 1000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: RawServer(play, behaviours, chunks), "127.0.0.1", 0)
    address = MailServer(
        host="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        security=SmtpSecurity.NONE,
        username="",
    )
    habits = Habits()

    async def opened() -> Connection:
        return await connect(
            address,
            "",
            tls_context=client_context(),
            local_hostname="client.test",
            timeouts=SHORT,
            habits=habits,
        )

    def begin(number: int) -> Callable[[], Awaitable[bool]]:
        async def claim() -> bool:
            await asyncio.sleep(0.001 * (number % 3))
            return number % 11 != 7  # those are somebody else's

        return claim

    pool = SenderPool(opened, PoolLimits(connections, 5), one_by_one)
    content = b"Subject: x\r\n\r\nbody\r\n.\r\n"
    sends = [
        send(pool, Envelope("a@fleet.test", f"n{n}@x.test"), content, begin(n))
        for n in range(mails)
    ]
    try:
        async with asyncio.timeout(20):
            return await asyncio.gather(*sends, return_exceptions=True)
    finally:
        await pool.close()
        server.close()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(play=PLAYS, mails=st.integers(1, 14), connections=st.integers(1, 3))
def test_every_outcome_is_what_the_server_recorded(
    monkeypatch: pytest.MonkeyPatch, play: Play, mails: int, connections: int
) -> None:
    monkeypatch.setattr(connection_pause, "_SECONDS", (0.001,))
    results = asyncio.run(_perform(play, mails, connections))
    for number, result in enumerate(results):
        taken = play.accepted[number]
        assert taken <= 1, f"mail {number} was taken twice"
        if isinstance(result, SmtpReply):
            assert taken == 1, f"mail {number}: {result}, but the server has nothing"
        elif isinstance(result, OutcomeUnknown):
            continue  # after the final dot nobody can say
        else:
            assert isinstance(result, Refused | NotOurs | CannotConnect), result
            assert taken == 0, f"mail {number}: {result!r}, but the server has taken it"
