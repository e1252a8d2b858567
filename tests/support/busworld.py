"""A private NATS with our streams, and services that listen and speak on it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from postfleet import reconcile
from postfleet.bus import Bus
from postfleet.cloudevents import Announcement, Received
from postfleet.events import EVENTS
from postfleet.events.domains import MailboxCreated
from postfleet.pull import PullLimits
from postfleet.topology import DURABLES, Durable, durable
from tests.support.eventsamples import announcement
from tests.support.natsserver import NatsServer

DURABLE = "sender-registry-mailboxes"
SERVICE = "sender-registry"
MODES = ["one at a time", "in batches"]

Handler = Callable[[Received[Any]], Awaitable[None]]


class BusWorld:
    """Starts the server; `service` makes a Bus, all of which are stopped in the end."""

    def __init__(self, config: Path | None = None) -> None:
        self.server = NatsServer(config)
        self._buses: list[Bus] = []
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.server.start)
        self._client = await nats.connect(
            self.server.url, reconnect_time_wait=0.1, max_reconnect_attempts=-1
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.resume()
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                for bus in self._buses:
                    await bus.stop()
        assert self._client is not None
        await self._client.close()
        await asyncio.to_thread(self.server.stop)

    @property
    def jetstream(self) -> JetStreamContext:
        assert self._client is not None
        return self._client.jetstream(timeout=5)

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    async def apply(self, ack_wait: float | None = None) -> list[str]:
        """Make streams and durables, perhaps with a shorter `ack_wait` in seconds."""
        span = timedelta(seconds=ack_wait or 0)
        durables = [replace(d, ack_wait=span) for d in DURABLES] if ack_wait else DURABLES
        return [str(one) for one in await reconcile.apply(self.jetstream, durables=durables)]

    async def service(
        self, name: str = SERVICE, register: Callable[[Bus], None] = lambda _: None
    ) -> Bus:
        """A started bus of this service."""
        bus = Bus(self.server.url, name, graceful_timeout=timedelta(seconds=5))
        register(bus)
        await bus.start()
        self._buses.append(bus)
        return bus

    async def listener(self, mode: str, handler: Handler, limits: PullLimits | None = None) -> Bus:
        return await self.service(register=lambda bus: listen(bus, mode, handler, limits))

    async def messages(self, stream: str) -> list[RawStreamMsg]:
        """All that the stream holds, oldest first."""
        state = (await self.jetstream.stream_info(stream)).state
        found = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1):
            with suppress(NotFoundError):
                found.append(await self.jetstream.get_msg(stream, sequence))
        return found

    async def unsettled(self, name: str = DURABLE) -> int:
        """Messages of a durable that are waiting or not acknowledged."""
        info = await self.jetstream.consumer_info(durable(name).stream, name)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def settle(self, timeout: float = 20) -> None:
        """Wait until the durable has nothing left."""
        await until(lambda: self._settled(), timeout)

    async def _settled(self) -> bool:
        return await self.unsettled() == 0


def listen(bus: Bus, mode: str, handler: Handler, limits: PullLimits | None = None) -> None:
    """Hear DURABLE in one of the two modes; the handler gets single events in both."""
    if mode == "one at a time":
        bus.consume(DURABLE, {EVENTS[subject]: handler for subject in _declared().subjects})
        return

    async def every(received: list[Received[Any]]) -> None:
        for one in received:
            await handler(one)

    bus.consume_batches(DURABLE, every, limits or PullLimits())


def _declared() -> Durable:
    return durable(DURABLE)


def mailboxes(numbers: Iterable[int]) -> list[Announcement]:
    """`mailbox.created` for address `<number>@one.test`, each with an id of its own."""
    return [announcement(MailboxCreated, n, address=f"{n}@one.test") for n in numbers]


async def until(condition: Callable[[], Awaitable[bool] | bool], timeout: float = 20) -> None:
    """Poll until true; raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.02)
