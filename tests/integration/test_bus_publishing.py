"""A publish is confirmed or named as failed, and saying it again under its id stores it once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from postfleet import publishing
from postfleet.announcing import Message
from postfleet.bus import Bus
from postfleet.cloudevents import parse
from postfleet.events.domains import MailboxFailed
from postfleet.outages import NotConfirmed
from tests.support.busworld import BusWorld, mailboxes, until
from tests.support.eventsamples import announcement
from tests.support.natsserver import NatsServer

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


@pytest.fixture
async def world() -> AsyncIterator[BusWorld]:
    async with BusWorld() as running:
        await running.apply()
        yield running


async def _ids(world: BusWorld, stream: str = "EVENTS") -> list[str]:
    return [(m.headers or {})["Nats-Msg-Id"] for m in await world.messages(stream)]


async def test_a_confirmed_event_is_in_the_stream_with_its_headers(world: BusWorld) -> None:
    bus = await world.service("mail-provisioner")
    (said,) = mailboxes([1])
    await bus.publish(said)
    (stored,) = await world.messages("EVENTS")
    headers = stored.headers or {}
    assert stored.subject == "mailbox.created"
    assert headers == said.headers("mail-provisioner")
    assert parse(stored.subject, headers, stored.data or b"") == said.event


async def test_an_event_that_is_said_twice_is_stored_once(world: BusWorld) -> None:
    bus = await world.service("mail-provisioner")
    said = mailboxes([1, 2])
    await bus.publish(*said)
    await bus.publish(*said, *said)
    assert await _ids(world) == [a.id for a in said]


async def test_many_events_keep_their_order(world: BusWorld) -> None:
    bus = await world.service("mail-provisioner")
    said = mailboxes(range(2500))
    assert await bus.publish_each(said) == {}
    assert await _ids(world) == [a.id for a in said]


async def test_without_a_stream_nothing_is_confirmed_and_later_it_is_stored_once() -> None:
    async with BusWorld() as world:
        await world.apply()
        bus = await world.service("mail-provisioner")
        await world.jetstream.delete_stream("EVENTS")
        said = mailboxes([1])
        with pytest.raises(NotConfirmed) as failure:
            await bus.publish(*said)
        assert failure.value.ids == (said[0].id,)
        await world.apply()
        await bus.publish(*said)
        await bus.publish(*said)
        assert await _ids(world) == [said[0].id]


async def test_a_full_stream_refuses_and_takes_the_same_id_when_there_is_room(
    world: BusWorld,
) -> None:
    bus = await world.service("mail-provisioner")
    config = (await world.jetstream.stream_info("EVENTS")).config
    config.max_msgs = 2
    await world.jetstream.update_stream(config)
    said = mailboxes(range(4))
    failed = await bus.publish_each(said)
    assert set(failed) == {a.id for a in said[2:]}
    assert "maximum messages exceeded" in str(failed[said[2].id])
    config.max_msgs = -1
    await world.jetstream.update_stream(config)
    await bus.publish(*said)
    assert await _ids(world) == [a.id for a in said]


async def test_a_paused_server_confirms_nothing_and_the_same_id_is_stored_once(
    world: BusWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = await world.service("mail-provisioner")
    await bus.publish(*mailboxes([0]))
    monkeypatch.setattr(publishing, "PUBLISH_TIMEOUT", 0.5)
    said = mailboxes([1, 2])
    world.server.pause()
    with pytest.raises(NotConfirmed, match="2 messages were not confirmed") as failure:
        await bus.publish(*said)
    world.server.resume()
    assert failure.value.ids == tuple(a.id for a in said)
    monkeypatch.setattr(publishing, "PUBLISH_TIMEOUT", 5)
    await bus.publish(*said)
    assert len(await _ids(world)) == 3


async def test_a_publish_rides_out_a_restart_of_the_server(world: BusWorld) -> None:
    bus = await world.service("mail-provisioner")
    await asyncio.to_thread(world.server.kill)
    await until(lambda: not bus.connected)
    publish = asyncio.create_task(bus.publish(*mailboxes(range(10))))
    await asyncio.sleep(0.2)
    assert not publish.done()
    await asyncio.to_thread(world.server.start)
    await publish
    assert len(await _ids(world)) == 10


async def test_while_disconnected_nothing_piles_up_in_the_client(
    world: BusWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = await world.service("mail-provisioner")
    await asyncio.to_thread(world.server.kill)
    await until(lambda: not bus.connected)
    monkeypatch.setattr(publishing, "PUBLISH_TIMEOUT", 0.1)
    before = bus.client.pending_data_size
    for _ in range(5):
        assert len(await bus.publish_each(mailboxes(range(100)))) == 100
    assert bus.client.pending_data_size == before
    monkeypatch.setattr(publishing, "PUBLISH_TIMEOUT", 20)
    await asyncio.to_thread(world.server.start)
    await bus.publish(*mailboxes(range(100)))
    assert len(await _ids(world)) == 100


async def test_an_event_that_is_too_large_fails_alone_and_never_blocks_the_others(
    world: BusWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_WINDOW", 5)
    bus = await world.service("mail-provisioner")
    large = announcement(MailboxFailed, "large", reason="x" * bus.client.max_payload)
    just_too_large = announcement(
        MailboxFailed, "header", reason="x" * (bus.client.max_payload - 250)
    )
    for number in range(10):
        failed = await bus.publish_each([large, just_too_large, *mailboxes([number])])
        assert set(failed) == {large.id, just_too_large.id}
        assert all("payload" in str(why) for why in failed.values())
    assert bus.connected, "the server closes the connection of who sends too much"
    assert len(await _ids(world)) == 10


async def test_publishers_that_wait_for_a_slot_give_up_in_time_and_can_be_cancelled(
    world: BusWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = await world.service("mail-provisioner")
    await bus.publish(*mailboxes([0]))
    monkeypatch.setattr(publishing, "PUBLISH_TIMEOUT", 2)
    world.server.pause()
    first = [asyncio.create_task(bus.publish_each(mailboxes(range(700)))) for _ in range(3)]
    await asyncio.sleep(0.3)
    waiting = asyncio.create_task(bus.publish_each(mailboxes([9999])))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=1)
    assert waiting.cancelled()
    async with asyncio.timeout(10):
        assert [len(failed) for failed in await asyncio.gather(*first)] == [700] * 3
    world.server.resume()
    monkeypatch.setattr(publishing, "PUBLISH_TIMEOUT", 20)
    await bus.publish(*mailboxes(range(700)))
    assert (await world.jetstream.stream_info("EVENTS")).state.messages == 700


async def test_jobs_and_hits_are_deduplicated_by_their_ids(world: BusWorld) -> None:
    bus = await world.service("dispatcher")
    jobs = [Message("job.send", f"batch-{n}", b"{}") for n in range(3)]
    assert await bus.put(jobs) == {}
    assert await bus.put(jobs) == {}
    assert await _ids(world, "JOBS") == ["batch-0", "batch-1", "batch-2"]


async def test_before_the_bus_is_started_nothing_can_be_said() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await Bus("nats://127.0.0.1:1", "tracker").publish(*mailboxes([1]))
