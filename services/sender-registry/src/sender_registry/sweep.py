"""What happens by the clock alone: cooldowns end, tokens are refreshed, a new day begins."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pymongo.errors import PyMongoError

from postfleet.instants import day_of, to_ms
from postfleet.outages import Unavailable
from sender_registry.applied_store import AppliedStore
from sender_registry.changing import Changes
from sender_registry.domain.cooldown import after_time
from sender_registry.domain.sender import Sender
from sender_registry.new_day import NewDay
from sender_registry.token_keeper import TokenKeeper

log = logging.getLogger(__name__)

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Chores:
    """What the sweep needs beside the senders themselves."""

    applied: AppliedStore
    tokens: TokenKeeper
    others: tuple[Callable[[], Awaitable[None]], ...]  # every time
    new_day: NewDay  # takes a minute where there are ten thousand senders: beside the rest


class Sweep:
    """Runs every `every_seconds`. It writes only what has changed, so a restart announces nothing."""

    def __init__(self, changes: Changes, chores: Chores, every_seconds: float) -> None:
        self._changes = changes
        self._chores = chores
        self._every = every_seconds
        self._day = ""

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again_and_again(self.once))
            group.create_task(self._again_and_again(self.each_day))

    async def _again_and_again(self, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await chore()
            except (PyMongoError, Unavailable) as error:
                log.warning("sweep failed, tried again soon: %s", error)
            await asyncio.sleep(self._every)

    async def once(self) -> None:
        """What is due now."""
        await self._end_cooldowns()
        await self._chores.tokens.sweep()
        for chore in self._chores.others:
            await chore()

    async def each_day(self) -> None:
        """What comes once a day, if it is a new one; a day that fails half-way begins again."""
        today = day_of(to_ms(self._changes.clock()))
        if today != self._day:
            await self._chores.new_day.walk()
            await self._chores.applied.forget_old()
            self._day = today

    async def _end_cooldowns(self) -> None:
        for sender in await self._changes.store.cooled_down(_PAGE):
            await self._changes.change(sender.id, self._without_past_cooldown)

    def _without_past_cooldown(self, sender: Sender) -> Sender:
        now_ms = to_ms(self._changes.clock())
        return replace(sender, streak=after_time(sender.streak, now_ms))
