"""What the bus does when NATS is killed, a durable vanishes, a handler is slow, or we must stop."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from nats.aio.msg import Msg

from postfleet import retrying
from postfleet.announcing import Message
from postfleet.cloudevents import Received
from postfleet.pull import PullLimits
from tests.support.busworld import DURABLE, MODES, SERVICE, BusWorld, mailboxes, until
from tests.support.natsserver import NatsServer

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))

QUICK = PullLimits(expires=timedelta(seconds=2), heartbeat=timedelta(seconds=0.5))


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BusWorld]:
    monkeypatch.setattr(retrying, "_RETRY_DELAYS", (0.1,))
    async with BusWorld() as running:
        await running.apply()
        yield running


@pytest.mark.parametrize("mode", MODES)
async def test_consumers_go_on_over_kills_of_nats_under_load_and_lose_nothing(
    mode: str, world: BusWorld
) -> None:
    await world.apply(ack_wait=2)
    seen: Counter[str] = Counter()

    async def handler(received: Received[Any]) -> None:
        seen[received.id] += 1
        await asyncio.sleep(0.001)

    await world.listener(mode, handler, QUICK)
    speaker = await world.service("mail-provisioner")
    said = mailboxes(range(600))

    async def speak() -> None:
        for start in range(0, 600, 20):
            await speaker.publish(*said[start : start + 20])

    speaking = asyncio.create_task(speak())
    for _ in range(2):
        await asyncio.sleep(0.15)
        await asyncio.to_thread(world.server.kill)
        await asyncio.to_thread(world.server.start)
    await speaking
    await until(lambda: len(seen) == 600, 30)
    assert seen.keys() == {a.id for a in said}
    assert (await world.jetstream.stream_info("EVENTS")).state.messages == 600


@pytest.mark.parametrize("mode", MODES)
async def test_a_durable_deleted_under_a_running_service_shows_and_heals(
    mode: str, world: BusWorld
) -> None:
    seen: Counter[str] = Counter()

    async def handler(received: Received[Any]) -> None:
        seen[received.event.address] += 1

    bus = await world.listener(mode, handler, QUICK)
    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes([1]))
    await until(lambda: seen["1@one.test"] == 1)
    assert await bus.ready()
    await world.jetstream.delete_consumer("EVENTS", DURABLE)
    assert not await bus.ready()
    assert await bus.missing_durables() == [DURABLE]
    await speaker.publish(*mailboxes([2]))
    await world.apply()
    assert await bus.ready()
    await until(lambda: seen["2@one.test"] >= 1, 15)
    await world.settle()


async def test_not_ready_while_nats_is_away_and_ready_again_by_itself(world: BusWorld) -> None:
    bus = await world.service("tracker")
    assert await bus.ready()
    await asyncio.to_thread(world.server.kill)
    await until(lambda: not bus.connected)
    assert not await bus.ready()
    await asyncio.to_thread(world.server.start)
    await until(bus.ready, 10)
    await bus.stop_consuming()
    assert not await bus.ready()


async def test_start_waits_for_the_durables(world: BusWorld) -> None:
    await world.jetstream.delete_consumer("EVENTS", DURABLE)
    starting = asyncio.create_task(world.service(SERVICE))
    await asyncio.sleep(0.3)
    assert not starting.done()
    await world.apply()
    async with asyncio.timeout(5):
        bus = await starting
    assert await bus.ready()


async def test_a_slow_handler_that_says_so_keeps_its_job_beyond_ack_wait(world: BusWorld) -> None:
    await world.apply(ack_wait=1)
    deliveries: list[int] = []

    async def handler(messages: list[Msg]) -> None:
        for message in messages:
            deliveries.append(message.metadata.num_delivered)
            for _ in range(6):
                await asyncio.sleep(0.4)
                await message.in_progress()
            await message.ack_sync()

    limits = PullLimits(prefetch=1, batch=1)
    for _ in range(2):  # two replicas: the other one must not get it either
        await world.service(
            "dispatcher", lambda bus: bus.consume_messages("dispatcher-jobs", handler, limits)
        )
    speaker = await world.service("dispatcher")
    await speaker.put([Message("job.send", "batch-1", b"{}")])
    await until(lambda: _empty(world), 10)
    await asyncio.sleep(1.2)
    assert deliveries == [1]


async def test_a_handler_that_does_not_say_so_gets_its_job_again(world: BusWorld) -> None:
    """The counterpart: without it the test above would prove nothing."""
    await world.apply(ack_wait=1)
    deliveries: list[int] = []

    async def handler(messages: list[Msg]) -> None:
        for message in messages:
            deliveries.append(message.metadata.num_delivered)
            await asyncio.sleep(2.4)
            await message.ack_sync()

    limits = PullLimits(prefetch=1, batch=1)
    for _ in range(2):
        await world.service(
            "dispatcher", lambda bus: bus.consume_messages("dispatcher-jobs", handler, limits)
        )
    await world.jetstream.publish("job.send", b"{}")
    await until(lambda: len(deliveries) >= 2, 10)
    assert deliveries[1] == 2


async def _empty(world: BusWorld) -> bool:
    return (await world.jetstream.stream_info("JOBS")).state.messages == 0


@pytest.mark.parametrize("mode", MODES)
async def test_stop_lets_running_handlers_finish_and_gives_the_rest_to_another_at_once(
    mode: str, world: BusWorld
) -> None:
    """`ack_wait` is a minute: what is not given back would show."""
    first_done: list[int] = []
    second_done: list[int] = []
    running = asyncio.Event()

    async def slow(received: Received[Any]) -> None:
        running.set()
        await asyncio.sleep(0.5)
        first_done.append(received.sequence)

    async def quick(received: Received[Any]) -> None:
        second_done.append(received.sequence)

    first = await world.listener(mode, slow, PullLimits(prefetch=400, batch=2))
    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes(range(300)))
    await running.wait()
    stopping = asyncio.create_task(first.stop())
    await asyncio.sleep(0.05)
    assert not await first.ready()
    started = time.monotonic()
    await world.listener(mode, quick)
    await stopping
    await world.settle(10)
    assert time.monotonic() - started < 10
    assert first_done, "what ran was finished"
    assert sorted(first_done + second_done) == list(range(1, 301)), "once each: nothing was cut off"


async def test_stopping_under_a_stream_of_events_leaves_none_to_wait_for_ack_wait(
    world: BusWorld,
) -> None:
    seen: Counter[int] = Counter()

    async def handler(received: Received[Any]) -> None:
        seen[received.sequence] += 1

    speaker = await world.service("mail-provisioner")

    async def speak() -> None:
        for start in range(0, 1000, 10):
            await speaker.publish(*mailboxes(range(start, start + 10)))

    speaking = asyncio.create_task(speak())
    for _ in range(5):
        bus = await world.listener(MODES[1], handler)
        await asyncio.sleep(0.1)
        await bus.stop()
    await speaking
    await world.listener(MODES[1], handler)
    await world.settle(10)
    assert sorted(seen) == list(range(1, 1001))
    assert set(seen.values()) == {1}


async def test_stopping_twice_or_before_the_start_is_harmless(world: BusWorld) -> None:
    bus = await world.service("tracker")
    await bus.stop()
    await bus.stop()
    assert not await bus.ready()
    assert not bus.connected
