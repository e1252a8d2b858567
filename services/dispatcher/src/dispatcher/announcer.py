"""Announces settlements: their events on the bus, the rows that people query, then the mark.

Repeating any of it is harmless, so a settlement that is still new after a crash is announced again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import NamedTuple, TypeVar

from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.domain.ledger import Batch, Settled, announcements
from dispatcher.domain.outcomes import Outcome
from dispatcher.group_commit import GroupCommit
from dispatcher.store.deliveries import Deliveries
from dispatcher.store.settlements import Settlement, Settlements, settlement
from postfleet import metrics
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement
from postfleet.failpoints import reach
from postfleet.instants import now_ms
from postfleet.outages import NotConfirmed

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
# Seconds; under load more mails share what one write and one publish cost.
_WRITE_REST, _ANNOUNCE_REST = 0.01, 0.03
_GRACE_MS = 10_000
_SWEEP_LIMIT = 200


_Entry = tuple[Batch, tuple[Settled, ...]]


class _Said(NamedTuple):
    """A settlement whose events are on the bus, if it has any that can be said."""

    settlement: Settlement
    sayable: bool


T = TypeVar("T")
R = TypeVar("R")


class Announcer:
    def __init__(self, settlements: Settlements, deliveries: Deliveries, bus: Bus) -> None:
        self._settlements = settlements
        self._deliveries = deliveries
        self._bus = bus
        self._written = GroupCommit(self._write, rest=_WRITE_REST)
        self._said = GroupCommit(self._say_once, rest=_ANNOUNCE_REST)
        self._shown = GroupCommit(self._show_once)  # while the next events are said
        for outcome in Outcome:  # there from the start: no news is a zero
            metrics.deliveries.labels(bus.service, outcome.value)

    async def settle(self, batch: Batch, settled: Sequence[Settled]) -> None:
        """Returns when this is durable, announced, and in the rows.

        While the database or the bus is away it keeps trying: what a server has said must not be
        forgotten.
        """
        if settled:
            await (await self.write(batch, settled))

    async def write(self, batch: Batch, settled: Sequence[Settled]) -> Awaitable[None]:
        """Returns when this is durable; what it returns, when it is announced."""
        reach("before-settle")
        return self._tell(await _until_done(self._written, (batch, tuple(settled))))

    async def _tell(self, written: Settlement) -> None:
        await _until_done(self._shown, await _until_done(self._said, written))

    async def _write(self, entries: Sequence[_Entry]) -> Sequence[Settlement]:
        """One document a batch, however many of its deliveries are ready."""
        by_batch: dict[str, list[Settled]] = {}
        batches = {}
        for batch, settled in entries:
            batches[batch.id] = batch
            by_batch.setdefault(batch.id, []).extend(settled)
        made = {id_: settlement(batches[id_], settled) for id_, settled in by_batch.items()}
        await self._settlements.insert(list(made.values()))
        return [made[batch.id] for batch, _ in entries]

    async def _say_once(self, settlements: Sequence[Settlement]) -> Sequence[_Said]:
        said = await self._say(list({s.id: s for s in settlements}.values()))
        by_id = {one.settlement.id: one for one in said}
        return [by_id[s.id] for s in settlements]

    async def _show_once(self, said: Sequence[_Said]) -> Sequence[None]:
        await self._show(list({one.settlement.id: one for one in said}.values()))
        return [None] * len(said)

    async def say(self, settlements: Sequence[Settlement]) -> int:
        """Publish their events, under the same ids however often; returns how many."""
        return await self._publish([_events(one) for one in settlements])

    async def _publish(self, told: Sequence[list[Announcement] | None]) -> int:
        events = [event for one in told for event in one or ()]
        failed = await self._bus.publish_each(events)
        if failed:
            raise NotConfirmed(list(failed), next(iter(failed.values())))
        return len(events)

    async def _say(self, settlements: Sequence[Settlement]) -> list[_Said]:
        for _ in settlements:
            reach("after-settle")
        told = [_events(one) for one in settlements]
        await self._publish(told)
        for _ in settlements:
            reach("after-publish")
        pairs = zip(settlements, told, strict=True)
        return [_Said(one, sayable=events is not None) for one, events in pairs]

    async def _show(self, said: Sequence[_Said]) -> None:
        """Their rows, then the marks: nothing is announced that people do not see."""
        settlements = [one.settlement for one in said]
        await self._deliveries.write(
            [(s.batch_id, s.origin, one) for s in settlements for one in s.settled]
        )
        unsayable = [one.settlement.id for one in said if not one.sayable]
        if unsayable:  # its rows are written, and nobody waits for it for ever
            gauges.unsayable.inc(len(unsayable))
            await self._settlements.set_aside(unsayable)
        await self._settlements.mark_announced([s.id for s in settlements])
        outcomes = Counter(one.outcome for written in settlements for one in written.settled)
        for outcome, count in outcomes.items():
            metrics.deliveries.labels(self._bus.service, outcome.value).inc(count)

    async def sweep(self, grace_ms: int = _GRACE_MS) -> int:
        """Announce what a crash left; returns how many settlements."""
        left = await self._settlements.unannounced(now_ms() - grace_ms, _SWEEP_LIMIT)
        if left:
            await self._show(await self._say(left))
        return len(left)


def _events(told: Settlement) -> list[Announcement] | None:
    """The events of a settlement; None if it has facts that no event can carry."""
    try:
        return [event for one in told.settled for event in announcements(told.origin, one)]
    except (ValueError, OverflowError) as error:  # pydantic's errors are ValueErrors
        log.error("settlement %s cannot be announced: %s", told.id, error)
        return None


async def _until_done(group: GroupCommit[T, R], entry: T) -> R:
    while True:
        try:
            return await group.submit(entry)
        except (PyMongoError, NotConfirmed) as error:
            log.warning("settling waits: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)
