"""One batch on its way: mails are filled when a connection asks for them, facts written in groups."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dispatcher import gauges
from dispatcher.domain.lanes import TRANSACTIONAL, lane_of
from dispatcher.domain.ledger import Batch, Item, Settled
from dispatcher.domain.message import CannotFill, Filled, for_transfer
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.retries import Refusal, RetryRules, postponed, refused
from dispatcher.feed import TOO_LATE, CannotConnect
from dispatcher.store.attempts import Attempt
from dispatcher.transport import Mail, NotOurs, Refused, Result, envelope_for
from postfleet.instants import now_ms
from postfleet.smtp import OutcomeUnknown, SmtpReply


class Tag(NamedTuple):
    """What a mail carries through the pool."""

    base: Settled
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Means:
    """What a run works with. `write` makes facts durable and returns what is left to do: to
    announce them."""

    compose: Callable[[Item], tuple[Settled, Callable[[], Filled]]]
    attempt: Callable[[Item], Attempt]
    claim: Callable[[Sequence[Attempt]], Awaitable[Sequence[bool]]]
    write: Callable[[Sequence[Settled]], Awaitable[Awaitable[None]]]
    retries: RetryRules


class Run:
    """A feed for the pool. `done` returns when each item is settled, or found taken.

    From `until` (ms) on none begins: the limits of that day do not know of them.
    """

    def __init__(
        self, batch: Batch, items: Sequence[Item], reverse_path: str, means: Means, until: int
    ) -> None:
        self.urgent = lane_of(batch.origin.category) == TRANSACTIONAL
        self.taken: list[Item] = []  # by another worker
        self.outcomes: list[Outcome] = []
        self._reverse_path, self._means, self._until = reverse_path, means, until
        self._items = deque(items)
        self._open = len(items)
        self._facts: list[Settled] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = False
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()
        self._end_if_all_is_said()

    async def done(self) -> None:
        """Raises what went wrong when facts were written, after all items have come to an end."""
        await self._ended.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._failure is not None:
            raise self._failure

    # -- for the pool ----------------------------------------------------------------------------

    @property
    def left(self) -> int:
        return len(self._items)

    @property
    def over(self) -> bool:
        return now_ms() >= self._until

    def take(self) -> Mail | None:
        while self._items:
            item = self._items.popleft()
            base, fill = self._means.compose(item)
            if base.at >= self._until:
                self._fact(postponed(base, TOO_LATE, base.at, base.at))
                continue
            try:
                filled = fill()
            except (CannotFill, LookupError) as error:  # a LookupError: the step or variant is gone
                self._fact(replace(base, outcome=Outcome.SKIPPED, reason=f"template: {error}"))
                continue
            tag = Tag(replace(base, mail_subject=filled.subject), self._means.attempt(item))
            envelope = envelope_for(self._reverse_path, item.recipient, filled.content)
            return Mail(envelope, for_transfer(filled), tag=tag)
        return None

    def settle(self, mail: Mail, result: Result | CannotConnect) -> None:
        base: Settled = mail.tag.base
        if isinstance(result, SmtpReply):
            now = now_ms()
            gauges.transmitted.observe(max(0, now - base.at) / 1000)
            self._fact(replace(base, at=now).with_reply(result))
        elif isinstance(result, NotOurs):
            self._taken(base.item)
        elif isinstance(result, OutcomeUnknown):
            self._fact(replace(base, outcome=Outcome.UNKNOWN, at=now_ms()))
        elif isinstance(result, CannotConnect) and not result.first and mail.ours is None:
            self._fact(self._postponed(base, result))
        else:
            self._refused(mail, base, result)

    def refuse(self, why: CannotConnect | Refused) -> None:
        while self._items:
            base, _ = self._means.compose(self._items.popleft())
            self._fact(self._postponed(base, why))

    # -- facts -----------------------------------------------------------------------------------

    def _postponed(self, base: Settled, why: Exception) -> Settled:
        now, wait = now_ms(), int(self._means.retries.base_seconds * 1000)
        return postponed(base, str(why), now + wait, now)

    def _refused(self, mail: Mail, base: Settled, error: CannotConnect | Refused) -> None:
        refusal = Refusal(error.reply, error.phase, str(error))
        fact = refused(base, refusal, self._means.retries, now_ms())
        fact = replace(fact, same_outage=not error.first)
        if mail.ours:
            self._fact(fact)
        else:
            self._spawn(self._claim_first(mail, fact))

    async def _claim_first(self, mail: Mail, fact: Settled) -> None:
        """Who settles an attempt must own it: else a worker that wakes up late sends it after all,
        beside the next attempt that follows from this failure."""
        ours = await self._means.claim([mail.tag.attempt])
        if ours[0]:
            self._fact(fact)
        else:
            self._taken(fact.item)

    def _taken(self, item: Item) -> None:
        self.taken.append(item)
        self._open -= 1
        self._end_if_all_is_said()

    def _fact(self, settled: Settled) -> None:
        self.outcomes.append(settled.outcome)
        self._facts.append(settled)
        self._open -= 1
        if not self._writing:
            self._writing = True
            self._spawn(self._write())

    async def _write(self) -> None:
        """What becomes known while one group is written goes into the next."""
        try:
            while self._facts:
                group, self._facts = self._facts, []
                self._spawn(await self._means.write(group))
        finally:
            self._writing = False
            self._end_if_all_is_said()

    def _end_if_all_is_said(self) -> None:
        if not self._open and not self._writing:
            self._ended.set()

    def _spawn(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
