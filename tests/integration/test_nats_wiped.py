"""The store of NATS is gone, streams and all: who listens hears again when `bus apply` has run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from postfleet.cloudevents import Received
from tests.support.busworld import MODES, BusWorld, mailboxes, until
from tests.support.natsserver import NatsServer

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


@pytest.fixture
async def world() -> AsyncIterator[BusWorld]:
    async with BusWorld() as one:
        await one.apply()
        yield one


@pytest.mark.parametrize("mode", MODES)
async def test_a_consumer_goes_on_when_its_streams_vanish_and_come_back(
    world: BusWorld, mode: str
) -> None:
    heard: list[str] = []

    async def hear(received: Received[Any]) -> None:
        heard.append(received.id)

    bus = await world.listener(mode, hear)
    before, after = mailboxes(range(3)), mailboxes(range(3, 6))
    await bus.publish(*before)
    await until(lambda: len(heard) == 3)

    await asyncio.to_thread(world.server.wipe)
    await asyncio.to_thread(world.server.start)
    await until(lambda: bus.connected)
    assert not await bus.ready(), "nothing is there to listen to"
    await asyncio.sleep(3)  # it asks in vain meanwhile
    publishing = asyncio.create_task(bus.publish_each(after))
    await asyncio.sleep(0.5)
    await world.apply()
    assert await publishing == {}, "publishing has waited for the stream"
    await until(lambda: len(heard) == 6)
    await until(bus.ready)
    assert sorted(heard) == sorted(event.id for event in [*before, *after])
