"""The bus as a service sees it: confirmed publishing, consuming with delayed retries, requests.

Together with what it is made of (`connection`, `announcing`, `consuming`, `retrying`, `rpc`) it is
the only code that knows JetStream's options.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from postfleet.announcing import Announcing, Message
from postfleet.cloudevents import Announcement
from postfleet.connection import Connection
from postfleet.consuming import BatchHandler, Consuming, Handler, MessageHandler
from postfleet.depths import keep_measuring
from postfleet.events.event import Event
from postfleet.mongo import Flush, each_is_durable
from postfleet.publishing import Failed
from postfleet.pull import PullLimits, PullLoop
from postfleet.rpc import Answer, Rpc
from postfleet.tasks import end


class Bus:
    """One service's connection. `start` returns when NATS answers and all durables exist."""

    def __init__(
        self,
        url: str,
        service: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        graceful_timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self.service = service
        self._connection = Connection(
            url,
            service,
            user=user,
            password=password,
            ca_file=ca_file,
            graceful_timeout=graceful_timeout,
        )
        self._announcing = Announcing(service)
        self._rpc = Rpc(self._connection)
        self._consuming = Consuming(self._connection, self._announcing, self._rpc)
        self._gauges: asyncio.Task[None] | None = None

    # -- life cycle ------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        return self._connection.client

    @property
    def jetstream(self) -> JetStreamContext:
        return self._connection.jetstream

    @property
    def connected(self) -> bool:
        """There is a connection to NATS at this moment; says nothing of JetStream."""
        return self._connection.connected

    async def ready(self) -> bool:
        """Connected, not stopping, and every durable exists."""
        return await self._connection.ready()

    async def missing_durables(self) -> list[str]:
        """The durables of this service that NATS does not have (or cannot tell of) now."""
        return await self._connection.missing_durables()

    async def connect(self) -> None:
        """Connect, waiting for NATS as long as it takes, saying so every few seconds."""
        await self._connection.open()
        await self._announcing.start(self.client)

    async def start(self) -> None:
        """Connect, wait until every durable of this service exists, then consume."""
        await self.connect()
        await self._connection.wait_for_durables()
        await self._consuming.start()
        await self._connection.subscribed()
        self._gauges = asyncio.create_task(keep_measuring(self.jetstream, self.service))

    async def stop_consuming(self) -> None:
        """Pull nothing more; publishing goes on. Call `stop` when what is in flight has ended."""
        self._connection.leave()
        await end(self._gauges)
        await self._consuming.stop()

    async def stop(self) -> None:
        """Stop pulling, let running handlers finish, drain the connection."""
        await self.stop_consuming()
        await self._connection.close()

    # -- publishing ------------------------------------------------------------------------------

    async def publish(self, *announcements: Announcement) -> None:
        """Publish and wait for the PubAck of each. Raises NotConfirmed; saying them again is safe."""
        await self._announcing.publish(announcements)

    async def publish_each(self, announcements: Iterable[Announcement]) -> Failed:
        """Publish all; return the ids that were not confirmed, with the reason."""
        return await self._announcing.publish_each(announcements)

    async def put(self, messages: Iterable[Message]) -> Failed:
        """Publish jobs or hits; return the ids that were not confirmed, with the reason."""
        return await self._announcing.put(messages)

    # -- request and reply -----------------------------------------------------------------------

    def answer(self, subject: str, handler: Answer) -> None:
        """Answer requests on `subject`; replicas share them. An exception is an `error` reply."""
        self._rpc.answer(subject, handler)

    async def request(
        self, subject: str, body: dict[str, Any], timeout: float = 5.0
    ) -> dict[str, Any]:
        """Ask; raises Unavailable when nobody answers in time, RequestRefused on an error reply."""
        return await self._rpc.request(subject, body, timeout)

    # -- consuming -------------------------------------------------------------------------------

    def consume(self, durable_name: str, reactions: dict[type[Event], Handler]) -> None:
        """One event at a time through FastStream. The reactions must be the durable's subjects."""
        self._consuming.one_by_one(durable_name, reactions)

    def consume_batches(
        self,
        durable_name: str,
        handler: BatchHandler,
        limits: PullLimits = PullLimits(),  # noqa: B008
        flush: Flush = each_is_durable,
    ) -> None:
        """Hot consumers: up to `limits.batch` events at a time, in the order of the stream.

        When a batch fails, its events come back, and redelivered events are handed over one by
        one: a poison event takes no other with it. Events are acked after `flush`, which makes
        durable what the handler has written.
        """
        self._consuming.in_batches(durable_name, handler, limits, flush)

    def consume_messages(
        self,
        durable_name: str,
        handler: MessageHandler,
        limits: PullLimits = PullLimits(),  # noqa: B008
    ) -> None:
        """Raw messages of an own work queue: the handler acks or naks every one itself."""
        self._consuming.raw(durable_name, handler, limits)

    async def pull(
        self,
        durable_name: str,
        handler: MessageHandler,
        limits: PullLimits = PullLimits(),  # noqa: B008
    ) -> PullLoop:
        """As `consume_messages`, from now on, until what this returns is stopped."""
        return await self._consuming.pull(durable_name, handler, limits)

    async def bury(self, durable_name: str, message: Msg, reason: str) -> None:
        """Move a work queue's message that can never be used to the dead letters."""
        await self._consuming.bury(durable_name, message, reason)
