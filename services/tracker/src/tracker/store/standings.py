"""Which hit counts for a delivery as its first open, or click; and the outbox of corrections.

A document for each delivery and kind. A correction is one write: who counts now, the new verdicts
(`pending`, until the hits have them) and the events that tell of both, guarded by the revision.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson
from pymongo import UpdateOne

from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Database, Document
from postfleet.outbox import update_with_events, with_events
from tracker.domain.corrections import Change, Correction, Standing
from tracker.domain.hits import HitKind
from tracker.domain.outcomes import standing_key
from tracker.store.writing import insert_new

_CLAIMED, _CORRECTED = "claim", "correction"


@dataclass(frozen=True, slots=True)
class Claim:
    key: str
    hit_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Verdicts:
    """New verdicts that the hits may not have yet: (hit id, changes, old, new, reason)."""

    key: str
    revision: int
    changes: list[tuple[str, int, str, str, str]]


class Standings:
    def __init__(self, database: Database) -> None:
        self.firsts: Collection = database.firsts  # also the outbox of `verdict.changed`

    async def claim(self, claims: Sequence[Claim]) -> dict[str, int]:
        """Claim keys for hits, in order; return the hits that hold their key, with its count.

        A hit that claims again gets the same answer.
        """
        wanted: dict[str, Claim] = {}
        for claim in claims:
            wanted.setdefault(claim.key, claim)
        if not wanted:
            return {}
        await insert_new(self.firsts, [_document(claim) for claim in wanted.values()])
        found = await self._find(wanted)
        if free := [wanted[d["_id"]] for d in found if not d["hit_id"]]:
            revisions = {d["_id"]: d["revision"] for d in found}
            await self.firsts.bulk_write(
                [_take(claim, revisions[claim.key]) for claim in free], ordered=False
            )
            found = await self._find(wanted)
        return {d["hit_id"]: int(d.get("count", 1)) for d in found if d["hit_id"]}

    async def free(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that nobody holds any more."""
        return {d["_id"] for d in await self._find(keys) if not d["hit_id"]}

    async def of(self, delivery_id: str) -> tuple[dict[HitKind, Standing], list[Verdicts]]:
        """The standings of a delivery, and the verdicts that wait to be given to its hits."""
        keys = {standing_key(delivery_id, kind): kind for kind in HitKind}
        standings, waiting = {}, []
        for document in await self._find(keys):
            if "revision" not in document:
                await self._number(document)
            standings[keys[document["_id"]]] = _standing(document)
            if pending := document.get("pending"):
                changes = [tuple(change) for change in orjson.loads(pending)]
                waiting.append(Verdicts(document["_id"], int(document["revision"]), changes))
        return standings, waiting

    async def correct(
        self, key: str, correction: Correction, events: Sequence[Announcement]
    ) -> bool:
        """Write a correction with its events; False if the standing is another one by now."""
        before = correction.before
        after = replace(correction.after, revision=(before.revision or 0) + 1)
        fields = {**_fields(after), "pending": _pending(correction.changes)}
        if before.revision is None:
            return not await insert_new(self.firsts, [with_events({"_id": key, **fields}, events)])
        result = await self.firsts.update_one(
            {"_id": key, "revision": before.revision}, update_with_events({"$set": fields}, events)
        )
        return bool(result.modified_count)

    async def given(self, verdicts: Verdicts) -> None:
        """The hits have these verdicts."""
        await self.firsts.update_one(
            {"_id": verdicts.key, "revision": verdicts.revision}, {"$set": {"pending": ""}}
        )

    async def _find(self, keys: Iterable[str]) -> list[Document]:
        wanted = list(keys)
        if not wanted:
            return []
        found = self.firsts.find({"_id": {"$in": wanted}}).limit(len(wanted) + 1)
        return [document async for document in found]

    async def _number(self, document: Document) -> None:
        """Give a document of an older version the fields that corrections need."""
        document |= {"at_ms": document.get("at_ms", 0), "count": 1, "revision": 0}
        fields = {name: document[name] for name in ("at_ms", "count", "revision")}
        guard = {"_id": document["_id"], "hit_id": document["hit_id"]}
        await self.firsts.update_one(guard, {"$set": fields})


def _document(claim: Claim) -> Document:
    return {"_id": claim.key, **_fields(Standing(claim.hit_id, claim.at_ms, 1, revision=0))}


def _fields(standing: Standing) -> Document:
    return {
        "hit_id": standing.hit_id,
        "at_ms": standing.at_ms,
        "count": standing.count,
        "said_by": _CORRECTED if standing.corrected else _CLAIMED,
        "revision": standing.revision,
    }


def _take(claim: Claim, revision: int) -> UpdateOne:
    taken = {"hit_id": claim.hit_id, "at_ms": claim.at_ms, "said_by": _CLAIMED}
    return UpdateOne(
        {"_id": claim.key, "revision": revision},
        {"$set": taken, "$inc": {"count": 1, "revision": 1}},
    )


def _standing(document: Document) -> Standing:
    return Standing(
        document["hit_id"],
        int(document["at_ms"]),
        int(document["count"]),
        corrected=document.get("said_by") == _CORRECTED,
        revision=int(document["revision"]),
    )


def _pending(changes: Sequence[Change]) -> str:
    """As one text: the portable dialect has no arrays of sub-documents."""
    return orjson.dumps(
        [
            (
                change.before.hit.id,
                change.before.changes + 1,
                change.before.judgement.verdict.value,
                change.judgement.verdict.value,
                change.judgement.reason,
            )
            for change in changes
        ]
    ).decode()
