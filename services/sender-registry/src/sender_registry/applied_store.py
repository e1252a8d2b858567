"""Which events were applied, and which deliveries punished: what makes counting idempotent.

A counting write puts the marks of what it applied into the sender's own document (`unsettled`).
Before the next such write they are inserted here; until then both places hold them. So the counts
and the proof of having counted are one atomic write, and the proof may grow without bound.

Events are kept many to a document, of all senders, under the second in which they occurred: an
event that comes again, however late, carries the same time.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import groupby, pairwise

from pymongo.errors import BulkWriteError

from postfleet.cloudevents import derived_id
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, duplicates, ensure_indexes
from sender_registry.domain.health import PENALTIES

_KEPT_MS = 35 * 24 * 3600 * 1000  # longer than the stream keeps the events
_GAP_SECONDS = 2  # times further apart than this are asked for separately
_PAGE = 1000
_PENALTY = "penalty"


def event_mark(at_ms: int, event_id: str) -> str:
    return f"{at_ms // 1000:012d}:{event_id}"


def penalty_mark(delivery_id: str, delta: int) -> str:
    return f"{_PENALTY}:{delta}:{delivery_id}"


class AppliedStore:
    """The collection `applied`: a document per second and write; one per punishment."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "at", "key")

    async def settle(self, marks: Iterable[str]) -> None:
        """Insert marks; doing it again changes nothing."""
        rows = list(_rows(sorted(marks)))
        if not rows:
            return
        try:
            await self._collection.insert_many(rows, ordered=False)
        except BulkWriteError as error:
            duplicates(error)

    async def known(self, marks: Iterable[str]) -> set[str]:
        """Those of these events' marks that were settled."""
        wanted = set(marks)
        found: set[str] = set()
        for first, last in _spans({int(mark[:12]) for mark in wanted}):
            async for row in self._between(f"{first:012d}", f"{last + 1:012d}"):
                found.update(wanted.intersection(row["marks"]))
        return found

    async def penalties(self, delivery_ids: Iterable[str]) -> dict[str, int]:
        """Delivery id -> the worst it was punished with; those that never were are left out."""
        keys = [penalty_mark(id_, delta) for id_ in set(delivery_ids) for delta in PENALTIES]
        worst: dict[str, int] = {}
        if not keys:
            return worst
        async for row in self._collection.find({"_id": {"$in": keys}}).limit(len(keys)):
            _, delta, delivery_id = row["_id"].split(":", 2)
            worst[delivery_id] = min(worst.get(delivery_id, 0), int(delta))
        return worst

    async def forget_old(self) -> int:
        """Delete what no event in the stream can repeat any more; returns how many documents."""
        result = await self._collection.delete_many({"at": {"$lt": now_ms() - _KEPT_MS}})
        return int(result.deleted_count)

    async def _between(self, start: str, end: str) -> AsyncIterator[Document]:
        """Every document whose id is in [start, end), page by page."""
        after = {"$gte": start, "$lt": end}
        while True:
            # `key` is the id again: the embedded server sorts ids by reading all of them.
            cursor = self._collection.find({"key": after}).sort("key", 1).limit(_PAGE)
            page: list[Document] = [row async for row in cursor]
            for row in page:
                yield row
            if len(page) < _PAGE:
                return
            after = {"$gt": page[-1]["_id"], "$lt": end}


def _rows(marks: list[str]) -> Iterator[Document]:
    at = now_ms()
    for second, group in groupby(marks, key=lambda mark: mark.partition(":")[0]):
        together = list(group)
        if second == _PENALTY:
            yield from ({"_id": mark, "at": at} for mark in together)
        else:
            key = f"{second}:{derived_id(*together)}"
            yield {"_id": key, "key": key, "at": at, "marks": together}


def _spans(seconds: set[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of times that are close together."""
    ordered = sorted(seconds)
    start = ordered[0] if ordered else 0
    for earlier, later in pairwise(ordered):
        if later - earlier > _GAP_SECONDS:
            yield start, earlier
            start = later
    if ordered:
        yield start, ordered[-1]
