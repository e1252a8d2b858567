"""The private NATS and MongoDB servers keep what they were given when they are killed."""

import asyncio

import nats
import pytest
from nats.errors import TimeoutError as NatsTimeout
from pymongo import MongoClient

from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer

pytestmark = [
    pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or ""),
    pytest.mark.skipif(bool(MongoServer.missing()), reason=MongoServer.missing() or ""),
]


async def test_nats_keeps_an_acknowledged_message_over_a_kill() -> None:
    with NatsServer() as server:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(name="KEPT", subjects=["kept.>"])
        await stream.publish("kept.one", b"still here")
        await client.close()

        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

        client = await nats.connect(server.url)
        message = await client.jetstream().get_msg("KEPT", seq=1)
        await client.close()
        assert message.data == b"still here"


async def test_paused_nats_answers_nothing_until_resumed() -> None:
    with NatsServer() as server:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(name="PAUSED", subjects=["paused"])
        server.pause()
        with pytest.raises(NatsTimeout):
            await stream.publish("paused", b"unconfirmed", timeout=0.5)
        server.resume()
        assert (await stream.publish("paused", b"confirmed", timeout=5)).seq == 2
        await client.close()


async def test_nats_runs_with_a_given_configuration(tmp_path) -> None:
    config = tmp_path / "given.conf"
    config.write_text("jetstream { sync_interval: always }\nauthorization { token: t0ken }\n")
    with NatsServer(config) as server:
        client = await nats.connect(server.url, token="t0ken")
        assert (await client.jetstream().account_info()).streams == 0
        await client.close()


async def test_shared_nats_has_jetstream(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().account_info()).memory >= 0
    await client.close()


def test_embedded_mongo_keeps_a_document_over_a_kill(monkeypatch) -> None:
    monkeypatch.delenv("MONGODB_URL", raising=False)
    with MongoServer() as server:
        name = server.database("registry")
        with MongoClient(server.url) as client:
            client[name].senders.insert_one({"_id": "ann", "sent": 3})

        server.kill()
        server.start()

        with MongoClient(server.url) as client:
            assert client[name].senders.find_one({"_id": "ann"}) == {"_id": "ann", "sent": 3}


def test_shared_mongo_separates_databases(mongo_server: MongoServer) -> None:
    one, two = mongo_server.database("one"), mongo_server.database("two")
    with MongoClient(mongo_server.url) as client:
        client[one].things.insert_one({"_id": "only here"})
        assert client[two].things.find_one({"_id": "only here"}) is None
