"""Sends batches: claim, check again, reserve, transmit, settle; the job is acked last."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nats.aio.msg import Msg
from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.announcer import Announcer
from dispatcher.brakes import Brakes
from dispatcher.delivery import Sending
from dispatcher.domain.lanes import partition_of
from dispatcher.domain.ledger import MAX_REPLY_TEXT, Batch, Item, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.retries import batch_wait_seconds
from dispatcher.doubt import Doubt
from dispatcher.gate import Gate, Verdict
from dispatcher.group_commit import GroupCommit
from dispatcher.store.batches import Batches, Life, batch_of, claim_of
from dispatcher.store.quotas import Limits, Quotas, Spent, Wish
from dispatcher.store.senders import Senders
from postfleet import tracing
from postfleet.bus import Bus
from postfleet.failpoints import reach
from postfleet.instants import day_of, now_ms
from postfleet.outages import NotConfirmed
from postfleet.topology import JOB_LANES

log = logging.getLogger(__name__)

_JOB_RETRY_SECONDS = 5.0
_USED = (Outcome.ACCEPTED, Outcome.UNKNOWN)  # these use up quota


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    instance: str
    lease_ms: int
    concurrency: int = 64  # batches of a lane at a time: neither lane takes the other's places


@dataclass(slots=True)
class _Running:
    """What this worker holds now: the claims (batch id, claim id), and the jobs they came by."""

    claims: set[tuple[str, str]] = field(default_factory=set)
    jobs: dict[str, Msg] = field(default_factory=dict)
    tasks: dict[int, set[asyncio.Task[None]]] = field(default_factory=dict)  # by partition


class Worker:
    def __init__(
        self,
        *,
        bus: Bus,
        batches: Batches,
        quotas: Quotas,
        senders: Senders,
        gate: Gate,
        brakes: Brakes,
        sending: Sending,
        announcer: Announcer,
        doubt: Doubt,
        limits: WorkerLimits,
    ) -> None:
        self._bus, self._batches, self._quotas = bus, batches, quotas
        self._senders, self._gate, self._sending = senders, gate, sending
        self._brakes = brakes
        self._announcer, self._doubt, self._limits = announcer, doubt, limits
        self._running = _Running()
        self._slots = {lane: asyncio.Semaphore(limits.concurrency) for lane in JOB_LANES}
        gauges.batches_most.set(limits.concurrency)
        # What several batches need at the same time is asked of the database once.
        self._claims = GroupCommit(self._claim_group, limit=20)
        self._finishes = GroupCommit(self._finish_group, limit=50)
        self._wishes = GroupCommit(quotas.reserve_all, limit=20)
        self._spent = GroupCommit(self._spend_group, limit=50)

    async def _claim_group(self, ids: Sequence[str]) -> Sequence[tuple[str, Life] | None]:
        """(claim id, life) of each batch that is ours now; of two jobs of one batch the first has it."""
        group, limits = uuid.uuid4().hex, self._limits
        for _ in ids:
            reach("before-claim")
        distinct = list(dict.fromkeys(ids))
        found = await self._batches.claim(distinct, group, limits.instance, limits.lease_ms)
        for _ in found:
            reach("after-claim")
        lives = [found.pop(id_, None) for id_ in ids]
        return [(claim_of(group, life), life) if life else None for life in lives]

    async def _finish_group(self, claimed: Sequence[tuple[str, str]]) -> Sequence[None]:
        await self._batches.finish(claimed)
        return [None] * len(claimed)

    async def _spend_group(self, spent: Sequence[Spent]) -> Sequence[None]:
        await self._quotas.settle_all(spent)
        return [None] * len(spent)

    def jobs_of(
        self, lane: str, partition: int, durable: str
    ) -> Callable[[list[Msg]], Awaitable[None]]:
        """Starts a batch for each job as the lane has slots free; they ack themselves when all is
        settled. Those that are not started when this is cancelled go back at once."""
        slots, tasks = self._slots[lane], self._running.tasks.setdefault(partition, set())

        def finished(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            gauges.batches_running.dec()
            slots.release()

        async def start(message: Msg) -> None:
            try:
                batch = batch_of(message.data)
            except ValueError as error:
                await self._bus.bury(durable, message, str(error))
                return
            await slots.acquire()
            task = asyncio.create_task(self._job(message, batch), name=f"batch {batch.id}")
            tasks.add(task)
            gauges.batches_running.inc()
            task.add_done_callback(finished)

        async def on_jobs(messages: list[Msg]) -> None:
            left = deque(messages)
            try:
                while left:
                    await start(left[0])
                    left.popleft()
            finally:
                for message in left:
                    await message.nak()

        return on_jobs

    def works_on(self, partition: int) -> bool:
        return bool(self._running.tasks.get(partition))

    async def ended(self, partition: int) -> None:
        """Returns when nothing of this partition is in flight and its connections are closed;
        nothing new may be started meanwhile."""
        while tasks := self._running.tasks.get(partition):
            await asyncio.wait(list(tasks))
        await self._sending.close(lambda sender_id: partition_of(sender_id) == partition)

    async def keep_leases(self) -> None:
        """Runs for ever: renews what this worker holds, three times per lease, and its jobs."""
        while True:
            await asyncio.sleep(self._limits.lease_ms / 3000)
            try:
                for message in list(self._running.jobs.values()):
                    await message.in_progress()
                if claims := {claim for _, claim in self._running.claims}:
                    await self._batches.renew(claims, self._limits.lease_ms)
            except Exception as error:
                log.warning("leases not renewed: %s", error)

    async def drain(self) -> None:
        """Wait for what is in flight; nothing new may be started meanwhile."""
        while tasks := [task for some in self._running.tasks.values() for task in some]:
            await asyncio.wait(tasks)
        await self._sending.close()

    async def _job(self, message: Msg, batch: Batch) -> None:
        self._running.jobs[message.reply] = message
        try:
            await self._claim_and_run(batch)
        except Exception:
            log.exception("batch %s failed; its job comes back", batch.id)
            await message.nak(delay=_JOB_RETRY_SECONDS)
        else:
            reach("before-ack")
            await message.ack()
        finally:
            self._running.jobs.pop(message.reply, None)

    async def _claim_and_run(self, batch: Batch) -> None:
        claimed = await self._claims.submit(batch.id)
        if claimed is None:
            return  # another worker has it, or it is done
        claim_id, life = claimed
        self._running.claims.add((batch.id, claim_id))
        gauges.queued.observe(max(0, now_ms() - batch.created_at) / 1000)
        try:
            past = await self._doubt.settled(batch.id) if life == "again" else {}
            await self._run(batch, past, first=life == "first")
            await self._finishes.submit((batch.id, claim_id))
        except (PyMongoError, NotConfirmed):
            await self._batches.give_back(batch.id, claim_id)
            raise
        except Exception as error:
            await self._failed(batch, claim_id, error)
        finally:
            self._running.claims.discard((batch.id, claim_id))

    async def _failed(self, batch: Batch, claim_id: str, error: Exception) -> None:
        """Tried again later each time; given up, with the reason, when it has failed too often."""
        failures = await self._batches.failed(batch.id, claim_id)
        wait = batch_wait_seconds(failures)
        if wait is not None:
            log.exception("batch %s failed %d times, again in %.0f s", batch.id, failures, wait)
            await self._batches.give_back(batch.id, claim_id, int(wait * 1000))
            return
        log.exception("batch %s failed %d times and is given up", batch.id, failures)
        unknown = await self._doubt.begun_here(batch)
        past = await self._doubt.settled(batch.id)
        ended = {one.item.key for one in unknown} | past.keys()
        reason = f"its batch failed {failures} times: {error!r}"[:MAX_REPLY_TEXT]
        rest = [item for item in batch.items if item.key not in ended]
        skipped = [Settled(item, Outcome.SKIPPED, now_ms(), reason=reason) for item in rest]
        await self._announcer.settle(batch, [*unknown, *skipped])
        used = len(unknown) + sum(one.outcome in _USED for one in past.values())
        day = Limits(day_of(now_ms()))
        await self._quotas.settle(batch.origin.sender_id, batch.id, used, day)
        await self._batches.finish([(batch.id, claim_id)])
        gauges.batches_held.inc()

    async def _run(self, batch: Batch, past: Mapping[str, Settled], *, first: bool) -> None:
        """Send what is not settled yet; returns when every item is."""
        now = now_ms()
        todo = tuple(item for item in batch.items if item.key not in past)
        with gauges.checked.time():
            verdict = await self._gate.check(replace(batch, items=todo), now) if todo else Verdict()
        used = sum(one.outcome in _USED for one in past.values())
        sender_id = batch.origin.sender_id
        held = await self._brakes.hold(batch.origin, verdict.allowed, now)
        granted = await self._reserve(batch, len(held.allowed), used, now)
        if granted < len(held.allowed):
            await self._brakes.not_sent(sender_id)
        over_limit = [
            Settled(item, Outcome.POSTPONED, now, retry_at=_next_day(now), reason="limit")
            for item in held.allowed[granted:]
        ]
        for _ in over_limit:
            gauges.waits.labels("limit").observe((_next_day(now) - now) / 1000)
        # Both, also when one fails: nothing may go on behind a batch that is given back.
        results = await asyncio.gather(
            self._send(batch, held.allowed[:granted], verdict, until=_next_day(now)),
            self._announcer.settle(batch, [*verdict.settled, *held.waiting, *over_limit]),
            return_exceptions=True,
        )
        sent, _ = results
        for result in results:
            if isinstance(result, BaseException):
                raise result
        assert isinstance(sent, int)
        used += sent
        if granted or not first:
            day = Limits(day_of(now))
            spent = Spent(sender_id, batch.id, used, day, granted if first else 0)
            await self._spent.submit(spent)

    async def _send(self, batch: Batch, items: Sequence[Item], verdict: Verdict, until: int) -> int:
        """Send these while their day lasts, and settle what became of them; returns how many used
        up quota."""
        if not items:
            return 0

        started = tracing.clock()

        async def write(settled: Sequence[Settled]) -> Awaitable[None]:
            _traced(settled, started)
            return self._tell(batch, settled, await self._announcer.write(batch, settled))

        run = await self._sending.send(batch, items, verdict.context, write, until)
        used = sum(one in _USED for one in run.outcomes)
        if run.taken:
            found = await self._doubt.taken(batch, run.taken)
            await self._announcer.settle(batch, found.unknown)
            used += found.by_us
            for _ in run.taken:
                await self._brakes.not_sent(batch.origin.sender_id)
        return used

    async def _tell(
        self, batch: Batch, settled: Sequence[Settled], announced: Awaitable[None]
    ) -> None:
        with gauges.announced.time():
            await announced
        for one in settled:
            await self._brakes.seen(batch.origin, one)

    async def _reserve(self, batch: Batch, wanted: int, used: int, now: int) -> int:
        """How many may go now; an earlier life of the batch has `used` some of its share."""
        sender = self._senders.get(batch.origin.sender_id)
        if not wanted or sender is None:
            return 0
        limits = Limits(day_of(now), sender.effective_limit, sender.monthly_limit)
        share = await self._wishes.submit(Wish(sender.sender_id, batch.id, wanted + used, limits))
        return max(0, share - used)


def _traced(settled: Sequence[Settled], started: int) -> None:
    """Of each mail that a server has answered, the time from its batch's turn to that answer."""
    if tracing.active is None:
        return
    for one in settled:
        about = {
            "postfleet.attempt": one.item.attempt,
            "postfleet.outcome": one.outcome.value,
            "smtp.reply_code": one.reply_code,
        }
        tracing.active.past("SMTP", one.item.delivery_id, started, about)


def _next_day(now: int) -> int:
    """The next UTC midnight, in milliseconds."""
    day = 24 * 3600 * 1000
    return (now // day + 1) * day
