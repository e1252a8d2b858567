"""Campaigns: the definition as one JSON text, the state beside it."""

from collections.abc import Sequence
from dataclasses import replace

from pymongo.errors import DuplicateKeyError

from dispatcher.domain.campaigns import Campaign, CampaignState
from dispatcher.domain.winner import Choice
from dispatcher.store.campaign_documents import campaign_of, choices_json, definition_json
from postfleet.cloudevents import Announcement
from postfleet.instants import now_ms
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events, with_events

_CHUNK = 200  # campaigns to one look at a list
_LISTED = frozenset(CampaignState) - {CampaignState.DELETED}


class Campaigns:
    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.collection, "state", "created_at")

    async def insert(self, campaign: Campaign, announcements: Sequence[Announcement]) -> bool:
        """False if a campaign with this id is there already."""
        document = {
            "_id": campaign.id,
            "name": campaign.name,
            "state": campaign.state.value,
            "revision": 0,
            "created_at": now_ms(),
            "definition": definition_json(campaign),
        }
        try:
            await self.collection.insert_one(with_events(document, announcements))
        except DuplicateKeyError:
            return False
        return True

    async def get(self, campaign_id: str) -> Campaign | None:
        document = await self.collection.find_one({"_id": campaign_id})
        return campaign_of(document) if document else None

    async def page(
        self,
        after: str | None,
        limit: int,
        state: CampaignState | None = None,
        name: str | None = None,
    ) -> list[Campaign]:
        """In the order of their ids; deleted ones only if they are asked for. `name` is a part."""
        wanted = [state.value] if state else [s.value for s in CampaignState if s in _LISTED]
        found: list[Campaign] = []
        while True:
            query: Document = {"state": {"$in": wanted}}
            query |= {"_id": {"$gt": after}} if after else {}
            rows = self.collection.find(query).sort("_id", 1).limit(_CHUNK)
            chunk = [campaign_of(document) async for document in rows]
            found += [c for c in chunk if not name or name.casefold() in c.name.casefold()]
            if len(chunk) < _CHUNK or len(found) >= limit:
                return found[:limit]
            after = chunk[-1].id

    async def in_state(self, state: CampaignState, limit: int = 1000) -> list[Campaign]:
        found = self.collection.find({"state": state.value}).limit(limit)
        return [campaign_of(document) async for document in found]

    async def announced(self, campaign_id: str) -> bool:
        """Whether nothing that was written with the campaign is still to be said."""
        document = await self.collection.find_one({"_id": campaign_id})
        return bool(document) and document.get("outbox_size", 0) == 0

    async def choose(
        self, campaign: Campaign, number: int, choice: Choice, said: Sequence[Announcement]
    ) -> bool:
        """Keep what a winner rule came to; compare-and-set on state and revision."""
        steps = list(campaign.steps)
        steps[number] = replace(steps[number], choice=choice)
        changes = {"choices": choices_json(steps)}
        update = update_with_events({"$set": changes, "$inc": {"revision": 1}}, said)
        result = await self.collection.update_one(_as_read(campaign), update)
        return bool(result.modified_count)

    async def running_since(self, campaign_id: str) -> int:
        """When it was last started or resumed; 0 if never."""
        document = await self.collection.find_one({"_id": campaign_id})
        return int((document or {}).get("running_since", 0))

    async def warn(
        self, campaign: Campaign, since: int, announcements: Sequence[Announcement]
    ) -> bool:
        """Say it once for the run that began at `since`; False if it was said."""
        update = update_with_events({"$set": {"warned_since": since}}, announcements)
        for not_yet in ({"$lt": since}, {"$exists": False}):
            guard = {"_id": campaign.id, "state": campaign.state.value, "warned_since": not_yet}
            if (await self.collection.update_one(guard, update)).modified_count:
                return True
        return False

    async def move(
        self,
        campaign: Campaign,
        state: CampaignState,
        announcements: Sequence[Announcement],
        definition: Campaign | None = None,
    ) -> bool:
        """Compare-and-set on state and revision; False if somebody was faster."""
        return await self._move(_as_read(campaign), campaign, state, announcements, definition)

    async def complete(self, campaign: Campaign, announcements: Sequence[Announcement]) -> bool:
        """As `move`, and False as well if it was stirred since it was read."""
        guard = _as_read(campaign) | {"stirred": campaign.stirred or {"$exists": False}}
        return await self._move(guard, campaign, CampaignState.COMPLETED, announcements)

    async def stir(self, campaign_id: str) -> bool:
        """It has leads that may be mailed now: whoever saw none completes it no more.

        False if it is not running.
        """
        guard = {"_id": campaign_id, "state": CampaignState.RUNNING.value}
        result = await self.collection.update_one(guard, {"$inc": {"stirred": 1}})
        return bool(result.matched_count)

    async def _move(
        self,
        guard: Document,
        campaign: Campaign,
        state: CampaignState,
        announcements: Sequence[Announcement],
        definition: Campaign | None = None,
    ) -> bool:
        changes: Document = {"state": state.value, "changed_at": now_ms()}
        if state is CampaignState.RUNNING and campaign.state is not state:
            changes["running_since"] = now_ms()
        if definition is not None:
            changes |= {"definition": definition_json(definition), "name": definition.name}
        update = update_with_events({"$set": changes, "$inc": {"revision": 1}}, announcements)
        result = await self.collection.update_one(guard, update)
        return bool(result.modified_count)


def _as_read(campaign: Campaign) -> Document:
    """The guard of a compare-and-set: nobody has changed it since it was read."""
    return {"_id": campaign.id, "state": campaign.state.value, "revision": campaign.revision}
