"""The connections of one sender: kept, limited, and every mail gets an answer whatever happens."""

import asyncio
import random
from collections.abc import Callable

import pytest

from dispatcher import connection_pause
from dispatcher import pool as pool_module
from dispatcher.domain.outcomes import Phase
from dispatcher.feed import CannotConnect
from dispatcher.pool import PoolLimits, SenderPool
from dispatcher.transport import (
    Connection,
    Envelope,
    Mail,
    NotOurs,
    Refused,
    Result,
    Source,
)
from postfleet.smtp import OutcomeUnknown, SmtpReply, TransientFailure
from tests.unit.dispatcher.scripted import DROP, SILENCE, ScriptedServer, one_by_one, send

ENVELOPE = Envelope("ann@fleet.test", "jo@x.test")
MAIL = b"Subject: hi\r\n\r\nhello\r\n.\r\n"


async def ours() -> bool:
    return True


def pool_of(server: ScriptedServer, connections: int = 2, mails: int = 100) -> SenderPool:
    async def open_connection() -> Connection:
        return await server.connect()

    return SenderPool(open_connection, PoolLimits(connections, mails), one_by_one)


async def send_many(pool: SenderPool, count: int) -> list[SmtpReply | BaseException]:
    mails = (send(pool, ENVELOPE, MAIL, ours) for _ in range(count))
    async with asyncio.timeout(20):
        return await asyncio.gather(*mails, return_exceptions=True)


async def test_connections_are_kept_and_no_more_than_allowed_are_made() -> None:
    async with ScriptedServer("PIPELINING") as server:
        pool = pool_of(server, connections=3)
        replies = await send_many(pool, 60)
        assert all(isinstance(reply, SmtpReply) and reply.code == 250 for reply in replies)
        await send_many(pool, 60)
        assert server.connections <= 3
        assert len(server.mails) == 120
        await pool.close()
        assert pool.idle
        assert server.verbs.count("QUIT") == server.connections


async def test_a_server_that_takes_one_connection_only_gets_all_mails_on_it() -> None:
    async with ScriptedServer("PIPELINING") as server:
        busy = b"421 4.7.0 Too many connections\r\n"
        server.script("GREETING", b"220 scripted\r\n", *[busy] * 50)
        pool = pool_of(server, connections=3)
        replies = await send_many(pool, 40)
        assert all(isinstance(reply, SmtpReply) and reply.code == 250 for reply in replies)
        assert server.connections <= 3, "it is not asked again and again"
        await pool.close()


async def test_a_connection_takes_so_many_mails_and_no_more() -> None:
    async with ScriptedServer("PIPELINING") as server:
        pool = pool_of(server, connections=1, mails=5)
        await send_many(pool, 23)
        await pool.close()
        assert server.connections == 5
        assert len(server.mails) == 23


async def test_an_idle_pool_ends_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_IDLE_SECONDS", 0.05)
    async with ScriptedServer("PIPELINING") as server:
        pool = pool_of(server)
        await send_many(pool, 4)
        for _ in range(100):
            if pool.idle:
                break
            await asyncio.sleep(0.02)
        assert pool.idle
        await asyncio.sleep(0.05)
        assert server.verbs.count("QUIT") == server.connections
        assert (await send(pool, ENVELOPE, MAIL, ours)).code == 250
        await pool.close()


async def test_a_lost_connection_costs_one_mail_and_the_next_is_opened() -> None:
    async with ScriptedServer("PIPELINING") as server:
        server.script("DOT", b"250 ok\r\n", DROP)
        pool = pool_of(server, connections=1)
        results = await send_many(pool, 5)
        doubts = [one for one in results if isinstance(one, OutcomeUnknown)]
        assert len(doubts) == 1
        assert sum(isinstance(one, SmtpReply) for one in results) == 4
        assert server.connections == 2
        await pool.close()


@pytest.mark.seed("S42")
async def test_one_mail_stands_for_a_failed_connection_and_nobody_hammers() -> None:
    opened = 0

    async def refuse() -> Connection:
        nonlocal opened
        opened += 1
        await asyncio.sleep(0.01)
        raise TransientFailure("no route")

    pool = SenderPool(refuse, PoolLimits(5, 100), one_by_one)
    results = await send_many(pool, 50)
    assert all(isinstance(one, CannotConnect) for one in results)
    assert [one.first for one in results if isinstance(one, CannotConnect)].count(True) == 1
    assert opened <= 5
    before = opened
    with pytest.raises(CannotConnect) as refused:
        await send(pool, ENVELOPE, MAIL, ours)
    assert not refused.value.first
    assert opened == before
    await pool.close()


async def test_connections_that_are_lost_together_are_one_failure() -> None:
    """A server that goes away under ten connections: one mail stands for it, not ten."""
    async with ScriptedServer() as server:
        server.script("RCPT", *[SILENCE] * 3)  # until the client's patience is over
        pool = pool_of(server, connections=3)
        results = await send_many(pool, 3)
        lost = [one for one in results if isinstance(one, Refused)]
        assert [one.reply for one in lost] == [None] * 3
        assert [one.first for one in lost].count(True) == 1
        assert (await send(pool, ENVELOPE, MAIL, ours)).code == 250
        server.script("RCPT", DROP)
        with pytest.raises(Refused) as again:  # an outage of its own
            await send(pool, ENVELOPE, MAIL, ours)
        assert again.value.first
        await pool.close()


async def test_a_missing_password_is_no_failure_of_the_server() -> None:
    async def refuse() -> Connection:
        raise LookupError("the registry does not answer")

    pool = SenderPool(refuse, PoolLimits(1, 100), one_by_one)
    results = await send_many(pool, 3)
    assert [one.first for one in results if isinstance(one, CannotConnect)] == [False] * 3


async def test_after_the_pause_it_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_pause, "_SECONDS", (0.05,))
    async with ScriptedServer("PIPELINING") as server:
        server.script("GREETING", DROP)
        pool = pool_of(server, connections=1)
        with pytest.raises(CannotConnect):
            await send(pool, ENVELOPE, MAIL, ours)
        await asyncio.sleep(0.06)
        assert (await send(pool, ENVELOPE, MAIL, ours)).code == 250
        await pool.close()


async def test_what_is_begun_waits_for_the_next_connection_when_one_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_pause, "_SECONDS", (0.05,))
    async with ScriptedServer("PIPELINING") as server:
        server.script("GREETING", b"220 hello\r\n", DROP)
        server.script("DOT", b"250 ok\r\n", DROP)
        pool = pool_of(server, connections=1)
        results = await send_many(pool, 4)
        begun = [one for one in results if not isinstance(one, CannotConnect)]
        assert sum(isinstance(one, OutcomeUnknown) for one in begun) == 1
        assert sum(isinstance(one, SmtpReply) for one in begun) >= 2
        await pool.close()


async def test_closing_answers_every_mail() -> None:
    async with ScriptedServer("PIPELINING") as server:
        pool = pool_of(server, connections=2)

        async def never() -> bool:
            await asyncio.sleep(60)
            return True

        sends = [asyncio.ensure_future(send(pool, ENVELOPE, MAIL, never)) for _ in range(10)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await pool.close()
        async with asyncio.timeout(5):
            results = await asyncio.gather(*sends, return_exceptions=True)
        assert all(isinstance(one, Refused) for one in results)
        assert server.mails == []


async def test_closing_while_the_dot_is_unanswered_leaves_a_doubt() -> None:
    async with ScriptedServer("PIPELINING") as server:
        server.script("DOT", b"silence")
        pool = pool_of(server, connections=1)
        sending = asyncio.ensure_future(send(pool, ENVELOPE, MAIL, ours))
        await asyncio.sleep(0.1)
        await pool.close()
        with pytest.raises(OutcomeUnknown):
            await sending


class _Shaky:
    """A connection that does anything at random, after any time."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self.taken, self.lost = chance, 0, False
        self._source: Source | None = None
        self._mail: Mail | None = None

    @property
    def idle(self) -> bool:
        return self._mail is None

    def serve(self, source: Source) -> None:
        self._source = source
        self.kick()

    def kick(self) -> None:
        assert self._source is not None
        if self.idle and not self.lost and (mail := self._source.take(self)):  # type: ignore[arg-type]
            self.taken += 1
            self._mail = mail
            self._later(self._replied)

    def resume(self, mail: Mail) -> None:
        """Nobody waits for a claim here."""

    def _later(self, then: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self._chance.random() / 500, then)

    def _replied(self) -> None:
        mail, source = self._mail, self._source
        if mail is None or source is None or self.lost:
            return
        self._mail = None
        result: Result = SmtpReply(250)
        if self._chance.random() < 0.2:
            others: list[Result] = [OutcomeUnknown("x"), NotOurs(), Refused(Phase.RCPT, None, "x")]
            result = self._chance.choice(others)
        if self._chance.random() < 0.1 and self.taken > 1:
            source.give_back(mail)
            self.abort()
        else:
            source.settle(mail, result)
            if self._chance.random() < 0.1:
                self.abort()
        self.kick()

    async def quit(self) -> None:
        await asyncio.sleep(self._chance.random() / 500)
        self.abort()
        if self._chance.random() < 0.2:
            raise ConnectionResetError

    def abort(self) -> None:
        if self.lost:
            return
        self.lost = True
        assert self._source is not None
        if self._mail is not None:
            self._source.settle(self._mail, OutcomeUnknown("x"))
        self._source.ended(self)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
async def test_no_mail_ever_waits_for_ever(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_IDLE_SECONDS", 0.002)
    monkeypatch.setattr(connection_pause, "_SECONDS", (0.0, 0.003))
    chance = random.Random(seed)

    async def open_connection() -> Connection:
        await asyncio.sleep(chance.random() / 500)
        if chance.random() < 0.2:
            raise chance.choice([TransientFailure("x"), RuntimeError("x"), OSError("x")])
        return _Shaky(chance)  # type: ignore[return-value]

    pool = SenderPool(open_connection, PoolLimits(3, 7), one_by_one)
    answered = 0
    for _ in range(40):
        await asyncio.sleep(chance.random() / 100)
        answered += len(await send_many(pool, chance.randrange(1, 25)))
    late = [asyncio.ensure_future(send(pool, ENVELOPE, MAIL, ours)) for _ in range(30)]
    await asyncio.sleep(0.003)
    async with asyncio.timeout(5):
        await pool.close()
    async with asyncio.timeout(5):
        await asyncio.gather(*late, return_exceptions=True)
    assert answered > 40
    assert pool.idle
