"""`postfleet bus apply`: NATS has what the topology declares, and nobody else is disturbed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from nats.js.api import ConsumerConfig

from postfleet import reconcile
from postfleet.topology import DURABLES, STREAMS, durable
from tests.support.busworld import DURABLE, BusWorld, mailboxes
from tests.support.natsserver import NatsServer

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing()))


@pytest.fixture
async def world() -> AsyncIterator[BusWorld]:
    async with BusWorld() as running:
        yield running


async def _names(world: BusWorld) -> set[str]:
    infos = [await world.jetstream.consumers_info(stream.name) for stream in STREAMS]
    return {info.name for of_stream in infos for info in of_stream}


async def test_on_an_empty_server_everything_is_made(world: BusWorld) -> None:
    done = await world.apply()
    assert await _names(world) == {d.name for d in DURABLES}
    assert {f"stream {s.name} created" for s in STREAMS} <= set(done)
    events = (await world.jetstream.stream_info("EVENTS")).config
    assert events.max_age == 30 * 24 * 3600
    assert events.duplicate_window == 600
    assert events.discard == "new"
    assert events.storage == "file"
    assert events.retention == "limits"
    assert (await world.jetstream.stream_info("JOBS")).config.retention == "workqueue"


async def test_a_second_run_changes_nothing_and_keeps_positions_and_messages(
    world: BusWorld,
) -> None:
    await world.apply()
    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes(range(5)))

    async def handler(_: object) -> None:
        return None

    listener = await world.listener("in batches", handler)
    await world.settle()
    await listener.stop()
    before = (await world.jetstream.consumer_info("EVENTS", DURABLE)).delivered
    for _ in range(2):
        done = await world.apply()
    after = await world.jetstream.consumer_info("EVENTS", DURABLE)
    assert (after.delivered, after.num_pending) == (before, 0)
    assert (await world.jetstream.stream_info("EVENTS")).state.messages == 5
    assert not [line for line in done if "created" in line or "deleted" in line]


async def test_a_changed_ack_wait_and_filter_are_updated_in_place(world: BusWorld) -> None:
    await world.apply()
    speaker = await world.service("mail-provisioner")
    await speaker.publish(*mailboxes([1]))
    changed = replace(
        durable(DURABLE), ack_wait=timedelta(seconds=7), max_ack_pending=9,
        subjects=("mailbox.created", "mailbox.failed"),
    )  # fmt: skip
    others = [d for d in DURABLES if d.name != DURABLE]
    await reconcile.apply(world.jetstream, durables=[changed, *others])
    info = await world.jetstream.consumer_info("EVENTS", DURABLE)
    assert info.config.ack_wait == 7
    assert info.config.max_ack_pending == 9
    assert info.config.filter_subjects == ["mailbox.created", "mailbox.failed"]
    assert info.num_pending == 1


async def test_options_of_a_stream_that_somebody_changed_are_put_right(world: BusWorld) -> None:
    await world.apply()
    config = (await world.jetstream.stream_info("EVENTS")).config
    config.duplicate_window, config.max_age = 5, 3600
    await world.jetstream.update_stream(config)
    await world.apply()
    repaired = (await world.jetstream.stream_info("EVENTS")).config
    assert (repaired.duplicate_window, repaired.max_age) == (600, 30 * 24 * 3600)


@pytest.mark.parametrize("name", ["tracker-of-last-year", "mail-provisioner-commands"])
async def test_a_durable_of_ours_that_is_declared_no_more_is_deleted(
    name: str, world: BusWorld
) -> None:
    await world.apply()
    await world.jetstream.add_consumer("EVENTS", ConsumerConfig(durable_name=name))
    done = await world.apply()
    assert f"durable {name} deleted" in done
    assert name not in await _names(world)


async def test_a_foreign_subscriber_is_left_alone(world: BusWorld) -> None:
    await world.apply()
    await world.jetstream.add_consumer("EVENTS", ConsumerConfig(durable_name="crm-sync"))
    await world.jetstream.add_consumer("EVENTS", ConsumerConfig(durable_name="trackers"))
    assert not [line for line in await world.apply() if "deleted" in line]
    assert {"crm-sync", "trackers"} <= await _names(world)


async def test_a_renamed_consumer_of_a_work_queue_takes_over(world: BusWorld) -> None:
    """A work queue allows one consumer a subject: the old must go before the new comes."""
    await world.apply()
    await world.jetstream.publish("job.send", b"{}")
    renamed = replace(durable("dispatcher-jobs"), name="dispatcher-work")
    others = [d for d in DURABLES if d.name != "dispatcher-jobs"]
    done = await reconcile.apply(world.jetstream, durables=[renamed, *others])
    assert "durable dispatcher-jobs deleted" in map(str, done)
    info = await world.jetstream.consumer_info("JOBS", "dispatcher-work")
    assert info.num_pending == 1
