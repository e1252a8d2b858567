"""What is done again and again: late matches, broken promises, old rows."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from inbox_watcher.arrivals import Arrivals
from inbox_watcher.copies import Copies
from inbox_watcher.inbound_store import InboundStore
from inbox_watcher.mailbox_store import MailboxStore
from inbox_watcher.question_store import QuestionStore
from inbox_watcher.sent_store import SentStore
from inbox_watcher.settings import Settings
from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.inbox import WatcherRecovered, WatcherStale
from postfleet.instants import from_ms, now, now_ms
from postfleet.tasks import end

log = logging.getLogger(__name__)

_EVERY = 1.0  # seconds
_LOOK_EVERY = 4.0  # at copies and promises, which wait for minutes
_FORGET_EVERY = 3600.0
_AT_ONCE_EVERY = 0.25  # a stream of email.sent wakes no more often than this
_DAY_MS = 86_400_000


@dataclass(slots=True)
class Sweeps:
    """Any replica may do it: each write is guarded by the state it expects."""

    settings: Settings
    arrivals: Arrivals
    copies: Copies
    mailboxes: MailboxStore
    inbound: InboundStore
    sent: SentStore
    questions: QuestionStore
    announce_soon: Callable[[], None]
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _looked: float = 0.0
    _forgot: float = 0.0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sweeps")

    async def stop(self) -> None:
        await end(self._task)

    def wake(self) -> None:
        """New mails were sent: one that waits may match now."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            woken = self._wake.is_set()
            self._wake.clear()
            try:
                await self.arrivals.rematch(now_ms() + (_DAY_MS if woken else 0))
                if time.monotonic() - self._looked > _LOOK_EVERY:
                    self._looked = time.monotonic()
                    await self.copies.settle(now_ms())
                    await self.tell_broken_promises(now_ms())
                if time.monotonic() - self._forgot > _FORGET_EVERY or not self._forgot:
                    await self._forget()
            except PyMongoError as error:
                log.warning("sweep failed, tried again soon: %s", error)
            await asyncio.sleep(_AT_ONCE_EVERY)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self._wake.wait()

    async def tell_broken_promises(self, at: int) -> None:
        """`watcher.stale` for mailboxes not looked at in time, `watcher.recovered` for those again."""
        limit = at - int(self.settings.stale_seconds * 1000)
        told = False
        for overdue in await self.mailboxes.overdue(limit):
            stale = WatcherStale(
                occurred_at=now(),
                sender_id=overdue.sender_id,
                since=from_ms(overdue.looked_at),
                reason=overdue.error,
            )
            id_ = derived_id(WatcherStale.subject, overdue.sender_id, overdue.looked_at)
            told |= await self.mailboxes.tell(overdue, "yes", Announcement(stale, id_))
        for back in await self.mailboxes.recovered(limit):
            recovered = WatcherRecovered(occurred_at=now(), sender_id=back.sender_id)
            id_ = derived_id(WatcherRecovered.subject, back.sender_id, back.looked_at)
            told |= await self.mailboxes.tell(back, "no", Announcement(recovered, id_))
        if told:
            self.announce_soon()

    async def _forget(self) -> None:
        self._forgot = time.monotonic()
        await self.inbound.forget(now_ms() - self.settings.keep_inbound_days * _DAY_MS)
        await self.sent.forget(now_ms() - self.settings.keep_sent_days * _DAY_MS)
        await self.questions.forget(now_ms() - self.settings.evidence_days * _DAY_MS)
