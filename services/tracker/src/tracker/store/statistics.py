"""Facts and counters: every fact counts exactly once, whatever is redelivered or crashes when.

A fact's id says what must not be counted twice. Counting is a redo log of one run at a time:

1. The run's document gets the next number and the facts that may be new, by compare-and-set on the
   previous run, which must be done. From here on the run is certain to happen.
2. The facts are inserted with the run's number; those that are there already stay as they are. The
   facts that carry this number are the new ones, whoever inserted them and however often it is asked.
3. Each counter they count in is increased if its own `run` is lower than the number, which the same
   write sets.
4. The run is done.

A crash between any two writes leaves a run that is open. Whoever comes next finishes it first, for
every step may be repeated; several processes may even do so at once. A process that was asleep
meanwhile finds its inserts made and its guards false.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from pymongo import UpdateOne

from postfleet.mongo import Collection, Database, Document, ensure_indexes
from tracker.domain.facts import Counter, Fact, plan
from tracker.store.writing import insert_new, write_guarded

_RUN = "run"
_RUN_FACTS = 1000  # in one run
_DONE, _OPEN = "done", "open"


class StatisticsStore:
    def __init__(self, database: Database) -> None:
        self._facts: Collection = database.facts
        self._counters: Collection = database.counters
        self._runs: Collection = database.runs

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._counters, "scope", "campaign", "bucket")

    # -- counting --------------------------------------------------------------------------------

    async def count(self, facts: Sequence[Fact]) -> None:
        """Count the facts that are new. Repeating it changes nothing."""
        unique = list({fact.id: fact for fact in facts}.values())
        for start in range(0, len(unique), _RUN_FACTS):
            while not await self._run(unique[start : start + _RUN_FACTS]):
                pass

    async def _run(self, facts: list[Fact]) -> bool:
        """Count these facts; False if another run came first, which is then finished."""
        last = await self._runs.find_one({"_id": _RUN})
        if last is None:
            await insert_new(self._runs, [{"_id": _RUN, "number": 0, "state": _DONE}])
            return False
        if last["state"] == _OPEN:
            await self._finish(last["number"], _unpack(last["facts"]))
            return False
        number = last["number"] + 1
        guard = {"_id": _RUN, "number": last["number"], "state": _DONE}
        opened = {"number": number, "state": _OPEN, "facts": _pack(facts)}
        result = await self._runs.update_one(guard, {"$set": opened})
        if not result.modified_count:
            return False
        await self._finish(number, facts)
        return True

    async def _finish(self, number: int, facts: list[Fact]) -> None:
        await insert_new(self._facts, [_document(fact, number) for fact in facts])
        new = await self._of_run(number, facts)
        increases = [_increase(c, adds, number) for c, adds in plan(new).items()]
        await write_guarded(self._counters, increases)
        done = {"$set": {"state": _DONE, "facts": ""}}
        await self._runs.update_one({"_id": _RUN, "number": number, "state": _OPEN}, done)

    async def _of_run(self, number: int, facts: list[Fact]) -> list[Fact]:
        """Those of the facts that were inserted by this run."""
        ids = [fact.id for fact in facts]
        found = self._facts.find({"_id": {"$in": ids}}).limit(len(ids) + 1)
        new = {document["_id"] async for document in found if document["run"] == number}
        return [fact for fact in facts if fact.id in new]

    # -- reading ---------------------------------------------------------------------------------

    async def counter(self, counter: Counter) -> Document | None:
        found: Document | None = await self._counters.find_one({"_id": counter.id})
        return found

    async def counters(self, wanted: Iterable[Counter]) -> dict[str, Document]:
        """Those that exist, by id."""
        ids = [counter.id for counter in wanted]
        found = self._counters.find({"_id": {"$in": ids}}).limit(len(ids) + 1)
        return {document["_id"]: document async for document in found}

    async def of_campaign(self, scope: str, campaign_id: str, limit: int = 1000) -> list[Document]:
        """The counters of one kind (`step`, `variant`, `campaign-sender`) of a campaign."""
        query = {"campaign": campaign_id, "scope": scope}
        found = self._counters.find(query).sort("_id", 1).limit(limit)
        return [document async for document in found]


def _document(fact: Fact, number: int) -> Document:
    return {"_id": fact.id, "metric": fact.metric, "at_ms": fact.at_ms, "run": number}


def _pack(facts: list[Fact]) -> str:
    """As one text: the portable dialect has no arrays of sub-documents in updates."""
    return orjson.dumps(facts).decode()


def _unpack(text: str) -> list[Fact]:
    return [_fact(entry) for entry in orjson.loads(text)]


def _fact(entry: Mapping[str, Any]) -> Fact:
    counters = tuple(
        Counter(counter["scope"], tuple((name, value) for name, value in counter["labels"]))
        for counter in entry["counters"]
    )
    return Fact(entry["id"], entry["metric"], entry["at_ms"], counters)


def _increase(counter: Counter, additions: dict[str, int], number: int) -> UpdateOne:
    return UpdateOne(
        {"_id": counter.id, "run": {"$lt": number}},
        {
            "$inc": additions,
            "$set": {"run": number},
            "$setOnInsert": {"scope": counter.scope, **dict(counter.labels)},
        },
        upsert=True,
    )
