"""What many integration tests begin with."""

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext

from postfleet.reconcile import apply
from postfleet.topology import STREAMS
from tests.support.dispatcher import DispatcherWorld, dispatcher_world
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer


@pytest.fixture
async def world(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[DispatcherWorld]:
    """Servers for dispatchers as processes; a module whose world is another one says so itself."""
    async with dispatcher_world(mongo_server, tmp_path) as world:
        yield world


@pytest.fixture
async def jetstream(own_nats: NatsServer) -> AsyncIterator[JetStreamContext]:
    """The declared streams on the module's own server, empty."""
    client = await nats.connect(own_nats.url)
    js = client.jetstream()
    await apply(js)
    for stream in STREAMS:
        await js.purge_stream(stream.name)
    yield js
    await client.close()
