"""What a new day changes of every sender: its limits, its warm-up, and what will end soon."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from postfleet.instants import to_ms
from postfleet.mongo import Flush, each_is_durable
from postfleet.problems import Problem
from sender_registry.changing import Changes
from sender_registry.domain.deadlines import DeadlineRules, certificates_near, warned
from sender_registry.domain.sender import Sender

log = logging.getLogger(__name__)

_TOGETHER = 25  # senders read, decided on and written at once, while requests wait for the database
_REST = 2.0  # times as long as those took: two thirds of the database are the requests'


@dataclass(frozen=True, slots=True)
class NewDay:
    """One walk through all senders. It writes only what has changed.

    `look_again` asks a sender's servers for their certificates; `flush` makes durable what was
    written of many at once.
    """

    changes: Changes
    deadlines: DeadlineRules
    look_again: Callable[[str], Awaitable[None]]
    flush: Flush = each_is_durable

    async def walk(self) -> None:
        last = ""
        while True:
            started = time.monotonic()
            page = await self.changes.store.after(last, _TOGETHER)
            if page:
                await self._settle(page)
            if len(page) < _TOGETHER:
                return
            last = page[-1].id
            await asyncio.sleep(_REST * (time.monotonic() - started))

    async def _settle(self, page: list[Sender]) -> None:
        ended = [one for one in page if certificates_near(one, to_ms(self.changes.clock()))]
        for sender in ended:
            await self._look_at(sender)
            await self.changes.change(sender.id, self._of_today)
        others = [one for one in page if one not in ended]
        found = [self.changes.settle(one, self._of_today(one)) for one in others]
        if not (due := [change for change in found if change is not None]):
            return
        if not await self.changes.store.save_many(due):
            for change in due:  # somebody wrote one meanwhile; those that were written stay so
                await self.changes.change(change.after.id, self._of_today)
        await self.flush()
        self.changes.relay.wake()

    async def _look_at(self, sender: Sender) -> None:
        try:
            await self.look_again(sender.id)
        except Problem as problem:  # deleted meanwhile, or its secret does not open
            log.warning("the certificates of %s were not looked at: %s", sender.id, problem)

    def _of_today(self, sender: Sender) -> Sender:
        return warned(sender, self.deadlines, to_ms(self.changes.clock()))
