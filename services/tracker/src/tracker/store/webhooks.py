"""Endpoints, what waits for each of them, and the log of tries."""

from collections.abc import Sequence
from dataclasses import asdict

from pymongo import UpdateOne

from postfleet.cloudevents import Announcement
from postfleet.mongo import Collection, Database, Document, ensure_indexes, page_by_id
from postfleet.outbox import update_with_events
from tracker.domain.webhooks import (
    Answer,
    Endpoint,
    EndpointState,
    MessageState,
    WebhookMessage,
)
from tracker.store.writing import insert_new

_REPLAY = 500


class WebhookStore:
    def __init__(self, database: Database) -> None:
        self.endpoints: Collection = database.webhooks  # also the outbox of their events
        self._messages: Collection = database.webhook_messages
        self._tries: Collection = database.webhook_tries

    async def ensure_indexes(self) -> None:
        await ensure_indexes(self.endpoints, "state")
        await ensure_indexes(self._messages, "endpoint", "state", "order", "queue", "at_ms")
        await ensure_indexes(self._tries, "endpoint", "at_ms")

    # -- endpoints -------------------------------------------------------------------------------

    async def create(self, endpoint: Endpoint) -> None:
        await self.endpoints.insert_one(
            {**_named(asdict(endpoint)), "events": list(endpoint.events)}
        )

    async def get(self, endpoint_id: str) -> Endpoint | None:
        found = await self.endpoints.find_one({"_id": endpoint_id})
        return None if found is None else _endpoint(found)

    async def page(self, after: str, limit: int) -> list[Endpoint]:
        """Up to `limit` endpoints by id, after this one."""
        return [_endpoint(document) for document in await page_by_id(self.endpoints, after, limit)]

    async def delete(self, endpoint_id: str) -> bool:
        """The endpoint and all that waits for it."""
        result = await self.endpoints.delete_one({"_id": endpoint_id})
        await self._messages.delete_many({"endpoint": endpoint_id})
        return bool(result.deleted_count)

    async def failing_since(self, endpoint_id: str, at_ms: int) -> None:
        """Note the first failure after a success; 0 notes a success."""
        guard = {"_id": endpoint_id} if at_ms == 0 else {"_id": endpoint_id, "failing_ms": 0}
        await self.endpoints.update_one(guard, {"$set": {"failing_ms": at_ms}})

    async def disable(self, endpoint_id: str, reason: str, event: Announcement) -> None:
        change = {"$set": {"state": EndpointState.DISABLED.value, "reason": reason}}
        guard = {"_id": endpoint_id, "state": EndpointState.ACTIVE.value}
        await self.endpoints.update_one(guard, update_with_events(change, [event]))

    async def enable(self, endpoint_id: str) -> None:
        change = {"state": EndpointState.ACTIVE.value, "reason": "", "failing_ms": 0}
        await self.endpoints.update_one({"_id": endpoint_id}, {"$set": change})

    # -- messages --------------------------------------------------------------------------------

    async def add(self, messages: Sequence[WebhookMessage], at_ms: int) -> None:
        """Queue them; those that are known stay as they are."""
        documents = [
            {**_named(asdict(m)), **_in(m.endpoint, MessageState.WAITING), "at_ms": at_ms}
            for m in messages
        ]
        await insert_new(self._messages, documents)

    async def waiting(self, endpoint_id: str, limit: int) -> list[WebhookMessage]:
        """The oldest messages that wait, in the order of the stream."""
        query = {"queue": _queue(endpoint_id, MessageState.WAITING)}
        found = self._messages.find(query).sort("order", 1).limit(limit)
        return [_message(document) async for document in found]

    async def settle(
        self, message: WebhookMessage, answer: Answer, at_ms: int, next_ms: int | None
    ) -> None:
        """Log a try, and say what follows: delivered, due again at `next_ms`, or failed for good."""
        state = MessageState.WAITING
        if answer.taken:
            state = MessageState.DELIVERED
        elif next_ms is None:
            state = MessageState.FAILED
        attempt = message.attempt + 1
        entry = {"endpoint": message.endpoint, "event_id": message.event_id, "at_ms": at_ms}
        what = {"type": message.subject, "attempt": attempt, **asdict(answer), "state": state.value}
        await insert_new(self._tries, [{"_id": f"{at_ms:015d}:{message.id}", **entry, **what}])
        change = {"attempt": attempt, "due_ms": next_ms or 0, **_in(message.endpoint, state)}
        await self._messages.update_one(
            {"_id": message.id, "attempt": message.attempt}, {"$set": change}
        )

    async def replay(self, endpoint_id: str, since_ms: int) -> int:
        """Queue again what came since then, whatever became of it; returns how many messages."""
        again = 0
        for state in (MessageState.DELIVERED, MessageState.FAILED, MessageState.WAITING):
            query = {"queue": _queue(endpoint_id, state), "at_ms": {"$gte": since_ms}}
            fresh = {"attempt": 0, "due_ms": 0, **_in(endpoint_id, MessageState.WAITING)}
            after = -1
            while True:
                page = {**query, "order": {"$gt": after}}
                found = [d async for d in self._messages.find(page).sort("order", 1).limit(_REPLAY)]
                if not found:
                    break
                updates = [UpdateOne({"_id": d["_id"]}, {"$set": fresh}) for d in found]
                await self._messages.bulk_write(updates, ordered=False)
                again += len(found)
                after = int(found[-1]["order"])
        return again

    async def log(self, endpoint_id: str, limit: int) -> list[Document]:
        """The last tries, newest first."""
        found = self._tries.find({"endpoint": endpoint_id}).sort("at_ms", -1).limit(limit)
        return [document async for document in found]

    async def forget(self, before_ms: int) -> None:
        """Remove messages and tries that are older."""
        for collection in (self._messages, self._tries):
            await collection.delete_many({"at_ms": {"$lt": before_ms}})


def _queue(endpoint_id: str, state: MessageState) -> str:
    return f"{endpoint_id}:{state}"


def _in(endpoint_id: str, state: MessageState) -> dict[str, str]:
    """State and queue in one: a queue is one indexed field."""
    return {"state": state.value, "queue": _queue(endpoint_id, state)}


def _named(fields: Document) -> Document:
    document = dict(fields)
    return {"_id": document.pop("id"), **document}


def _endpoint(document: Document) -> Endpoint:
    names = set(Endpoint.__slots__) - {"id", "events", "state"}
    fields = {name: document[name] for name in names}
    state = EndpointState(document["state"])
    return Endpoint(id=document["_id"], events=tuple(document["events"]), state=state, **fields)


def _message(document: Document) -> WebhookMessage:
    names = set(WebhookMessage.__slots__) - {"id"}
    return WebhookMessage(id=document["_id"], **{name: document[name] for name in names})
