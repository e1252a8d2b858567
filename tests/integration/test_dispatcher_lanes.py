"""Two lanes: whoever waits for a mail does not wait for a campaign, whatever the campaign waits for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dispatcher.domain.ledger import Batch, Item
from dispatcher.store.batches import Batches, from_document, job
from postfleet.announcing import Message
from postfleet.cloudevents import Announcement
from postfleet.events.senders import (
    MailServer,
    SenderCreated,
    SenderSnapshot,
    SenderStatus,
    SmtpSecurity,
)
from postfleet.instants import now
from postfleet.topology import JOBS, durable
from tests.support.dispatcher import DispatcherWorld

QUEUED = 20_000
PLACES = 100  # more than there are in a lane


@pytest.fixture
async def silent_server() -> AsyncIterator[int]:
    """The port of a server that takes connections and says nothing."""
    ended = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    ended.set()
    server.close()


async def _say_stuck_sender(world: DispatcherWorld, port: int) -> None:
    none = MailServer(host="127.0.0.1", port=port, security=SmtpSecurity.NONE, username="")
    stuck = SenderSnapshot(
        sender_id="stuck",
        revision=1,
        email_address="bulk@fleet.test",
        domain="fleet.test",
        status=SenderStatus.READY,
        health=100,
        daily_limit=1_000_000,
        effective_limit=1_000_000,
        smtp=none,
    )
    created = SenderCreated(occurred_at=now(), sender_id="stuck", sender=stuck)
    await world.bus.publish(Announcement(created))

    async def known() -> bool:
        return await world.database.senders.find_one({"_id": "stuck"}) is not None

    await world.until(known, "the stuck sender is known")


def _like(batch: Batch, number: int) -> Batch:
    item = batch.items[0]
    return replace(
        batch,
        id=f"{batch.id}-{number}",
        items=(Item(f"{item.delivery_id}-{number}", item.lead_id, item.recipient),),
    )


async def _first_batch(world: DispatcherWorld) -> Batch:
    async def there() -> Any:
        return await world.database.batches.find_one({})

    return from_document(await world.until(there, "a batch"))


async def test_a_message_goes_out_at_once_while_20_000_campaign_jobs_wait(
    world: DispatcherWorld, silent_server: int
) -> None:
    one = world.dispatcher()
    await one.start()
    await _say_stuck_sender(world, silent_server)
    await world.campaign(one, ["accept+1@people.test"], senders=["stuck"])
    model = await _first_batch(world)
    queued = [_like(model, number) for number in range(QUEUED)]
    await Batches(world.database.batches).insert(queued[:PLACES])  # the others are not met
    assert await world.bus.put(map(job, queued)) == {}

    async def all_taken() -> bool:  # every place of the campaigns' lane waits for that server
        claimed = world.database.batches.find({"state": "claimed"}).limit(PLACES)
        return len([document async for document in claimed]) >= 64

    await world.until(all_taken, "the lane is full", one.tail)
    mail = {"to": "accept+2@people.test", "from": "s1", "subject": "Code", "text": "4711"}
    await one.api("POST", "/messages", json=mail)

    async def accepted() -> bool:
        return world.accepted() == {"accept+2@people.test": 1}

    await world.until(accepted, "the mail is out", one.tail, seconds=10)
    left = (await world.bus.jetstream.stream_info(JOBS.name)).state.messages
    assert left >= QUEUED


async def test_a_job_of_an_older_version_is_moved_into_its_lane_and_sent_once(
    world: DispatcherWorld,
) -> None:
    one = world.dispatcher()
    await one.start("after-claim:1")  # the job in its lane is lost with the process
    campaign_id = await world.campaign(one, ["accept+1@people.test"])
    await world.until(one.dead, "killed", one.tail)
    await world.bus.jetstream.purge_stream(JOBS.name)
    made = job(await _first_batch(world))
    old = [Message("job.send", "job-old", made.body), Message("job.send", "job-odd", b"{}")]
    assert await world.bus.put(old) == {}
    one.kill()
    await one.start()
    await world.settled(campaign_id, 1, "accepted")
    assert world.accepted() == {"accept+1@people.test": 1}

    async def sorted_out() -> bool:
        name = durable("dispatcher-jobs").name
        info = await world.bus.jetstream.consumer_info(JOBS.name, name)
        return not info.num_pending and not info.num_ack_pending

    await world.until(sorted_out, "the old queue is empty", one.tail)
    assert (await world.bus.jetstream.stream_info("DEAD_LETTERS")).state.messages == 1
