"""Segments into counters: each segment reaches each counter once, whoever tries, however often.

A counter says in `run` up to which segment it has been folded. Folding reads the `run`, adds what
the segments after it hold, and writes sum and new `run` at once, guarded by the `run` that was read.
It reads again until no counter lacks anything; only then `folded` says that the segments are done.
A crash, or another process that folds the same segments, leaves counters that are ahead of others,
which is what `run` is for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson
from pymongo import UpdateOne

from postfleet.mongo import Collection, Database, Document
from tracker.domain.facts import Additions, Counter
from tracker.store.writing import insert_new, write_guarded

_FOLDED = "folded"
_SEGMENTS = 200  # at most in one fold
_READ = 1000


def name_of(number: int) -> str:
    """A segment's id, which sorts as its number does."""
    return f"{number:015d}"


def pack_additions(additions: Additions) -> str:
    """As one text: the portable dialect has no arrays of sub-documents."""
    return orjson.dumps([(c.scope, c.labels, adds) for c, adds in additions.items()]).decode()


def _unpack(text: str) -> Iterable[tuple[Counter, dict[str, int]]]:
    for scope, labels, adds in orjson.loads(text):
        yield Counter(scope, tuple((name, value) for name, value in labels)), adds


@dataclass(frozen=True, slots=True)
class Pending:
    """What the segments that are not folded yet add: by counter, (segment's number, what it adds)."""

    last: int
    counters: dict[Counter, list[tuple[int, dict[str, int]]]] = field(default_factory=dict)

    def due(self, counter: Counter, run: int) -> dict[str, int]:
        """What a counter lacks that has been folded up to the segment `run`."""
        total: dict[str, int] = {}
        for number, adds in self.counters[counter]:
            if number > run:
                for metric, count in adds.items():
                    total[metric] = total.get(metric, 0) + count
        return total

    def add_to(
        self, documents: dict[str, Document], counters: Iterable[Counter]
    ) -> dict[str, Document]:
        """The counters' documents as they will be when all is folded."""
        for counter in counters:
            blank = {"_id": counter.id, "run": 0, "scope": counter.scope, **dict(counter.labels)}
            document = documents.setdefault(counter.id, blank)
            for metric, count in self.due(counter, document["run"]).items():
                document[metric] = document.get(metric, 0) + count
        return documents


class Folding:
    def __init__(self, database: Database) -> None:
        self._segments: Collection = database.segments
        self._counters: Collection = database.counters
        self._progress: Collection = database.progress

    async def pending(self, limit: int = 0) -> Pending:
        """Read this before the counters: one that is folded in between says so by its `run`."""
        folded = await self._folded()
        counters: dict[Counter, list[tuple[int, dict[str, int]]]] = {}
        last = folded
        query = {"_id": {"$gt": name_of(folded)}}
        found = self._segments.find(query).sort("_id", 1).limit(limit or 10 * _SEGMENTS)
        async for segment in found:
            last = int(segment["_id"])
            for counter, adds in _unpack(segment["additions"]):
                counters.setdefault(counter, []).append((last, adds))
        return Pending(last, counters)

    async def fold(self) -> int:
        """Fold the segments that are there; returns the number of the last one folded."""
        pending = await self.pending(_SEGMENTS)
        counters = list(pending.counters)
        for start in range(0, len(counters), _READ):
            some = counters[start : start + _READ]
            while due := await self._due(pending, some):
                await write_guarded(self._counters, due)
        await insert_new(self._progress, [{"_id": _FOLDED, "number": 0}])
        await self._progress.update_one(
            {"_id": _FOLDED, "number": {"$lt": pending.last}}, {"$set": {"number": pending.last}}
        )
        return pending.last

    async def _folded(self) -> int:
        found = await self._progress.find_one({"_id": _FOLDED})
        return 0 if found is None else int(found["number"])

    async def _due(self, pending: Pending, counters: list[Counter]) -> list[UpdateOne]:
        ids = [counter.id for counter in counters]
        found = self._counters.find({"_id": {"$in": ids}}).limit(len(ids) + 1)
        runs = {document["_id"]: int(document["run"]) async for document in found}
        updates = []
        for counter in counters:
            run = runs.get(counter.id, 0)
            due = pending.due(counter, run)
            if due:
                updates.append(_increase(counter, due, run, pending.last))
        return updates


def _increase(counter: Counter, due: Mapping[str, int], run: int, last: int) -> UpdateOne:
    """Where the `run` has changed, the insert meets the document and is dropped."""
    return UpdateOne(
        {"_id": counter.id, "run": run},
        {
            "$inc": dict(due),
            "$set": {"run": last},
            "$setOnInsert": {"scope": counter.scope, **dict(counter.labels)},
        },
        upsert=True,
    )
