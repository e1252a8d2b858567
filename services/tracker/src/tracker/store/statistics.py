"""Facts and counters: every fact counts exactly once, whatever is redelivered or crashes when.

A fact's id says what must not be counted twice. Counting is a log, one segment after another:

1. The next segment becomes the head, by compare-and-set on the head before, and is then inserted
   beside the others. It holds the fingerprints of the facts that no segment before holds, and what
   they add to which counter. Of two processes one loses: it reads the winner's segment and begins
   again. A head that was never inserted, because of a crash, is inserted by whoever comes next.
   Now the facts are counted: figures are the counters and what later segments add.
2. From time to time the segments are folded into the counters (`folding.py`).
3. Folded segments are packed, many to a document.

A document costs the embedded database ten times as much as an entry in one, so facts have no
documents of their own: memory holds the fingerprints, and reads the segments when it starts.
"""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence

from postfleet.instants import now_ms
from postfleet.mongo import Collection, Database, Document, ensure_indexes
from tracker.domain.facts import Counter, Fact, plan
from tracker.domain.fingerprints import Fingerprints, fingerprint
from tracker.store.folding import Folding, Pending, name_of, pack_additions
from tracker.store.writing import insert_new

_SEGMENT_FACTS = 5000
_PAGE = 100
_HEAD = "head"
_EMPTY = {"facts": "", "additions": "[]", "at_ms": 0}


class StatisticsStore:
    """`fold_at` additions wait in segments until they are folded; `pack_at` segments to be packed."""

    def __init__(self, database: Database, fold_at: int = 20_000, pack_at: int = 100) -> None:
        self._segments: Collection = database.segments
        self._packs: Collection = database.packs
        self._heads: Collection = database.heads
        self._counters: Collection = database.counters
        self._folding = Folding(database)
        self._fold_at, self._pack_at = fold_at, pack_at
        self._waiting = 0  # additions since the last fold
        self._known = Fingerprints()
        self._number = 0  # of the last segment that is known here

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._counters, "scope", "campaign", "bucket")

    # -- counting --------------------------------------------------------------------------------

    async def count(self, facts: Sequence[Fact]) -> None:
        """Count the facts that are new. Repeating it changes nothing."""
        unique = {fingerprint(fact.id): fact for fact in facts}
        prints = list(unique)
        for start in range(0, len(prints), _SEGMENT_FACTS):
            some = {p: unique[p] for p in prints[start : start + _SEGMENT_FACTS]}
            while not await self._append(some):
                await self._catch_up()
        if self._waiting >= self._fold_at:
            await self.fold()

    async def fold(self) -> None:
        """Bring the counters up to date, and pack the segments that are not needed any more."""
        if not self._waiting:
            return
        self._waiting = 0
        folded = await self._folding.fold()
        await self._tidy(folded)

    async def _append(self, facts: Mapping[int, Fact]) -> bool:
        """Count these facts; False if a segment came first that is not known here."""
        if self._number == 0:
            await insert_new(self._heads, [{"_id": _HEAD, "number": 1, **_EMPTY}])
            await self._catch_up()
        new = [known for known in facts if known not in self._known]
        if not new:
            return True
        additions = plan(facts[known] for known in new)
        segment = {"facts": _pack(new), "additions": pack_additions(additions), "at_ms": now_ms()}
        number = self._number + 1
        head = {"number": number, **segment}
        result = await self._heads.update_one(
            {"_id": _HEAD, "number": self._number}, {"$set": head}
        )
        if not result.modified_count:
            return False
        await self._insert(head)
        self._waiting += len(additions)
        self._know({"_id": name_of(number), **segment})
        return True

    async def _insert(self, head: Document) -> None:
        """Give the head its place among the segments; it may be there, or packed, already."""
        segment = {name: head[name] for name in _EMPTY}
        await insert_new(self._segments, [{"_id": name_of(head["number"]), **segment}])

    def _know(self, segment: Document) -> None:
        self._known.add(p for p in _unpack(segment["facts"]) if p not in self._known)
        self._number = int(segment["_id"])

    async def _catch_up(self) -> None:
        """Know all that was counted, here or elsewhere."""
        await self._insert(await self._heads.find_one({"_id": _HEAD}))
        while True:
            query = {"_id": {"$gt": name_of(self._number)}}
            found = [s async for s in self._segments.find(query).sort("_id", 1).limit(_PAGE)]
            if not found:
                return
            if self._number == 0 or int(found[0]["_id"]) != self._number + 1:
                await self._read_packs()
            for segment in found:
                self._know(segment)
            self._waiting += 1  # there may be something to fold

    # -- old segments ----------------------------------------------------------------------------

    async def _tidy(self, folded: int) -> None:
        """Pack what is folded, but keep the last segment; a pack that is made twice is harmless."""
        query = {"_id": {"$lt": name_of(min(folded + 1, self._number))}}
        found = [s async for s in self._segments.find(query).sort("_id", 1).limit(_PAGE)]
        if len(found) < self._pack_at:
            return
        prints = {p for segment in found for p in _unpack(segment["facts"])}
        last = found[-1]["_id"]
        await insert_new(self._packs, [{"_id": last, "facts": _pack(prints), "at_ms": now_ms()}])
        await self._segments.delete_many({"_id": {"$lte": last}})

    async def _read_packs(self) -> None:
        after = ""
        while True:
            query = {"_id": {"$gt": after}}
            found = [p async for p in self._packs.find(query).sort("_id", 1).limit(_PAGE)]
            if not found:
                return
            for pack in found:
                self._known.add(p for p in _unpack(pack["facts"]) if p not in self._known)
            after = found[-1]["_id"]

    # -- reading ---------------------------------------------------------------------------------

    async def counter(self, counter: Counter) -> Document | None:
        return (await self.counters([counter])).get(counter.id)

    async def counters(self, wanted: Iterable[Counter]) -> dict[str, Document]:
        """Those that exist, by id."""
        ids = [counter.id for counter in wanted]
        pending = await self._folding.pending()
        found = self._counters.find({"_id": {"$in": ids}}).limit(len(ids) + 1)
        documents = {document["_id"]: document async for document in found}
        return pending.add_to(documents, (c for c in pending.counters if c.id in set(ids)))

    async def of_campaign(self, scope: str, campaign_id: str, limit: int = 1000) -> list[Document]:
        """The counters of one kind (`step`, `variant`, `campaign-sender`) of a campaign."""
        return await self._of({"campaign": campaign_id, "scope": scope}, limit)

    async def of_scope(self, scope: str, limit: int = 1000, after: str = "") -> list[Document]:
        """The counters of one kind (`sender`, `domain`, `receiver`), by name, behind the one of this id."""
        return await self._of({"scope": scope}, limit, after)

    async def _of(self, query: dict[str, str], limit: int, after: str = "") -> list[Document]:
        pending: Pending = await self._folding.pending()
        behind = {"_id": {"$gt": after}} if after else {}
        found = self._counters.find({**query, **behind}).sort("_id", 1).limit(limit)
        documents = {document["_id"]: document async for document in found}
        more = (
            c
            for c in pending.counters
            if c.id > after
            and all({"scope": c.scope, **dict(c.labels)}.get(k) == v for k, v in query.items())
        )
        merged = pending.add_to(documents, more)
        return [merged[id_] for id_ in sorted(merged)][:limit]


def _pack(prints: Iterable[int]) -> str:
    return b64encode(array("Q", prints).tobytes()).decode()


def _unpack(text: str) -> Sequence[int]:
    return array("Q", b64decode(text))
