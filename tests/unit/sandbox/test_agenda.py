"""In which order things happen to a mail."""

import asyncio

from postfleet_sandbox import ledger
from postfleet_sandbox.agenda import Agenda, Task
from postfleet_sandbox.behaviours import Act
from postfleet_sandbox.ledger import Record, now_ms


def record(kind: str, at: int, **detail: object) -> Record:
    return Record(1, at, kind, "ann@people.test", "kim@fleet.test", "<1@fleet.test>", detail)


async def next_of(agenda: Agenda) -> Task | None:
    """The task that is due now, if any is."""
    try:
        async with asyncio.timeout(0.02):
            return await agenda.next()
    except TimeoutError:
        return None


async def test_people_see_a_mail_when_its_scanner_is_through_however_slow_it_is() -> None:
    start = now_ms() - 60_000
    due = {Act.SCANNER_OPEN: start + 10, Act.SCANNER_CLICK: start + 20, Act.HUMAN_OPEN: start + 90}
    agenda = Agenda()
    agenda.read(record(ledger.ACCEPTED, start, acts=due))
    assert await next_of(agenda) == Task(start + 10, 1, Act.SCANNER_OPEN)
    assert await next_of(agenda) == Task(start + 20, 1, Act.SCANNER_CLICK)
    agenda.read(record(Act.SCANNER_OPEN, start + 30, mail=1, act=Act.SCANNER_OPEN))
    assert await next_of(agenda) is None
    agenda.read(record(Act.SCANNER_CLICK, start + 5_020, mail=1, act=Act.SCANNER_CLICK))
    assert await next_of(agenda) == Task(start + 5_090, 1, Act.HUMAN_OPEN)
    agenda.read(record(Act.HUMAN_OPEN, start + 5_100, mail=1, act=Act.HUMAN_OPEN))
    assert agenda.pending == 0
