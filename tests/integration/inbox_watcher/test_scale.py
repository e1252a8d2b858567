"""Many mailboxes and several replicas: all are watched, and shared out."""

from collections import Counter
from typing import Any

import pytest
from pymongo import MongoClient

from tests.support.hostileimap import HostileImap
from tests.support.inboxwatcher import Platform, eventually
from tests.support.mongo import MongoServer

_PLAIN = {"allow_plain_imap": True, "idle_seconds": 60}


@pytest.mark.seed("S181")
async def test_two_hundred_mailboxes_are_all_watched_by_one_process(
    platform: Platform, prefix: str
) -> None:
    """How soon is the bench's: `tests/bench/inbox_dovecot.py` has 500 on a real Dovecot."""
    async with HostileImap() as server:
        for number in range(200):
            await platform.register(f"many{number}", server.port, "secret", security="none")
        async with platform.watcher(prefix, **_PLAIN):

            async def idling() -> int:
                return len(server.idling)

            await eventually(idling, lambda count: count == 200, 120)


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
