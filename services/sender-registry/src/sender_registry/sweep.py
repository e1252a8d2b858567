"""What happens by the clock alone: cooldowns end, and a new day brings new limits."""

import asyncio
import logging
from dataclasses import replace

from pymongo.errors import PyMongoError

from postfleet.bus import Unavailable
from postfleet.instants import day_of, to_ms
from sender_registry.applied_store import AppliedStore
from sender_registry.changing import Changes
from sender_registry.domain.cooldown import after_time
from sender_registry.domain.sender import Sender
from sender_registry.token_keeper import TokenKeeper

log = logging.getLogger(__name__)

_PAGE = 200


class Sweep:
    """Runs every `every_seconds`. It writes only what has changed, so a restart announces nothing."""

    def __init__(
        self,
        changes: Changes,
        applied: AppliedStore,
        tokens: TokenKeeper,
        every_seconds: float,
    ) -> None:
        self._changes = changes
        self._applied = applied
        self._tokens = tokens
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
        await self._tokens.sweep()
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
        """Tell of limits that changed with the age of a mailbox, or with what is left of a month."""
        last = ""
        while page := await self._changes.store.after(last, _PAGE):
            for sender in page:
                if self._changes.settle(sender, sender) is not None:
                    await self._changes.change(sender.id, lambda unchanged: unchanged)
            last = page[-1].id
        await self._applied.forget_old()
