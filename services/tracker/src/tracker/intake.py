"""Takes hits from the requests and hands them to the bus in batches, or to the spool on disk.

A pixel or a click is noted and answered at once. An unsubscribe waits until its hit is confirmed by
the bus or is on disk.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from postfleet.announcing import Message
from postfleet.cloudevents import derived_id
from postfleet.outages import Unavailable
from postfleet.tasks import end
from tracker.domain.hits import SUBJECT, Hit, HitKind, UnreadableHit, read_hit
from tracker.spool import Spool, SpoolFull

log = logging.getLogger(__name__)

hits_noted = Counter("postfleet_tracker_hits_total", "Requests with a valid token", ["kind"])
hits_dropped = Counter(
    "postfleet_tracker_hits_dropped_total", "Hits lost because memory and spool were full", ["kind"]
)
spool_bytes = Gauge("postfleet_tracker_spool_bytes", "Hits on disk that wait for the bus")

_noted = {kind: hits_noted.labels(kind) for kind in HitKind}
for _kind in HitKind:
    hits_dropped.labels(_kind)  # there from the start: no news is a zero

_BATCH = 500
#: By a person, who was told that it is done.
_ASKED_FOR = (HitKind.UNSUBSCRIBED, HitKind.RESUBSCRIBED)
_MESSAGE_BYTES = 200_000  # far below NATS' limit of a message
_GATHER = 0.005  # seconds in which hits come together: fewer, larger messages
_MAX_QUEUED = 100_000  # hits in memory; far above what one batch's confirmation lets pile up
_BUS_PATIENCE = 2.0  # seconds until a batch goes to the spool; JetStream confirms in milliseconds
_DRAIN_EVERY = 0.5

Put = Callable[[Iterable[Message]], Awaitable[dict[str, BaseException | None]]]


@dataclass(slots=True)
class _Waiting:
    hit: Hit
    confirmed: asyncio.Future[None] | None = field(default=None)

    def succeed(self) -> None:
        if self.confirmed and not self.confirmed.done():
            self.confirmed.set_result(None)

    def fail(self, error: Exception) -> None:
        hits_dropped.labels(self.hit.kind).inc()
        if self.confirmed and not self.confirmed.done():
            self.confirmed.set_exception(Unavailable(str(error)))


class Intake:
    """`put` publishes and returns what was not confirmed; `connected` says whether to try at all."""

    def __init__(self, put: Put, connected: Callable[[], bool], spool: Spool) -> None:
        self._put = put
        self._connected = connected
        self._spool = spool
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._stalled: asyncio.Task[set[str]] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def note(self, hit: Hit) -> None:
        """Take a hit without waiting."""
        self._add(_Waiting(hit))

    async def confirm(self, hit: Hit) -> None:
        """Take a hit; return when it cannot be lost any more. Raises Unavailable."""
        waiting = _Waiting(hit, asyncio.get_running_loop().create_future())
        self._add(waiting)
        if waiting.confirmed is not None:
            await waiting.confirmed

    def _add(self, waiting: _Waiting) -> None:
        _noted[waiting.hit.kind].inc()
        if len(self._queue) >= _MAX_QUEUED and waiting.confirmed is None:
            waiting.fail(SpoolFull("too many hits in memory"))
            return
        self._queue.append(waiting)
        self._wake.set()

    # -- life cycle ------------------------------------------------------------------------------

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(), name="hit intake"),
            asyncio.create_task(self._drain(), name="hit spool"),
        ]

    async def stop(self) -> None:
        """Hand over what is queued, then end; what the bus does not take stays on disk."""
        await end(*self._tasks)
        while self._queue:
            await self._hand_over(self._take())
        await self._spool.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_GATHER)
            while self._queue:
                # Shielded: a batch that was taken from the queue is handed over, stop or not.
                await asyncio.shield(self._hand_over(self._take()))

    def _take(self) -> list[_Waiting]:
        return [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]

    # -- to the bus, or to disk ------------------------------------------------------------------

    async def _hand_over(self, batch: list[_Waiting]) -> None:
        failed = await self._publish([waiting.hit for waiting in batch])
        left = [waiting for waiting in batch if waiting.hit.id in failed]
        for waiting in batch:
            if waiting.hit.id not in failed:
                waiting.succeed()
        asked_for = [w for w in left if w.hit.kind in _ASKED_FOR]
        await self._to_disk(asked_for, precious=True)
        await self._to_disk([w for w in left if w not in asked_for], precious=False)

    async def _to_disk(self, batch: list[_Waiting], *, precious: bool) -> None:
        if not batch:
            return
        try:
            await self._spool.append([w.hit.body() for w in batch], precious=precious)
        except SpoolFull as error:
            log.error("%d hits are lost: %s", len(batch), error)
            for waiting in batch:
                waiting.fail(error)
            return
        spool_bytes.set(self._spool.used_bytes)
        for waiting in batch:
            waiting.succeed()

    async def _publish(self, hits: Sequence[Hit]) -> set[str]:
        """The ids that the bus has not confirmed in time.

        A publish that hangs is not cancelled, for it may yet arrive: its hits go to disk, and are
        published again under the same ids. Until it ends the bus is not tried.
        """
        every = {hit.id for hit in hits}
        if not self._connected() or (self._stalled and not self._stalled.done()):
            return every
        task = asyncio.create_task(self._put_all(hits))
        done, _ = await asyncio.wait({task}, timeout=_BUS_PATIENCE)
        if not done:
            self._stalled = task
            return every
        return task.result()

    async def _put_all(self, hits: Sequence[Hit]) -> set[str]:
        batches = list(_messages(hits))
        try:
            failed = await self._put(message for message, _ in batches)
        except Exception as error:
            log.warning("hits were not published: %r", error)
            return {hit.id for hit in hits}
        return {id_ for message, ids in batches if message.id in failed for id_ in ids}

    async def _drain(self) -> None:
        """Publish what is on disk, oldest first, whenever the bus answers."""
        while True:
            try:
                while not self._spool.empty and await self._drain_segment():
                    spool_bytes.set(self._spool.used_bytes)
            except OSError as error:
                log.error("the spool cannot be read: %s", error)
            await asyncio.sleep(_DRAIN_EVERY)

    async def _drain_segment(self) -> bool:
        """Publish the oldest segment; True when it is done and gone."""
        if not self._connected():
            return False
        segment = await self._spool.oldest()
        if segment is None:
            return False
        path, lines = segment
        for start in range(0, len(lines), _BATCH):
            if await self._publish(list(_readable(lines[start : start + _BATCH]))):
                return False
        await self._spool.remove(path)
        log.info("published %d hits from the spool", len(lines))
        return True


def _messages(hits: Sequence[Hit]) -> Iterator[tuple[Message, list[str]]]:
    """Many hits to a message, and their ids. The same hits make the same message."""
    lines: list[bytes] = []
    ids: list[str] = []
    size = 0
    for hit in hits:
        body = hit.body()
        if lines and size + len(body) > _MESSAGE_BYTES:
            yield _message(lines, ids), ids
            lines, ids, size = [], [], 0
        lines.append(body)
        ids.append(hit.id)
        size += len(body)
    if lines:
        yield _message(lines, ids), ids


def _message(lines: list[bytes], ids: list[str]) -> Message:
    return Message(SUBJECT, derived_id(*ids), b"\n".join(lines))


def _readable(lines: Iterable[bytes]) -> Iterable[Hit]:
    """The hits in these lines; a torn one was never confirmed to anybody."""
    for line in lines:
        try:
            yield read_hit(line)
        except UnreadableHit as error:
            log.warning("a line of the spool is not a hit: %s", error)
