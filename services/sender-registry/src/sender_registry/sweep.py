"""What happens by the clock alone: cooldowns end, and a new day brings new limits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pymongo.errors import PyMongoError

from postfleet.instants import day_of, to_ms
from postfleet.outages import Unavailable
from postfleet.problems import Problem
from sender_registry.applied_store import AppliedStore
from sender_registry.changing import Changes
from sender_registry.domain.cooldown import after_time
from sender_registry.domain.deadlines import DeadlineRules, certificates_near, warned
from sender_registry.domain.sender import Sender
from sender_registry.token_keeper import TokenKeeper

log = logging.getLogger(__name__)

_PAGE = 200
_TOGETHER = 50  # read and looked through while requests wait


@dataclass(frozen=True, slots=True)
class Chores:
    """What the sweep needs beside the senders themselves."""

    applied: AppliedStore
    tokens: TokenKeeper
    deadlines: DeadlineRules
    others: tuple[Callable[[], Awaitable[None]], ...]  # every time
    look_again: Callable[[str], Awaitable[None]]  # at the certificates of a sender's servers


class Sweep:
    """Runs every `every_seconds`. It writes only what has changed, so a restart announces nothing."""

    def __init__(self, changes: Changes, chores: Chores, every_seconds: float) -> None:
        self._changes = changes
        self._chores = chores
        self._every = every_seconds
        self._day = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except (PyMongoError, Unavailable) as error:
                log.warning("sweep failed, tried again soon: %s", error)
            await asyncio.sleep(self._every)

    async def once(self) -> None:
        await self._end_cooldowns()
        await self._chores.tokens.sweep()
        for chore in self._chores.others:
            await chore()
        today = day_of(to_ms(self._changes.clock()))
        if today != self._day:
            await self._new_day()
            self._day = today

    async def _end_cooldowns(self) -> None:
        for sender in await self._changes.store.cooled_down(_PAGE):
            await self._changes.change(sender.id, self._without_past_cooldown)

    def _without_past_cooldown(self, sender: Sender) -> Sender:
        now_ms = to_ms(self._changes.clock())
        return replace(sender, streak=after_time(sender.streak, now_ms))

    async def _new_day(self) -> None:
        """Tell of limits that changed with the age of a mailbox, or with what is left of a month,
        and of what will end soon."""
        last = ""
        while page := await self._changes.store.after(last, _TOGETHER):
            for sender in page:
                if certificates_near(sender, to_ms(self._changes.clock())):
                    await self._look_again(sender)
                if self._changes.settle(sender, self._of_today(sender)) is not None:
                    await self._changes.change(sender.id, self._of_today)
                await asyncio.sleep(0)  # of ten thousand senders none keeps a request waiting
            last = page[-1].id
        await self._chores.applied.forget_old()

    async def _look_again(self, sender: Sender) -> None:
        try:
            await self._chores.look_again(sender.id)
        except Problem as problem:  # deleted meanwhile, or its secret does not open
            log.warning("the certificates of %s were not looked at: %s", sender.id, problem)

    def _of_today(self, sender: Sender) -> Sender:
        return warned(sender, self._chores.deadlines, to_ms(self._changes.clock()))
