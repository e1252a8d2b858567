"""Events are said and rows written side by side: each may wait for its server, neither is done twice."""

import asyncio
from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect

from dispatcher import announcer as module
from dispatcher.announcer import Announcer
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.settlements import Settlements
from postfleet.bus import Bus
from tests.support.busworld import until
from tests.unit.dispatcher.test_ledger_edges import Said, accepted, batch


class Rows:
    """Of the deliveries' store what the announcer needs; the first write waits, the second fails once."""

    def __init__(self) -> None:
        self.go, self.writes = asyncio.Event(), 0

    async def write(self, rows: Any) -> None:
        self.writes += 1
        await self.go.wait()
        if self.writes == 2:
            raise AutoReconnect("away")


async def test_the_next_events_are_said_while_rows_wait_and_once_though_rows_fail(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    said, rows, settlements = Said(), Rows(), Settlements(database.settlements)
    announcer = Announcer(settlements, cast(Deliveries, rows), cast(Bus, said))
    first, second = batch("first"), batch("second")
    one = asyncio.create_task(announcer.settle(first, [accepted(first)]))
    await until(lambda: rows.writes == 1)
    two = asyncio.create_task(announcer.settle(second, [accepted(second)]))
    await until(lambda: len(said.events) == 2)  # the rows of the first are not written yet
    assert not one.done()
    assert len(await settlements.unannounced(2**62, 9)) == 2, "no mark before the rows"
    rows.go.set()
    await asyncio.gather(one, two)
    assert [event.event.aggregate_id for event in said.events] == ["d-first", "d-second"]
    assert rows.writes == 3
    assert await announcer.sweep(grace_ms=0) == 0
