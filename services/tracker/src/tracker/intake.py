"""Takes hits from the requests and hands them to the bus in batches, or to the spool on disk.

A pixel or a click is noted and answered at once. An unsubscribe waits until its hit is confirmed by
the bus or is on disk.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from os import urandom
from typing import NamedTuple

from prometheus_client import Counter, Gauge

from postfleet.announcing import Message
from postfleet.cloudevents import derived_id
from postfleet.outages import Unavailable
from postfleet.tasks import end
from tracker.domain.hits import SUBJECT, HitKind, Noted, UnreadableHit, line_of, read_hit
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


#: A hit and, where somebody waits for it, what to tell when it cannot be lost any more.
_Queued = tuple[Noted, asyncio.Future[None] | None]
#: A hit's id and its line in a message or on disk.
_Line = tuple[str, bytes]


class _Taken(NamedTuple):
    """A hit on its way out of memory."""

    kind: HitKind
    line: _Line
    confirmed: asyncio.Future[None] | None

    def succeed(self) -> None:
        if self.confirmed and not self.confirmed.done():
            self.confirmed.set_result(None)

    def fail(self, error: Exception) -> None:
        _fail(self.kind, self.confirmed, error)


def _fail(kind: HitKind, confirmed: asyncio.Future[None] | None, error: Exception) -> None:
    hits_dropped.labels(kind).inc()
    if confirmed and not confirmed.done():
        confirmed.set_exception(Unavailable(str(error)))


class Intake:
    """`put` publishes and returns what was not confirmed; `connected` says whether to try at all.

    `tell` hears how many hits of a kind were taken: a batch at a time, which costs a request nothing.
    """

    def __init__(
        self,
        put: Put,
        connected: Callable[[], bool],
        spool: Spool,
        tell: Callable[[HitKind, int], None] = lambda _kind, _count: None,
    ) -> None:
        self._put = put
        self._connected = connected
        self._spool = spool
        self._tell = tell
        self._queue: deque[_Queued] = deque()
        self._wake = asyncio.Event()
        self._stalled: asyncio.Task[set[str]] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def note(self, hit: Noted) -> None:
        """Take a hit without waiting."""
        self._add(hit, None)

    async def confirm(self, hit: Noted) -> None:
        """Take a hit; return when it cannot be lost any more. Raises Unavailable."""
        confirmed = asyncio.get_running_loop().create_future()
        self._add(hit, confirmed)
        await confirmed

    def _add(self, hit: Noted, confirmed: asyncio.Future[None] | None) -> None:
        if len(self._queue) >= _MAX_QUEUED and confirmed is None:
            self._count([hit["kind"]])
            _fail(hit["kind"], None, SpoolFull("too many hits in memory"))
            return
        if not self._queue:
            self._wake.set()
        self._queue.append((hit, confirmed))

    def _count(self, kinds: Sequence[HitKind]) -> None:
        for kind in set(kinds):
            number = kinds.count(kind)
            _noted[kind].inc(number)
            self._tell(kind, number)

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

    def _take(self) -> list[_Taken]:
        count = min(_BATCH, len(self._queue))
        queued = [self._queue.popleft() for _ in range(count)]
        self._count([hit["kind"] for hit, _ in queued])
        ids = urandom(16 * count).hex()
        return [
            _Taken(hit["kind"], (id_, line_of(hit, id_)), confirmed)
            for number, (hit, confirmed) in enumerate(queued)
            for id_ in (ids[number * 32 : number * 32 + 32],)
        ]

    # -- to the bus, or to disk ------------------------------------------------------------------

    async def _hand_over(self, batch: list[_Taken]) -> None:
        failed = await self._publish([taken.line for taken in batch])
        left = [taken for taken in batch if taken.line[0] in failed]
        for taken in batch:
            if taken.confirmed and taken.line[0] not in failed:
                taken.succeed()
        await self._to_disk([t for t in left if t.kind in _ASKED_FOR], precious=True)
        await self._to_disk([t for t in left if t.kind not in _ASKED_FOR], precious=False)

    async def _to_disk(self, batch: list[_Taken], *, precious: bool) -> None:
        if not batch:
            return
        try:
            await self._spool.append(
                [line for _, line in (t.line for t in batch)], precious=precious
            )
        except SpoolFull as error:
            log.error("%d hits are lost: %s", len(batch), error)
            for taken in batch:
                taken.fail(error)
            return
        spool_bytes.set(self._spool.used_bytes)
        for taken in batch:
            taken.succeed()

    async def _publish(self, hits: Sequence[_Line]) -> set[str]:
        """The ids that the bus has not confirmed in time.

        A publish that hangs is not cancelled, for it may yet arrive: its hits go to disk, and are
        published again under the same ids. Until it ends the bus is not tried.
        """
        every = {id_ for id_, _ in hits}
        if not self._connected() or (self._stalled and not self._stalled.done()):
            return every
        task = asyncio.create_task(self._put_all(hits))
        done, _ = await asyncio.wait({task}, timeout=_BUS_PATIENCE)
        if not done:
            self._stalled = task
            return every
        return task.result()

    async def _put_all(self, hits: Sequence[_Line]) -> set[str]:
        batches = list(_messages(hits))
        try:
            failed = await self._put(message for message, _ in batches)
        except Exception as error:
            log.warning("hits were not published: %r", error)
            return {id_ for id_, _ in hits}
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


def _messages(hits: Sequence[_Line]) -> Iterator[tuple[Message, list[str]]]:
    """Many hits to a message, and their ids. The same hits make the same message."""
    lines: list[bytes] = []
    ids: list[str] = []
    size = 0
    for id_, body in hits:
        if lines and size + len(body) > _MESSAGE_BYTES:
            yield _message(lines, ids), ids
            lines, ids, size = [], [], 0
        lines.append(body)
        ids.append(id_)
        size += len(body)
    if lines:
        yield _message(lines, ids), ids


def _message(lines: list[bytes], ids: list[str]) -> Message:
    return Message(SUBJECT, derived_id(*ids), b"\n".join(lines))


def _readable(lines: Iterable[bytes]) -> Iterable[_Line]:
    """The hits in these lines; a torn one was never confirmed to anybody."""
    for line in lines:
        try:
            yield read_hit(line).id, line
        except UnreadableHit as error:
            log.warning("a line of the spool is not a hit: %s", error)
