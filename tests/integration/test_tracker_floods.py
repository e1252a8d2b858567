"""Floods, slow connections and endless heads; and an unsubscribe in the middle of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.mongo import MongoServer
from tests.support.natsserver import NatsServer
from tests.support.tracker import RunningTracker, compiled, new_id, running_tracker, sent

pytestmark = pytest.mark.skipif(bool(NatsServer.missing()), reason=NatsServer.missing() or "")

LINK = "00112233445566aa"


@pytest.fixture
async def tracker(mongo_server: MongoServer, tmp_path: Path) -> AsyncIterator[RunningTracker]:
    limits = {"hits_per_second": 1.0, "hits_burst": 20}
    async with running_tracker(mongo_server.url, tmp_path, **limits) as running:
        yield running


async def test_a_flood_gets_429_and_an_unsubscribe_never_does(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(compiled({LINK: "https://example.com/"}), sent(delivery))
    await tracker.counted(sent=1)
    pixels = [(await tracker.http.get(tracker.pixel(delivery))).status_code for _ in range(60)]
    assert pixels[:20] == [200] * 20
    assert pixels[-1] == 429
    refused = await tracker.http.get(tracker.link(delivery, LINK))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    left = await tracker.http.post(
        tracker.unsubscribe(delivery), data={"List-Unsubscribe": "One-Click"}
    )
    assert left.status_code == 200
    await tracker.counted(unsubscribed=1)


async def _raw(tracker: RunningTracker, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", tracker.settings.http_port)
    writer.write(request)
    async with asyncio.timeout(15):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_head_of_a_megabyte_is_cut_off(tracker: RunningTracker) -> None:
    request = b"GET /o/x.gif HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 1_000_000
    try:
        answer = await _raw(tracker, request)
    except ConnectionResetError:
        answer = b"HTTP/1.1 431"
    assert answer.startswith(b"HTTP/1.1 431")
    assert (await tracker.http.get("/healthz")).status_code == 200


async def test_a_thousand_slow_connections_do_not_stop_the_others(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    await tracker.counted(sent=1)
    slow = [
        await asyncio.open_connection("127.0.0.1", tracker.settings.http_port) for _ in range(1000)
    ]
    for _, writer in slow:
        writer.write(b"GET /o/x.gif HTTP/1.1\r\nHos")
    answers = [await tracker.http.get(tracker.pixel(delivery)) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    async with asyncio.timeout(15):  # and they are sent away in time
        closed = await asyncio.gather(*(reader.read() for reader, _ in slow))
    assert set(closed) == {b""}


async def test_several_requests_in_one_packet_are_all_answered(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    path = tracker.pixel(delivery).encode()
    get = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n"
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await _raw(tracker, get + b"\r\n" + health + get + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.count(b"GIF89a") == 2
    assert answer.index(b'"status":"ok"') < answer.rindex(b"GIF89a")


async def test_the_address_that_is_kept_is_the_clients_own(tracker: RunningTracker) -> None:
    delivery = new_id()
    await tracker.say(sent(delivery))
    await tracker.http.get(tracker.pixel(delivery), headers={"X-Forwarded-For": "203.0.113.77"})
    await tracker.counted(opened=1)
    hit = await tracker.app_database().hits.find_one({"delivery_id": delivery})
    assert hit["network"] == "203.0.113.0/24"
    assert "203.0.113.77" not in json.dumps(hit)
