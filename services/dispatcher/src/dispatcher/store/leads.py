"""Leads: one document per campaign and person, moved on by guarded updates.

`_id` is `<campaign>:<lead>`. `queue` is `<campaign>:<state>:<due>:<lead>`: the one index beside it finds
what is due, lists by state and guards changes, and an import pays for no second one. Who is in which
campaign needs none either: `lists` knows the campaigns that have leads.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from dispatcher.domain.campaigns import LeadState
from dispatcher.domain.consent import mailable
from dispatcher.domain.identity import lead_id
from dispatcher.domain.lead_rows import LeadRow
from dispatcher.domain.progress import NEVER
from dispatcher.store.lead_documents import (
    OPEN,
    Lead,
    Planned,
    advanced,
    all_of,
    at,
    between,
    consent_document,
    ended,
    fields_text,
    lead_of,
    place_of,
    queue_key,
    to_document,
)
from dispatcher.store.lead_lists import LeadLists
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, duplicates, ensure_indexes

_PASS = 1000


class Leads:
    def __init__(
        self,
        collection: Collection,
        relaxed: Collection | None = None,
        lists: Collection | None = None,
    ) -> None:
        self._collection = collection
        self._relaxed = collection if relaxed is None else relaxed
        self._lists = LeadLists(collection.database.lead_lists if lists is None else lists)

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "queue")

    async def add(
        self,
        campaign_id: str,
        rows: Sequence[LeadRow],
        *,
        require_opt_in: bool = False,
        source: str = "",
    ) -> int:
        """Insert those that are not there yet; returns how many were new.

        Nobody waits for the disk: whoever says that an import is done writes that durably, after it.
        """
        if not rows:
            return 0
        await self._lists.note(campaign_id)
        created = now_ms()
        documents: dict[str, Document] = {}
        for row in rows:
            key = f"{campaign_id}:{lead_id(row.address)}"
            if key not in documents:
                documents[key] = to_document(key, row, require_opt_in, source, created)
        inserts = [InsertOne(document) for document in documents.values()]
        try:
            result = await self._relaxed.bulk_write(inserts, ordered=False)
            return int(result.inserted_count)
        except BulkWriteError as error:
            return len(inserts) - len(duplicates(error))

    # -- reading ---------------------------------------------------------------------------------

    async def due(self, campaign_id: str, now: int, limit: int) -> list[Lead]:
        query = between(campaign_id, LeadState.ACTIVE, now)
        found = self._collection.find(query).sort("queue", 1).limit(limit)
        return [lead_of(document) async for document in found]

    async def get_many(self, keys: Sequence[str]) -> dict[str, Lead]:
        found = self._collection.find({"_id": {"$in": list(keys)}}).limit(len(keys) or 1)
        return {document["_id"]: lead_of(document) async for document in found}

    async def any_active(self, campaign_id: str) -> bool:
        """Whether a lead of this campaign has a step to come."""
        query = between(campaign_id, LeadState.ACTIVE, NEVER - 1)
        return await self._collection.find_one(query) is not None

    async def begun(self, campaign_id: str, steps: int) -> int:
        """How many of the steps, from the first one, a lead has come past already."""
        for step in range(steps, 0, -1):
            if await self._collection.find_one({**all_of(campaign_id), "step": step}):
                return step
        return 0

    async def near(self, campaign_id: str, step: int, before: int) -> bool:
        """Whether an active lead gets this step, or a later one, before then."""
        query = {**between(campaign_id, LeadState.ACTIVE, before), "step": {"$gte": step}}
        return await self._collection.find_one(query) is not None

    async def counts(self, campaign_id: str) -> dict[str, int]:
        pipeline = [
            {"$match": all_of(campaign_id)},
            {"$group": {"_id": "$state", "n": {"$sum": 1}}},
        ]
        return {row["_id"]: row["n"] async for row in self._collection.aggregate(pipeline)}

    async def find(self, campaign_id: str, address: str) -> Lead | None:
        return await self.get(f"{campaign_id}:{lead_id(address)}")

    async def get(self, key: str) -> Lead | None:
        document = await self._collection.find_one({"_id": key})
        return lead_of(document) if document else None

    async def first(self, campaign_id: str) -> Lead | None:
        document = await self._collection.find_one(all_of(campaign_id))
        return lead_of(document) if document else None

    async def page(
        self,
        campaign_id: str,
        after: str | None,
        limit: int,
        state: LeadState | None = None,
        text: str = "",
    ) -> list[Lead]:
        """By state and due time; `after` is the `queue` of the last one.

        A lead that moves on while somebody pages may come twice, but none is left out: active
        ones come first. `text` is a part of the address.
        """
        prefix = f"{campaign_id}:{state.value}" if state else campaign_id
        start: Document = {"$gt": after} if after else {"$gte": f"{prefix}:"}
        query: Document = {"queue": {**start, "$lt": f"{prefix};"}}
        if text:
            query["address"] = {"$regex": re.escape(text)}
        found = self._collection.find(query).sort("queue", 1).limit(limit)
        return [lead_of(document) async for document in found]

    async def everywhere(self, lead: str) -> list[Lead]:
        """The person in every campaign that has it."""
        found: list[Lead] = []
        async for keys in self._lists.keys_of(lead):
            found += (await self.get_many(keys)).values()
        return found

    # -- moving on -------------------------------------------------------------------------------

    async def move_on(self, leads: Sequence[Lead], step: int, due: int, sender_id: str) -> None:
        """These leads had `step` planned: the next one is due at `due`."""
        await self.move_all_on([Planned([lead.key for lead in leads], step, due, sender_id)])

    async def move_all_on(self, planned: Sequence[Planned]) -> None:
        """As `move_on` for each of these, in one statement."""
        await self._write(change for one in planned for change in one.changes())

    async def pass_over(self, keys: Sequence[str], step: int, due: int) -> None:
        """These leads do not get `step`: the next one is looked at at `due`."""
        await self._write(advanced(keys, step, due, {"step": step + 1}))

    async def look_again(self, campaign_id: str, due: int) -> None:
        """The steps have changed: when the next one goes is worked out anew for every lead."""
        cursor = None
        while True:
            leads = await self.page(campaign_id, cursor, _PASS, LeadState.ACTIVE)
            await self.postpone({one.key: due for one in leads if one.step and one.due != due})
            if len(leads) < _PASS:
                return
            cursor = leads[-1].queue

    async def forget(self, campaign_id: str) -> None:
        """Delete the leads of a campaign that has sent nothing."""
        await self._collection.delete_many(all_of(campaign_id))

    async def mark_many(self, marks: Mapping[str, dict[str, Any]]) -> None:
        """Note when something happened (`replied_at`, …), by the lead's key; unknown leads are left out."""
        updates = [UpdateOne({"_id": key}, {"$set": fields}) for key, fields in marks.items()]
        if updates:
            await self._collection.bulk_write(updates, ordered=False)

    async def postpone(self, due_by_key: dict[str, int]) -> None:
        """Look at these leads again later."""
        active = LeadState.ACTIVE.value
        await self._write(
            UpdateOne({"_id": key, "state": active}, {"$set": place_of(key, due)})
            for key, due in due_by_key.items()
        )

    async def _write(self, updates: Iterable[UpdateOne]) -> None:
        if listed := list(updates):
            await self._relaxed.bulk_write(listed, ordered=False)

    async def end(
        self, keys: Sequence[str], state: LeadState, open_: Iterable[LeadState] = OPEN
    ) -> None:
        """Open leads get no more mail; the state says why."""
        if keys:
            opened = {"$in": [one.value for one in open_]}
            updates = [
                UpdateOne({"_id": key, "state": opened}, {"$set": ended(key, state)})
                for key in keys
            ]
            await self._collection.bulk_write(updates, ordered=False)

    async def release(self, key: str, due: int) -> None:
        """A lead that was held because of a doubt: the doubt is settled, it goes on at `due`."""
        held, active = LeadState.HELD.value, LeadState.ACTIVE.value
        change = {"$set": {"state": active} | place_of(key, due)}
        await self._collection.update_one({"_id": key, "state": held}, change)

    async def finish_all(self, campaign_id: str) -> None:
        """The campaign is over for those who are still active and have no step to come."""
        query = at(campaign_id, LeadState.ACTIVE, NEVER)
        while True:
            found = self._collection.find(query).limit(_PASS)
            keys = [document["_id"] async for document in found]
            await self.end(keys, LeadState.FINISHED)
            if len(keys) < _PASS:
                return

    async def end_everywhere(self, lead: str, state: LeadState) -> None:
        """The person gets no more mail from any campaign. An address that is invalid is so in those
        that are over as well, however late its bounce came."""
        ending = {*OPEN, LeadState.FINISHED} if state is LeadState.INVALID else set(OPEN)
        keys = [one.key for one in await self.everywhere(lead) if one.state in ending]
        await self.end(keys, state, ending)

    # -- what operators and policies change ------------------------------------------------------

    async def change(self, lead: Lead, **changes: Any) -> bool:
        """Compare-and-set on state and due time; False if somebody was faster.

        `changes` may hold state, due, fields, consent and reason.
        """
        state, due = changes.get("state", lead.state), changes.get("due", lead.due)
        values: Document = {
            "state": state.value,
            "due": due,
            "queue": queue_key(lead.key, state, due),
            "changed_at": now_ms(),
        }
        if "fields" in changes:
            values["fields"] = fields_text(changes["fields"])
        if "reason" in changes:
            values["reason"] = changes["reason"]
        values |= consent_document(changes["consent"]) if "consent" in changes else {}
        guard = {"_id": lead.key, "queue": lead.queue}
        result = await self._collection.update_one(guard, {"$set": values})
        return bool(result.matched_count)

    async def set_state(
        self, campaign_id: str, before: LeadState, after: LeadState, consent: bool | None = None
    ) -> int:
        """Move every lead of a state to another; `consent` only those with, or without, a confirmed one.

        Returns how many. May be repeated.
        """
        moved, cursor = 0, None
        while True:
            leads = await self.page(campaign_id, cursor, _PASS, before)
            chosen = [lead for lead in leads if consent in (None, mailable(lead.consent, True))]
            moved += await self.move_state(chosen, after)
            if len(leads) < _PASS:
                return moved
            cursor = leads[-1].queue

    async def move_state(self, leads: Sequence[Lead], state: LeadState, reason: str = "") -> int:
        """Those that are still as they were read; returns how many."""
        updates = [
            UpdateOne(
                {"_id": lead.key, "queue": lead.queue},
                {
                    "$set": {
                        "state": state.value,
                        "queue": queue_key(lead.key, state, lead.due),
                        "reason": reason,
                        "changed_at": now_ms(),
                    }
                },
            )
            for lead in leads
        ]
        if not updates:
            return 0
        result = await self._collection.bulk_write(updates, ordered=False)
        return int(result.matched_count)

    async def delete(self, key: str) -> bool:
        result = await self._collection.delete_one({"_id": key})
        return bool(result.deleted_count)
