"""Sender requests in MongoDB: guarded by their revision, their form sealed until they are settled."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Document, ensure_indexes
from postfleet.outbox import update_with_events
from postfleet.secrets import KeyRing
from sender_registry.domain.requests import OPEN, Done, SenderRequest, State, Step
from sender_registry.vault import SERVICE

_MOST = 10_000
_FIELD = "request_form"


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """The clock of a request that is not settled; `told` if its breach of the SLA was announced."""

    id: str
    due_ms: int
    told: bool


class RequestStore:
    """The collection `requests`."""

    def __init__(self, collection: Collection, ring: KeyRing) -> None:
        self._collection = collection
        self._ring = ring

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self._collection, "state", "list_key")

    async def insert(self, request: SenderRequest) -> None:
        await self._collection.insert_one(
            {"_id": request.id, "list_key": request.id, **self._document(request)}
        )

    async def save(
        self, request: SenderRequest, says: Sequence[Announcement] = ()
    ) -> SenderRequest | None:
        """The request at its next revision; None if somebody else wrote it meanwhile."""
        after = replace(request, revision=request.revision + 1)
        result = await self._collection.update_one(
            {"_id": request.id, "revision": request.revision},
            update_with_events({"$set": self._document(after)}, says),
        )
        return after if result.matched_count else None

    async def get(self, request_id: str) -> SenderRequest | None:
        document = await self._collection.find_one({"_id": request_id})
        return self._request(document) if document else None

    async def after(self, request_id: str, limit: int) -> list[SenderRequest]:
        """Up to `limit` requests whose id follows, in the order of ids."""
        query = {"list_key": {"$gt": request_id}}  # the embedded server sorts ids by reading all
        cursor = self._collection.find(query).sort("list_key", 1).limit(limit)
        return [self._request(document) async for document in cursor]

    async def open_ones(self) -> list[OpenRequest]:
        """The clocks of all that is not settled; their forms stay sealed."""
        clocks = {"due_at": 1, "breached_at": 1}
        return [
            OpenRequest(row["_id"], row["due_at"], bool(row.get("breached_at")))
            for state in OPEN
            async for row in self._collection.find({"state": state.value}, clocks).limit(_MOST)
        ]

    async def seal_again(self) -> None:
        """Put every form that still waits under the newest master key."""
        for state in OPEN:
            async for document in self._collection.find({"state": state.value}).limit(_MOST):
                await self.save(self._request(document))

    def _document(self, request: SenderRequest) -> Document:
        return {
            "revision": request.revision,
            "operation": request.operation,
            "sender_id": request.sender_id,
            # Once it is settled nobody needs it any more.
            "form": "" if request.settled else self._seal(request),
            "requested_by": request.requested_by,
            "approved_by": request.approved_by,
            "created_at": request.created_ms,
            "due_at": request.due_ms,
            "executing_at": request.executing_ms,
            "breached_at": request.breached_ms,
            "state": request.state.value,
            "trail": json.dumps([[d.step, d.ok, d.detail, d.at_ms] for d in request.trail]),
        }

    def _seal(self, request: SenderRequest) -> str:
        return self._ring.seal(request.form, service=SERVICE, record=request.id, name=_FIELD)

    def _request(self, document: Document) -> SenderRequest:
        sealed, name = document["form"], document["_id"]
        form = self._ring.open(sealed, service=SERVICE, record=name, name=_FIELD) if sealed else ""
        trail = json.loads(document["trail"])
        return SenderRequest(
            id=name,
            operation=document["operation"],
            sender_id=document["sender_id"],
            form=form,
            requested_by=document["requested_by"],
            created_ms=document["created_at"],
            due_ms=document["due_at"],
            state=State(document["state"]),
            revision=document["revision"],
            approved_by=document["approved_by"],
            executing_ms=document["executing_at"],
            breached_ms=document.get("breached_at", 0),
            trail=tuple(Done(Step(step), ok, detail, at) for step, ok, detail, at in trail),
        )
