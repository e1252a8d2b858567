"""What was counted for a day goes on that day or not at all, however long the queue was."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from dispatcher.domain.ledger import Batch, Item, Origin, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.retries import RetryRules
from dispatcher.feed import TOO_LATE, CannotConnect
from dispatcher.pool import PoolLimits, SenderPool
from dispatcher.run import Means, Run
from dispatcher.store.attempts import Attempt
from dispatcher.transport import Connection, Envelope, Mail
from postfleet.instants import now_ms
from tests.unit.dispatcher.scripted import ScriptedServer

_ITEMS = tuple(Item(f"d{n}", f"l{n}", f"p{n}@x.test") for n in range(3))
_BATCH = Batch("b1", Origin("c1", 0, "a", "s1", "campaign"), _ITEMS, 1)
_NOON, _MIDNIGHT = 1_800_000_000_000, 1_800_040_000_000


class _Day:
    """A feed whose day is over once its first mail was taken."""

    urgent = True

    def __init__(self, mails: int) -> None:
        self.left, self.over = mails, False
        self.results: list[Any] = []
        self.all_settled = asyncio.Event()
        self._mails = mails

    def take(self) -> Mail | None:
        if not self.left:
            return None
        self.left -= 1
        return Mail(Envelope("ann@fleet.test", "jo@x.test"), b"Subject: hi\r\n\r\nhello\r\n.\r\n")

    def settle(self, mail: Mail, result: Any) -> None:
        self.results.append(result)
        if len(self.results) == self._mails:
            self.all_settled.set()

    def refuse(self, why: Any) -> None:
        raise AssertionError(why)


async def test_what_was_taken_ahead_does_not_go_when_its_day_is_over() -> None:
    day = _Day(80)

    async def claim(mails: Sequence[Mail]) -> Sequence[bool]:
        day.over = True  # midnight, between the claim and the mail's turn
        return [True] * len(mails)

    async with ScriptedServer() as server:

        async def open_connection() -> Connection:
            return await server.connect()

        pool = SenderPool(open_connection, PoolLimits(1, 100), claim)
        pool.feed(day)
        async with asyncio.timeout(60):
            await day.all_settled.wait()
        await pool.close()
        assert len(server.mails) <= 1  # the one that was at its server already
    late = [result for result in day.results if isinstance(result, CannotConnect)]
    assert {str(result) for result in late} == {TOO_LATE}
    assert len(late) >= 79
    assert not any(result.first for result in late), "no failure of the sender"


def _run(composed_at: int, until: int) -> tuple[Run, list[Settled]]:
    written: list[Settled] = []

    def compose(item: Item) -> tuple[Settled, Any]:
        def fill() -> Any:
            raise LookupError("composed")

        return Settled(item, Outcome.ACCEPTED, composed_at), fill

    async def write(settled: Sequence[Settled]) -> Awaitable[None]:
        written.extend(settled)
        return asyncio.sleep(0)

    async def claim(attempts: Sequence[Attempt]) -> Sequence[bool]:
        raise AssertionError("nothing is claimed")

    means = Means(
        compose, lambda item: Attempt(item.key, "b1", "x"), claim, write, RetryRules(60, 3600)
    )
    return Run(_BATCH, _ITEMS, "ann@fleet.test", means, until), written


async def test_what_waits_at_midnight_is_planned_anew() -> None:
    run, written = _run(composed_at=_MIDNIGHT, until=_MIDNIGHT)
    assert run.over == (now_ms() >= _MIDNIGHT)
    assert run.take() is None
    await run.done()
    assert [(s.outcome, s.reason, s.retry_at) for s in written] == [
        (Outcome.POSTPONED, TOO_LATE, _MIDNIGHT)
    ] * 3


async def test_before_midnight_it_is_composed() -> None:
    run, written = _run(composed_at=_NOON, until=_MIDNIGHT)
    assert run.take() is None
    await run.done()
    assert {s.reason for s in written} == {"template: composed"}
