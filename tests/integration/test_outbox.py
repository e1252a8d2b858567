"""State and its events are one write; the relay announces them, whatever happens in between."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nats.js.api import RawStreamMsg

from postfleet import publishing
from postfleet.bus import Bus
from postfleet.events.campaigns import CampaignLinksCompiled
from postfleet.events.senders import SenderUpdated
from postfleet.mongo import Mongo
from postfleet.outbox import OutboxRelay, update_with_events, with_events
from tests.support.busworld import BusWorld, mailboxes, until
from tests.support.eventsamples import announcement
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer

pytestmark = [
    pytest.mark.skipif(bool(NatsServer.missing()), reason=str(NatsServer.missing())),
    pytest.mark.skipif(bool(MongoServer.missing()), reason=str(MongoServer.missing())),
]

SERVICE = "mail-provisioner"


@pytest.fixture
async def world() -> AsyncIterator[BusWorld]:
    async with BusWorld() as running:
        await running.apply()
        yield running


@pytest.fixture
async def collection(mongo_server: MongoServer) -> AsyncIterator[Any]:
    """On a server: mongomock's bulk writes do not know this version of pymongo."""
    async with _documents(mongo_server) as documents:
        yield documents


@asynccontextmanager
async def _documents(server: MongoServer) -> AsyncIterator[Any]:
    mongo = Mongo(server.url, "outbox", server.prefix)
    await mongo.database["documents"].delete_many({})
    yield mongo.database["documents"]
    await mongo.close()


def _id(message: RawStreamMsg) -> str:
    return (message.headers or {})["ce-id"]


async def _ids(world: BusWorld) -> list[str]:
    return [_id(message) for message in await world.messages("EVENTS")]


async def _pending(collection: Any) -> int:
    return sum([d["outbox_size"] async for d in collection.find({}).limit(1000)])


@pytest.mark.parametrize("one_event", [False, True], ids=["many events", "one event"])
async def test_what_was_written_is_announced_once_and_cleared(
    world: BusWorld, collection: Any, one_event: bool
) -> None:
    relay = OutboxRelay(collection, await world.service(SERVICE), one_event=one_event)
    await relay.start()
    said = mailboxes(range(5))
    for number, one in enumerate(said):
        await collection.insert_one(with_events({"_id": str(number), "state": "new"}, [one]))
    relay.wake()
    await until(lambda: _nothing_pending(collection))
    assert sorted(await _ids(world)) == sorted(a.id for a in said)
    document = await collection.find_one({"_id": "3"})
    assert (document["state"], document["outbox"], document["outbox_size"]) == ("new", {}, 0)
    assert await relay.sweep(grace_ms=0) == 0
    await relay.stop()
    assert len(await _ids(world)) == 5


async def test_documents_of_one_event_that_cannot_be_said_yet_keep_it(
    world: BusWorld, collection: Any
) -> None:
    good, newer = mailboxes([1, 2])
    later = with_events({"_id": "b"}, [newer])
    later["outbox"][newer.id]["subject"] = "mailbox.upgraded"
    await collection.insert_many([with_events({"_id": "a"}, [good]), later])
    relay = OutboxRelay(collection, await world.service(SERVICE), one_event=True)
    assert await relay.sweep(grace_ms=0) == 1
    kept = await collection.find_one({"_id": "b"})
    assert (kept["outbox_size"], list(kept["outbox"])) == (1, [newer.id])
    assert await _ids(world) == [good.id]


async def test_no_index_leads_the_sweep_over_what_was_said_long_ago(
    world: BusWorld, collection: Any
) -> None:
    """Nearly every document was written before now; an older version had that index."""
    await collection.create_index("outbox_at")
    relay = OutboxRelay(collection, await world.service(SERVICE))
    for _ in range(2):
        await relay.start()
        await relay.stop()
    keys = {
        field
        for index in (await collection.index_information()).values()
        for field, _ in index["key"]
    }
    assert keys == {"_id", "outbox_size"}


async def _nothing_pending(collection: Any) -> bool:
    return await _pending(collection) == 0


async def test_an_update_adds_its_events_and_keeps_those_that_wait(
    world: BusWorld, collection: Any
) -> None:
    first, second, third = mailboxes(range(3))
    await collection.insert_one(with_events({"_id": "a", "n": 1}, [first]))
    update = update_with_events({"$set": {"state": "b"}, "$inc": {"n": 1}}, [second, third])
    await collection.update_one({"_id": "a"}, update)
    document = await collection.find_one({"_id": "a"})
    assert (document["state"], document["n"], document["outbox_size"]) == ("b", 2, 3)
    relay = OutboxRelay(collection, await world.service(SERVICE))
    assert await relay.sweep(grace_ms=0) == 3
    assert await _ids(world) == [first.id, second.id, third.id]


def test_an_update_without_events_stays_as_it_was_and_its_argument_too() -> None:
    update = {"$set": {"state": "b"}}
    assert update_with_events(update, []) is update
    assert update_with_events(update, mailboxes([1]))["$set"].keys() > {"state"}
    assert update == {"$set": {"state": "b"}}


async def test_a_document_s_events_are_said_in_the_order_of_its_writes(
    world: BusWorld, collection: Any
) -> None:
    """Even where the database keeps the fields of a document in another order."""
    said = mailboxes(range(30))
    assert [a.id for a in said] != sorted(a.id for a in said)
    await collection.insert_one(with_events({"_id": "a"}, said[:10]))
    for start in (10, 20):
        await collection.update_one(
            {"_id": "a"}, update_with_events({"$set": {"n": start}}, said[start : start + 10])
        )
        await asyncio.sleep(0.002)
    document = await collection.find_one({"_id": "a"})
    await collection.delete_one({"_id": "a"})
    await collection.insert_one({**document, "outbox": dict(sorted(document["outbox"].items()))})
    await OutboxRelay(collection, await world.service(SERVICE)).sweep(grace_ms=0)
    assert await _ids(world) == [a.id for a in said]


async def test_the_sweep_leaves_a_fresh_document_to_its_writer(
    world: BusWorld, collection: Any
) -> None:
    relay = OutboxRelay(collection, await world.service(SERVICE))
    (said,) = mailboxes([1])
    await collection.insert_one(with_events({"_id": "a"}, [said]))
    assert await relay.sweep() == 0
    await relay.announce("a", [said])
    assert await _pending(collection) == 0
    assert await _ids(world) == [said.id]


async def test_two_relays_on_one_collection_say_everything_once(
    world: BusWorld, collection: Any
) -> None:
    relays = [OutboxRelay(collection, await world.service(SERVICE)) for _ in range(2)]
    said = mailboxes(range(100))
    await collection.insert_many(
        [with_events({"_id": str(n)}, said[n * 5 : n * 5 + 5]) for n in range(20)]
    )
    await asyncio.gather(*(relay.sweep(grace_ms=0) for relay in relays))
    assert sorted(await _ids(world)) == sorted(a.id for a in said)
    documents = [d async for d in collection.find({}).limit(100)]
    assert {d["outbox_size"] for d in documents} == {0}
    assert all(d["outbox"] == {} for d in documents)


async def test_an_event_of_a_newer_writer_waits_and_holds_up_nobody(
    world: BusWorld, collection: Any
) -> None:
    relay = OutboxRelay(collection, await world.service(SERVICE))
    good, newer = mailboxes([1, 2])
    document = with_events({"_id": "a"}, [good, newer])
    document["outbox"][newer.id]["subject"] = "mailbox.upgraded"
    await collection.insert_one(document)
    await relay.start()
    relay.wake()
    await until(lambda: _one_pending(collection))
    assert await _ids(world) == [good.id]
    fields = {"outbox.later": {"subject": "mailbox.created", "body": "{}", "order": 0}}
    await collection.update_one({"_id": "a"}, {"$set": fields})
    (third,) = mailboxes([3])
    await collection.insert_one(with_events({"_id": "b"}, [third]))
    relay.wake()
    await until(lambda: _in_stream(world, 2))
    await relay.stop()
    assert await _ids(world) == [good.id, third.id]


async def _one_pending(collection: Any) -> bool:
    return await _pending(collection) == 1


async def _in_stream(world: BusWorld, count: int) -> bool:
    return len(await world.messages("EVENTS")) == count


async def test_a_relay_says_the_fields_that_only_a_newer_writer_knows(
    world: BusWorld, collection: Any
) -> None:
    (said,) = mailboxes([1])
    document = with_events({"_id": "a"}, [said])
    body = document["outbox"][said.id]["body"][:-1] + ',"of_tomorrow":1}'
    document["outbox"][said.id]["body"] = body
    await collection.insert_one(document)
    await OutboxRelay(collection, await world.service(SERVICE)).sweep(grace_ms=0)
    (stored,) = await world.messages("EVENTS")
    assert (stored.data or b"").decode() == body
    assert stored.headers == said.headers(SERVICE)


async def test_while_nats_is_away_nothing_is_lost_and_the_relay_goes_on(
    world: BusWorld, collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PUBLISH_TIMEOUT", 0.5)
    bus = await world.service(SERVICE)
    relay = OutboxRelay(collection, bus)
    await relay.start()
    await asyncio.to_thread(world.server.kill)
    await until(lambda: not bus.connected)
    said = mailboxes(range(3))
    await collection.insert_one(with_events({"_id": "a"}, said))
    relay.wake()
    await asyncio.sleep(0.8)
    assert await _pending(collection) == 3
    await asyncio.to_thread(world.server.start)
    await until(lambda: bus.connected)
    relay.wake()
    await until(lambda: _nothing_pending(collection))
    await relay.stop()
    assert await _ids(world) == [a.id for a in said]


async def test_stopping_announces_what_is_left_or_leaves_it_for_the_next_start(
    world: BusWorld, collection: Any
) -> None:
    bus = await world.service(SERVICE)
    relay = OutboxRelay(collection, bus)
    await relay.start()
    await collection.insert_one(with_events({"_id": "a"}, mailboxes([1])))
    await relay.stop()
    assert await _pending(collection) == 0
    relay = OutboxRelay(collection, bus)
    await relay.start()
    await asyncio.to_thread(world.server.kill)
    await until(lambda: not bus.connected)
    await collection.insert_one(with_events({"_id": "b"}, mailboxes([2])))
    async with asyncio.timeout(3):
        await relay.stop()
    assert await _pending(collection) == 1


# -- kill -9 -------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys
from postfleet.bus import Bus
from postfleet.mongo import Mongo
from postfleet.outbox import OutboxRelay, update_with_events, with_events
from tests.support.busworld import mailboxes

async def main(nats_url, mongo_url, prefix):
    mongo, bus = Mongo(mongo_url, "outbox", prefix), Bus(nats_url, "mail-provisioner")
    documents = mongo.database["documents"]
    await bus.start()
    relay = OutboxRelay(documents, bus)
    await relay.start()
    for number in range(40):
        document = await documents.find_one({"_id": str(number)})
        step = document["step"] if document else 0
        if step == 0:
            first = with_events({"_id": str(number), "step": 1}, mailboxes([number * 10]))
            await documents.insert_one(first)
        if step < 2:
            change = update_with_events(
                {"$set": {"step": 2}}, mailboxes([number * 10 + 1, number * 10 + 2])
            )
            await documents.update_one({"_id": str(number), "step": 1}, change)
        relay.wake()
        await asyncio.sleep(0)
    await relay.stop()
    await bus.stop()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(["outbox-before-publish"], id="before anything was said"),
        pytest.param(["outbox-after-publish"], id="said, and not yet cleared"),
        pytest.param(
            ["outbox-after-publish:2", "outbox-before-publish:2", "outbox-after-publish"],
            id="three times in a row",
        ),
    ],
)
async def test_kill_9_loses_nothing_and_doubles_nothing(
    points: list[str], world: BusWorld, mongo_server: MongoServer
) -> None:
    async with _documents(mongo_server) as documents:
        arguments = [world.server.url, mongo_server.url, mongo_server.prefix]
        for point in points:
            assert await asyncio.to_thread(_run, arguments, point) == -signal.SIGKILL
        assert await asyncio.to_thread(_run, arguments, "") == 0
        assert await _pending(documents) == 0
    expected = {
        number: [a.id for a in mailboxes(range(number * 10, number * 10 + 3))]
        for number in range(40)
    }
    ids = await _ids(world)
    assert len(ids) == len(set(ids)) == 120
    for of_document in expected.values():
        assert [id_ for id_ in ids if id_ in of_document] == of_document, "in order"


def _run(arguments: list[str], point: str) -> int:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "POSTFLEET_FAIL_POINT": point, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        timeout=60,
    )
    return process.returncode


async def test_events_of_other_kinds_keep_their_fields(world: BusWorld, collection: Any) -> None:
    """A body is stored as text: no database changes a number or a time in it."""
    bus: Bus = await world.service(SERVICE)
    said = [announcement(SenderUpdated), announcement(CampaignLinksCompiled)]
    await collection.insert_one(with_events({"_id": "a"}, said))
    await OutboxRelay(collection, bus).sweep(grace_ms=0)
    assert [m.data for m in await world.messages("EVENTS")] == [a.body() for a in said]
