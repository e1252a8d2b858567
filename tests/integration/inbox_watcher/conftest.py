"""A watcher's surroundings: the module's own NATS, a registry's stand-in, a database for each test."""

import secrets
from collections.abc import AsyncIterator

import pytest

from tests.support.inboxwatcher import Platform
from tests.support.mailpair import MailPair
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer


@pytest.fixture
async def platform(
    own_nats: NatsServer, mongo_server: MongoServer, request: pytest.FixtureRequest
) -> AsyncIterator[Platform]:
    """Trusts the mail pair where there is one."""
    pair = None if MailPair.missing() else request.getfixturevalue("mail_pair")
    platform = Platform(own_nats.url, mongo_server.url, str(pair.ca_file) if pair else None)
    await platform.start()
    yield platform
    await platform.stop()


@pytest.fixture
def prefix(mongo_server: MongoServer) -> str:
    return mongo_server.database(f"iw{secrets.token_hex(3)}_")
