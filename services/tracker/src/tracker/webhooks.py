"""Delivers webhooks: a task for each endpoint, so that a dead one harms no other.

At least once, signed by the Standard Webhooks specification; `webhook-id` is the event's own id.
"""

import asyncio
import logging
import random
from datetime import UTC, datetime

from pymongo.errors import PyMongoError
from standardwebhooks.webhooks import Webhook

from postfleet.cloudevents import Announcement, derived_id
from postfleet.events.tracking import WebhookDisabled
from postfleet.instants import from_ms, now_ms
from postfleet.outbox import OutboxRelay
from postfleet.secrets import CannotOpen, KeyRing
from postfleet.tasks import end
from tracker.domain.webhooks import (
    Answer,
    Endpoint,
    EndpointState,
    WebhookMessage,
    given_up,
    heads,
    next_try_ms,
)
from tracker.posting import Poster
from tracker.store.webhooks import WebhookStore

log = logging.getLogger(__name__)

_LOOKED_AT = 200  # waiting messages of an endpoint
_AT_ONCE = 8  # of them, each of another key
_IDLE_S = 1.0
_REFRESH_S = 2.0
_ENDPOINTS = 1000


def seal_secret(ring: KeyRing, endpoint_id: str, secret: str) -> str:
    return ring.seal(secret, service="tracker", record=f"webhook:{endpoint_id}", name="secret")


def open_secret(ring: KeyRing, endpoint: Endpoint) -> str:
    record = f"webhook:{endpoint.id}"
    return ring.open(endpoint.secret, service="tracker", record=record, name="secret")


class WebhookSender:
    def __init__(
        self, store: WebhookStore, poster: Poster, ring: KeyRing, relay: OutboxRelay
    ) -> None:
        self._store, self._poster, self._ring, self._relay = store, poster, ring, relay
        self._queues: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled: keep a task for every active endpoint."""
        try:
            while True:
                try:
                    await self._refresh()
                except PyMongoError as error:
                    log.warning("webhooks wait for the database: %s", error)
                await asyncio.sleep(_REFRESH_S)
        finally:
            await end(*self._queues.values())

    async def _refresh(self) -> None:
        endpoints = await self._store.page("", _ENDPOINTS)
        active = {e.id for e in endpoints if e.state is EndpointState.ACTIVE}
        for id_ in set(self._queues) - active:
            self._queues.pop(id_).cancel()
        for id_ in active - set(self._queues):
            self._queues[id_] = asyncio.create_task(self._serve(id_), name=f"webhook {id_}")

    async def _serve(self, endpoint_id: str) -> None:
        while True:
            try:
                sent = await self.send_due(endpoint_id)
            except PyMongoError as error:
                log.warning("webhook %s waits for the database: %s", endpoint_id, error)
                sent = 0
            if not sent:
                await asyncio.sleep(_IDLE_S)

    async def send_due(self, endpoint_id: str) -> int:
        """Send what is due now, some of it; returns how many messages were tried."""
        endpoint = await self._store.get(endpoint_id)
        if endpoint is None or endpoint.state is not EndpointState.ACTIVE:
            return 0
        waiting = await self._store.waiting(endpoint_id, _LOOKED_AT)
        due = heads(waiting, now_ms())[:_AT_ONCE]
        answers = await asyncio.gather(*(self._send(endpoint, message) for message in due))
        if answers:
            await self._judge(endpoint, answers)
        return len(due)

    async def _send(self, endpoint: Endpoint, message: WebhookMessage) -> Answer:
        try:
            webhook = Webhook(open_secret(self._ring, endpoint))
        except CannotOpen:
            return Answer(0, "the secret does not open with this MASTER_KEY")
        at = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "Postfleet",
            "webhook-id": message.event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": webhook.sign(message.event_id, at, message.body),
        }
        answer = await self._poster.post(endpoint.url, message.body.encode(), headers)
        moment = now_ms()
        following = next_try_ms(message.attempt + 1, moment, random.random())  # noqa: S311
        await self._store.settle(message, answer, moment, following)
        return answer

    async def _judge(self, endpoint: Endpoint, answers: list[Answer]) -> None:
        if any(answer.taken for answer in answers):
            if endpoint.failing_ms:
                await self._store.failing_since(endpoint.id, 0)
            return
        await self._store.failing_since(endpoint.id, now_ms())
        reason = given_up(endpoint, answers[-1], now_ms())
        if reason:
            await self._disable(endpoint, reason)

    async def _disable(self, endpoint: Endpoint, reason: str) -> None:
        event = WebhookDisabled(
            occurred_at=from_ms(now_ms()), webhook_id=endpoint.id, url=endpoint.url, reason=reason
        )
        cause = derived_id(event.subject, endpoint.id, endpoint.failing_ms)
        await self._store.disable(endpoint.id, reason, Announcement(event, cause))
        self._relay.wake()
        log.warning("webhook %s is disabled: %s", endpoint.id, reason)
