"""Every event in: a message in the queue of each endpoint that wants it."""

from dataclasses import dataclass

from postfleet.cloudevents import Received
from postfleet.events.event import Event
from postfleet.instants import to_ms
from tracker.domain.webhooks import message_for
from tracker.store.webhooks import WebhookStore

DURABLE = "tracker-webhooks"
_ENDPOINTS = 1000


@dataclass(frozen=True, slots=True)
class WebhookHandler:
    webhooks: WebhookStore

    async def __call__(self, batch: list[Received[Event]]) -> None:
        """Queue a batch, for disabled endpoints too: they can be replayed. Repeating is harmless."""
        endpoints = await self.webhooks.page("", _ENDPOINTS)
        for received in batch:
            stored_ms = to_ms(received.stored_at)
            messages = [
                message_for(endpoint, received)
                for endpoint in endpoints
                if endpoint.wants(received.event.subject) and endpoint.created_ms <= stored_ms
            ]
            await self.webhooks.add(messages, stored_ms)
