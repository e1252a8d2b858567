"""Sends batches: claim, check again, reserve, transmit, settle; the job is acked last."""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nats.aio.msg import Msg
from pymongo.errors import PyMongoError

from dispatcher import gauges
from dispatcher.announcer import Announcer
from dispatcher.brakes import Brakes
from dispatcher.delivery import Sending
from dispatcher.domain.ledger import MAX_REPLY_TEXT, Batch, Item, Settled
from dispatcher.domain.outcomes import Outcome
from dispatcher.domain.retries import batch_wait_seconds
from dispatcher.doubt import Doubt
from dispatcher.gate import Gate, Verdict
from dispatcher.store.batches import Batches, batch_of
from dispatcher.store.quotas import Limits, Quotas
from dispatcher.store.senders import Senders
from postfleet.bus import Bus, NotConfirmed
from postfleet.failpoints import reach
from postfleet.instants import day_of, now_ms

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 30.0  # well below the durable's ack_wait
_JOB_RETRY_SECONDS = 5.0
_USED = (Outcome.ACCEPTED, Outcome.UNKNOWN)  # these use up quota


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    instance: str
    lease_ms: int
    concurrency: int = 64  # batches at a time


@dataclass(slots=True)
class _Running:
    """What this worker holds now: claim id -> batch id."""

    claims: dict[str, str] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


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
        self._slots = asyncio.Semaphore(limits.concurrency)

    async def on_jobs(self, messages: list[Msg]) -> None:
        """Start a batch for each job as slots are free; they ack themselves when all is settled."""
        for message in messages:
            try:
                batch = batch_of(message.data)
            except ValueError as error:
                await self._bus.bury("dispatcher-jobs", message, str(error))
                continue
            await self._slots.acquire()
            task = asyncio.create_task(self._job(message, batch), name=f"batch {batch.id}")
            self._running.tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.tasks.discard(task)
        self._slots.release()

    async def keep_leases(self) -> None:
        """Runs for ever: renews what this worker holds, three times per lease."""
        while True:
            await asyncio.sleep(self._limits.lease_ms / 3000)
            if self._running.claims:
                try:
                    await self._batches.renew(list(self._running.claims), self._limits.lease_ms)
                except Exception as error:
                    log.warning("leases not renewed: %s", error)

    async def drain(self) -> None:
        """Wait for what is in flight; nothing new may be started meanwhile."""
        if self._running.tasks:
            await asyncio.wait(list(self._running.tasks))
        await self._sending.close()

    async def _job(self, message: Msg, batch: Batch) -> None:
        progress = asyncio.create_task(_keep_alive(message))
        try:
            await self._claim_and_run(batch)
        except Exception:
            log.exception("batch %s failed; its job comes back", batch.id)
            await message.nak(delay=_JOB_RETRY_SECONDS)
        else:
            reach("before-ack")
            await message.ack()
        finally:
            progress.cancel()

    async def _claim_and_run(self, batch: Batch) -> None:
        reach("before-claim")
        claim_id = uuid.uuid4().hex
        limits = self._limits
        life = await self._batches.claim(batch.id, claim_id, limits.instance, limits.lease_ms)
        if life is None:
            return  # another worker has it, or it is done
        reach("after-claim")
        self._running.claims[claim_id] = batch.id
        try:
            past = await self._doubt.settled(batch.id) if life == "again" else {}
            await self._run(batch, past, first=life == "first")
            await self._batches.finish(batch.id, claim_id)
        except (PyMongoError, NotConfirmed):
            await self._batches.give_back(batch.id, claim_id)
            raise
        except Exception as error:
            await self._failed(batch, claim_id, error)
        finally:
            self._running.claims.pop(claim_id, None)

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
        await self._batches.finish(batch.id, claim_id)
        gauges.batches_held.inc()

    async def _run(self, batch: Batch, past: Mapping[str, Settled], *, first: bool) -> None:
        """Send what is not settled yet; returns when every item is."""
        now = now_ms()
        todo = tuple(item for item in batch.items if item.key not in past)
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
        chosen = held.allowed[:granted]
        sends = [self._send(batch, item, verdict) for item in chosen]
        # All of them, also when one fails: nothing may go on behind a batch that is given back.
        results = await asyncio.gather(
            self._announcer.settle(batch, [*verdict.settled, *held.waiting, *over_limit]),
            *sends,
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        outcomes = results[1:]
        taken = [i for i, one in zip(chosen, outcomes, strict=True) if one is None]
        used += sum(one in _USED for one in outcomes)
        if taken:
            found = await self._doubt.taken(batch, taken)
            await self._announcer.settle(batch, found.unknown)
            used += found.by_us
        if granted or not first:
            day = Limits(day_of(now))
            await self._quotas.settle(sender_id, batch.id, used, day, granted if first else 0)

    async def _send(self, batch: Batch, item: Item, verdict: Verdict) -> Outcome | None:
        """What became of it, settled; None if another worker has it, or had."""
        settled = await self._sending.send(batch, item, verdict.context)
        if settled is None:
            await self._brakes.not_sent(batch.origin.sender_id)
            return None
        await self._announcer.settle(batch, [settled])
        await self._brakes.seen(batch.origin, settled)
        return settled.outcome

    async def _reserve(self, batch: Batch, wanted: int, used: int, now: int) -> int:
        """How many may go now; an earlier life of the batch has `used` some of its share."""
        sender = self._senders.get(batch.origin.sender_id)
        if not wanted or sender is None:
            return 0
        limits = Limits(day_of(now), sender.effective_limit, sender.monthly_limit)
        share = await self._quotas.reserve(sender.sender_id, batch.id, wanted + used, limits)
        return max(0, share - used)


async def _keep_alive(message: Msg) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        await message.in_progress()


def _next_day(now: int) -> int:
    """The next UTC midnight, in milliseconds."""
    day = 24 * 3600 * 1000
    return (now // day + 1) * day
