"""Facts and counters: every fact counts exactly once, whatever is redelivered or crashes when.

A fact is inserted under an id that says what must not be counted twice, with `counted: 0`. Counting
is a redo log of one run at a time:

1. The run's document gets the next number, the ids of all its facts and what they add to which
   counter, by compare-and-set on the previous number. From here on the run is certain to happen.
2. Each counter is increased if its own `run` is lower than the number, which the same write sets.
3. The facts become `counted: 1`, and the run is done.

A crash between any two writes leaves a run that is not done; whoever comes next finishes it first:
every step may be repeated, because the guards of 2 and 3 drop what was done. Several processes may
do so at once. Facts that are not in a run yet are found by `counted: 0`.
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
        await ensure_indexes(self._facts, "counted")
        await ensure_indexes(self._counters, "scope", "campaign", "bucket")

    # -- counting --------------------------------------------------------------------------------

    async def add(self, facts: Sequence[Fact]) -> None:
        """Insert the facts that are new; `count` counts them."""
        unique = {fact.id: fact for fact in facts}
        await insert_new(self._facts, [_document(fact) for fact in unique.values()])

    async def count(self) -> None:
        """Count every fact that is not counted yet."""
        while await self._next_run():
            pass

    async def _next_run(self) -> bool:
        """Finish the open run, or open one and finish it; False when there is nothing to count."""
        run = await self._runs.find_one({"_id": _RUN})
        if run is None:
            await insert_new(self._runs, [{"_id": _RUN, "number": 0, "state": _DONE}])
            return True
        if run["state"] == _OPEN:
            await self._finish(run)
            return True
        found = self._facts.find({"counted": 0}).limit(_RUN_FACTS)
        facts = [_fact(document) async for document in found]
        if not facts:
            return False
        opened = {"number": run["number"] + 1, "state": _OPEN, "plan": _pack(facts)}
        guard = {"_id": _RUN, "number": run["number"], "state": _DONE}
        result = await self._runs.update_one(guard, {"$set": opened})
        if result.modified_count:
            await self._finish({"_id": _RUN, **opened})
        return True

    async def _finish(self, run: Document) -> None:
        number, content = run["number"], orjson.loads(run["plan"])
        await write_guarded(
            self._counters,
            [
                _increase(Counter(s, _pairs(ls)), adds, number)
                for s, ls, adds in content["counters"]
            ],
        )
        ids = content["facts"]
        await self._facts.update_many({"_id": {"$in": ids}}, {"$set": {"counted": 1}})
        done = {"$set": {"state": _DONE, "plan": ""}}
        await self._runs.update_one({"_id": _RUN, "number": number, "state": _OPEN}, done)

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


def _document(fact: Fact) -> Document:
    """Counters as one JSON text: the portable dialect has no arrays of sub-documents."""
    counters = orjson.dumps([[c.scope, c.labels] for c in fact.counters]).decode()
    return {
        "_id": fact.id,
        "metric": fact.metric,
        "at_ms": fact.at_ms,
        "counters": counters,
        "counted": 0,
    }


def _fact(document: Mapping[str, Any]) -> Fact:
    counters = orjson.loads(document["counters"])
    return Fact(
        document["_id"],
        document["metric"],
        document["at_ms"],
        tuple(Counter(scope, _pairs(labels)) for scope, labels in counters),
    )


def _pack(facts: list[Fact]) -> str:
    counters = [[c.scope, c.labels, additions] for c, additions in plan(facts).items()]
    return orjson.dumps({"facts": [fact.id for fact in facts], "counters": counters}).decode()


def _pairs(labels: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in labels)


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
