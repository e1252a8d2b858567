"""The bus goes away: requests are answered as before, and no hit is lost."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from postfleet.reconcile import apply
from tests.bench import tracker_outage
from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import RunningTracker, compiled, new_id, running_tracker, sent

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")

LINK = "00112233445566aa"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
MAILS = 60


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    async with running_tracker(mongo_server.url, tmp_path) as running:
        yield running


async def _mail(tracker: RunningTracker) -> list[str]:
    """Deliveries to different people, with a link that works."""
    deliveries = [new_id() for _ in range(MAILS)]
    await tracker.say(compiled({LINK: "https://example.com/"}))
    await tracker.say(*(sent(d, recipient=f"{d}@example.org") for d in deliveries))
    await tracker.counted(sent=MAILS)
    return deliveries


async def _hit(tracker: RunningTracker, deliveries: list[str]) -> None:
    """Open, click and unsubscribe each; every answer must be the usual one."""
    for delivery in deliveries:
        opened, clicked, left = await asyncio.gather(
            tracker.http.get(tracker.pixel(delivery)),
            tracker.http.get(tracker.link(delivery, LINK)),
            tracker.http.post(tracker.unsubscribe(delivery), data=ONE_CLICK),
        )
        assert (opened.status_code, clicked.status_code, left.status_code) == (200, 302, 200)


async def test_hits_of_an_outage_arrive_when_the_bus_is_back(tracker: RunningTracker) -> None:
    deliveries = await _mail(tracker)
    await asyncio.to_thread(tracker.nats.kill)
    await _hit(tracker, deliveries)
    assert list(tracker.settings.spool_dir.glob("hits-*.jsonl"))
    await asyncio.to_thread(tracker.nats.start)
    await tracker.counted(opened=MAILS, clicked=MAILS, unsubscribed=MAILS, sent=MAILS)
    assert not list(tracker.settings.spool_dir.glob("hits-*.jsonl"))


async def test_a_kill_in_the_middle_of_the_hits_loses_none(tracker: RunningTracker) -> None:
    deliveries = await _mail(tracker)
    hitting = asyncio.create_task(_hit(tracker, deliveries))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(tracker.nats.kill)
    await hitting
    await asyncio.to_thread(tracker.nats.start)
    found = await tracker.counted(opened=MAILS, clicked=MAILS, unsubscribed=MAILS)
    assert found["sent"] == MAILS


async def test_a_bus_that_hangs_delays_an_unsubscribe_by_seconds_only(
    tracker: RunningTracker,
) -> None:
    deliveries = (await _mail(tracker))[:5]
    tracker.nats.pause()
    started = time.monotonic()
    await _hit(tracker, deliveries)
    took = time.monotonic() - started
    tracker.nats.resume()
    assert took < 8
    found = await tracker.counted(opened=5, clicked=5, unsubscribed=5)
    assert found["sent"] == MAILS


async def test_requests_are_answered_before_the_streams_exist(
    mongo_server: MongoServer, tmp_path: Path
) -> None:
    async with running_tracker(mongo_server.url, tmp_path, prepare_bus=False) as tracker:
        await tracker.until(lambda: _alive(tracker))
        assert (await tracker.http.get("/readyz")).status_code == 503
        delivery = new_id()
        answer = await tracker.http.post(tracker.unsubscribe(delivery), data=ONE_CLICK)
        assert answer.status_code == 200
        await apply(tracker.bus.jetstream)
        await tracker.say(sent(delivery))
        assert (await tracker.counted(unsubscribed=1))["sent"] == 1


async def _alive(tracker: RunningTracker) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await tracker.http.get("/healthz")).status_code == 200
    return False


async def test_an_outage_of_the_database_costs_no_event(tmp_path: Path) -> None:
    with MongoServer() as database:
        if not database.embedded:
            pytest.skip("only the embedded database can be killed: unset MONGODB_URL")
        async with running_tracker(database.url, tmp_path) as tracker:
            deliveries = await _mail(tracker)
            await asyncio.to_thread(database.kill)
            late = [new_id() for _ in range(MAILS)]
            await tracker.say(*(sent(d, recipient=f"{d}@example.org") for d in late))
            await _hit(tracker, deliveries)
            await asyncio.sleep(6)  # longer than the driver looks for a server
            await asyncio.to_thread(database.start)
            found = await tracker.counted(sent=2 * MAILS, opened=MAILS, unsubscribed=MAILS)
            assert found["clicked"] == MAILS
            dead = await tracker.bus.jetstream.stream_info("DEAD_LETTERS")
            assert dead.state.messages == 0


async def test_500_hits_a_second_without_the_bus_are_all_told_and_memory_stays_flat() -> None:
    found = await tracker_outage.run(5)
    assert found["answered"] > 2000
    assert found["lost"] == 0
    assert found["memory_mb_second_half"] - found["memory_mb_first_half"] < 10
