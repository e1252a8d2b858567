"""Many mailboxes and several replicas: all are watched soon, shared out, and survive kill -9."""

import asyncio
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.integration.test_inbox_watcher_hostile import replica, reply, sent
from tests.support.hostileimap import HostileImap
from tests.support.inboxwatcher import Platform, eventually
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer

_PLAIN = {"allow_plain_imap": True, "idle_seconds": 60}
_KILLS = int(os.environ.get("KILLS", "10"))  # 100 before a release


@pytest.fixture
async def platform(own_nats: NatsServer, mongo_server: MongoServer) -> AsyncIterator[Platform]:
    platform = Platform(own_nats.url, mongo_server.url)
    await platform.start()
    yield platform
    await platform.stop()


@pytest.fixture
def prefix(mongo_server: MongoServer) -> str:
    return mongo_server.database(f"iz{secrets.token_hex(3)}_")


@pytest.mark.seed("S181")
async def test_five_hundred_mailboxes_are_watched_within_a_minute(
    platform: Platform, prefix: str
) -> None:
    async with HostileImap() as server:
        for number in range(500):
            await platform.register(f"many{number}", server.port, "secret", security="none")
        began = time.monotonic()
        async with platform.watcher(prefix, **_PLAIN):

            async def idling() -> int:
                return len(server.idling)

            await eventually(idling, lambda count: count == 500, 60)
            took = time.monotonic() - began
    assert took < 60
    print(f"500 mailboxes watched after {took:.1f} s")


async def test_two_replicas_share_the_mailboxes_and_one_that_stays_takes_them_all(
    platform: Platform, prefix: str, mongo_server: MongoServer
) -> None:
    async with HostileImap() as server:
        for number in range(20):
            await platform.register(f"shared{number}", server.port, "secret", security="none")

        async def owners() -> list[int]:
            with MongoClient[dict[str, Any]](mongo_server.url) as client:
                rows = client[f"{prefix}inbox_watcher"]["mailboxes"].find({"wanted": "yes"})
                mine = Counter(row["lease_owner"] for row in rows if "shared" in row["_id"])
            return sorted(mine.values())

        options = {**_PLAIN, "lease_seconds": 3}
        async with platform.watcher(prefix, **options):
            await eventually(owners, lambda shares: shares == [20], 15)
            async with platform.watcher(prefix, **options):
                shares = await eventually(owners, _even, 20)
            assert sum(shares) == 20
            await eventually(owners, lambda shares: shares == [20], 15)


def _even(shares: list[int]) -> bool:
    return len(shares) == 2 and sum(shares) == 20 and shares[0] >= 8


async def test_kill_9_again_and_again_loses_no_reply_and_repeats_none(
    platform: Platform, prefix: str, tmp_path: Path
) -> None:
    sender = f"killed{secrets.token_hex(3)}"
    async with HostileImap() as server:
        await platform.register(sender, server.port, "secret", security="none")
        deliveries: list[str] = []
        for life in range(_KILLS):
            process = replica(platform, prefix, tmp_path, life, lease_seconds=1)
            try:
                for _ in range(3):
                    number = len(deliveries) + 1
                    deliveries.append(await sent(platform, sender, number))
                    await server.deliver(reply(sender, number))
                await asyncio.sleep(1.0 + 0.37 * (life % 5))  # while it starts, reads, announces
            finally:
                process.kill()
        async with platform.watcher(prefix, **_PLAIN, lease_seconds=1):
            # email.sent of a batch that died with its reader comes again after ack_wait
            events = await platform.wait_events(
                sender, "reply.detected", count=len(deliveries), timeout=120
            )
            await asyncio.sleep(1)
            events = await platform.events_of(sender, "reply.detected")
    assert sorted(event["delivery_id"] for event in events) == sorted(deliveries)
