"""Provisioners on the embedded NATS and MongoDB."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest

from postfleet import reconcile
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.provisioner import Service, Start, provisioner


@pytest.fixture
async def start(
    nats_server: NatsServer, mongo_server: MongoServer, tmp_path: Path
) -> AsyncIterator[Start]:
    """Starts a provisioner; two started in one test share configuration and database."""
    client = await nats.connect(nats_server.url)
    await reconcile.apply(client.jetstream())
    defaults: dict[str, Any] = {
        "nats_url": nats_server.url,
        "mongodb_url": mongo_server.url,
        "database_prefix": mongo_server.database(f"p{secrets.token_hex(3)}_"),
        "config_dir": tmp_path / "config",
    }
    yield lambda **settings: provisioner(client, **{**defaults, **settings})
    await client.close()


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Service]:
    async with start() as service:
        yield service
