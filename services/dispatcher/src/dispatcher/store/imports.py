"""Imports of leads, as they go: what a caller looks at while one runs, and after it."""

from dataclasses import dataclass

import orjson
from pymongo.errors import DuplicateKeyError

from dispatcher.domain.import_progress import ImportState, Tally, seen_state
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes


@dataclass(frozen=True, slots=True)
class Import:
    """`queue` is what the list is ordered by: campaign and start."""

    campaign_id: str
    import_id: str
    state: ImportState
    tally: Tally
    started_at: int
    changed_at: int
    error: str
    queue: str


class Imports:
    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "queue")

    async def begin(self, campaign_id: str, import_id: str) -> bool:
        """False if one of this id is running. An ended or interrupted one begins again."""
        moment = now_ms()
        key = f"{campaign_id}:{import_id}"
        document: Document = {
            "state": ImportState.RUNNING.value,
            "started_at": moment,
            "queue": f"{campaign_id}:{moment:013d}:{import_id}",
            **_values(Tally(), ""),
        }
        try:
            await self._collection.insert_one({"_id": key, **document})
            return True
        except DuplicateKeyError:
            known = await self.get(campaign_id, import_id)
        if known is None or known.state is ImportState.RUNNING:
            return False
        guard = {"_id": key, "changed_at": known.changed_at}
        result = await self._collection.update_one(guard, {"$set": document})
        return bool(result.matched_count)

    async def note(self, campaign_id: str, import_id: str, tally: Tally) -> None:
        """It is still running, and has come so far."""
        await self._write(campaign_id, import_id, _values(tally, ""))

    async def end(
        self, campaign_id: str, import_id: str, state: ImportState, tally: Tally, error: str = ""
    ) -> None:
        """Durable, and with it all that was written before."""
        values = {"state": state.value, **_values(tally, error)}
        await self._write(campaign_id, import_id, values)

    async def _write(self, campaign_id: str, import_id: str, values: Document) -> None:
        await self._collection.update_one({"_id": f"{campaign_id}:{import_id}"}, {"$set": values})

    async def get(self, campaign_id: str, import_id: str) -> Import | None:
        document = await self._collection.find_one({"_id": f"{campaign_id}:{import_id}"})
        return _import(document) if document else None

    async def page(self, campaign_id: str, before: str | None, limit: int) -> list[Import]:
        """The newest first."""
        end = before or f"{campaign_id};"
        query = {"queue": {"$gte": f"{campaign_id}:", "$lt": end}}
        found = self._collection.find(query).sort("queue", -1).limit(limit)
        return [_import(document) async for document in found]


def _values(tally: Tally, error: str) -> Document:
    return {
        "rows": tally.rows,
        "imported": tally.imported,
        "duplicates": tally.duplicates,
        "invalid": tally.invalid,
        "reported": orjson.dumps(tally.reported).decode(),
        "error": error,
        "changed_at": now_ms(),
    }


def _import(document: Document) -> Import:
    campaign_id, _, import_id = document["_id"].partition(":")
    tally = Tally(
        rows=document["rows"],
        imported=document["imported"],
        duplicates=document["duplicates"],
        invalid=document["invalid"],
        reported=orjson.loads(document["reported"]),
    )
    return Import(
        campaign_id=campaign_id,
        import_id=import_id,
        state=seen_state(ImportState(document["state"]), document["changed_at"], now_ms()),
        tally=tally,
        started_at=document["started_at"],
        changed_at=document["changed_at"],
        error=document["error"],
        queue=document["queue"],
    )
